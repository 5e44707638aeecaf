"""Every kind of leak is planted and found by its name; clean cohorts have no errors or warnings."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.preprocessing import StandardScaler

from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.feature_columns import TableColumns
from avemo_jax.protocols.audit.facts import (
    EncoderUse,
    FitUse,
    StackUse,
    audit_encoders,
    audit_fits,
    audit_groups,
    audit_lost,
    audit_part_columns,
    audit_stacks,
    find_part_columns,
)
from avemo_jax.protocols.audit.findings import FINDINGS, Finding, check_allowed, format_findings, mark_allowed, refuse
from avemo_jax.protocols.audit.fits import changed_by
from avemo_jax.protocols.audit.folds_audit import Item, Span, audit_folds, items_of
from avemo_jax.protocols.audit.predictions import PredictedTrial, audit_predictions
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable, LeakError
from avemo_jax.protocols.rules import make_folds

EMOTIONS = ("angry", "happy", "sad")


def cohort(
    num_speakers: int, num_sentences: int, num_takes: int, *, own_sentences: bool = False, speakers: str = "s", seed: int | None = None
) -> list[Clip]:
    """Return a cohort: every speaker says every sentence, or its own sentences, in every emotion; with a seed, about 10 % are missing."""
    clips = [
        Clip(
            clip_id=f"{speakers}{speaker}-{sentence}-{emotion}-{take}",
            corpus="made",
            label=emotion,
            speaker=f"{speakers}{speaker}",
            gender=("female", "male")[speaker % 2],
            sentence=f"{speaker}-{sentence}" if own_sentences else f"{sentence}",
            audio=f"{speakers}{speaker}/{sentence}-{emotion}-{take}.wav",
        )
        for speaker, sentence, emotion, take in itertools.product(range(num_speakers), range(num_sentences), EMOTIONS, range(num_takes))
    ]
    if seed is None:
        return clips
    return [clip for clip, drawn in zip(clips, np.random.default_rng(seed).random(len(clips)), strict=True) if drawn > 0.1]


def table_of(name: str, clips: list[Clip], **options) -> FoldTable:
    return make_folds(name, clips, [EMOTIONS.index(clip.label) for clip in clips], **options)


def found_in(folds, items, *, each_once=True, shared_media=()) -> list[Finding]:
    return audit_folds(folds, items, each_once=each_once, shared_media=shared_media)


def flagged(findings) -> set[str]:
    return {finding.name for finding in findings if finding.severity != "info"}


def changed_fold(fold: Fold, **changes) -> Fold:
    return dataclasses.replace(fold, **{part: tuple(sorted(ids)) for part, ids in changes.items()})


class Planted:
    """One method for each planted leak; it returns the findings of the audit that must find it."""

    def __init__(self):
        self.clips = cohort(6, 3, 2)
        self.table = table_of("speaker_k", self.clips, num_folds=3)
        self.fold = self.table.folds[0]

    def folds(self, *, clips=None, items=None, shared_media=(), **changes) -> list[Finding]:
        folds = (changed_fold(self.fold, **changes), *self.table.folds[1:])
        return found_in(folds, items or items_of(clips or self.clips), shared_media=shared_media)

    def a_feature_column_that_numbers_the_folds(self):
        clips = tuple(clip.clip_id for clip in self.clips)
        fold_of = {clip: number for number, fold in enumerate(self.table.folds) for clip in fold.test}
        values = np.array([[float(fold_of[clip])] for clip in clips])
        return audit_part_columns(find_part_columns(self.table, TableColumns(("AU01",), {}, (), clips, values)))

    def a_speaker_moved_from_test_to_train(self):
        moved = [clip for clip in self.fold.test if clip.startswith(self.fold.test[0].split("-")[0])][:9]
        return self.folds(train=(*self.fold.train, *moved), test=set(self.fold.test) - set(moved))

    def one_clip_of_a_training_speaker_tested(self):
        return self.folds(train=self.fold.train[1:], test=(*self.fold.test, self.fold.train[0]))

    def a_validation_speaker_tested(self):
        return self.folds(validation=self.fold.validation[1:], test=(*self.fold.test, self.fold.validation[0]))

    def two_names_that_the_corpus_states_as_one_speaker(self):
        clips = [dataclasses.replace(clip, speaker="s0") if clip.speaker in ("s1", "s2") else clip for clip in self.clips]
        return self.folds(clips=clips)

    def one_speaker_spelled_in_two_ways(self):
        moved = set(self.fold.test[:9])
        clips = [dataclasses.replace(clip, speaker=f"S0{clip.speaker[1:]}.0") if clip.clip_id in moved else clip for clip in self.clips]
        return self.folds(clips=clips, train=(*self.fold.train, *moved), test=set(self.fold.test) - moved)

    def two_names_that_look_like_one_speaker(self):
        moved = set(self.fold.test[:9])
        clips = [dataclasses.replace(clip, speaker=f"actor_{clip.speaker[1:]}") if clip.clip_id in moved else clip for clip in self.clips]
        return self.folds(clips=clips, train=(*self.fold.train, *moved), test=set(self.fold.test) - moved)

    def a_clip_named_with_and_without_its_folder(self):
        items = [Item("a01.wav"), Item("DC/a01.wav"), Item("x.wav")]
        return found_in([Fold("fold1", ("a01.wav",), ("x.wav",), ("DC/a01.wav",))], items, each_once=False)

    def random_folds_instead_of_speaker_folds(self):
        return found_in(table_of("random_k", self.clips, num_folds=3).folds, items_of(self.clips))

    def sentences_of_improvised_speech_in_two_parts(self):
        clips = cohort(6, 8, 2, own_sentences=True)
        return found_in(table_of("random_k", clips, num_folds=3).folds, items_of(clips))

    def a_clip_in_train_and_test(self):
        return self.folds(train=(*self.fold.train, self.fold.test[0]))

    def a_clip_in_train_and_validation(self):
        return self.folds(train=(*self.fold.train, self.fold.validation[0]))

    def a_file_named_by_two_clips(self):
        first, last = self.fold.train[0], self.fold.test[0]
        path = next(clip.audio for clip in self.clips if clip.clip_id == first)
        return self.folds(clips=[dataclasses.replace(clip, audio=path) if clip.clip_id == last else clip for clip in self.clips])

    def equal_bytes_under_two_names(self):
        return self.folds(shared_media=[SharedMedia(self.fold.train[3], self.fold.test[3], "bytes", "equal")])

    def a_copy_that_was_re_encoded(self):
        return self.folds(shared_media=[SharedMedia(self.fold.test[2], self.fold.train[2], "sound", "9 % differ")])

    def a_film_that_was_re_encoded(self):
        return self.folds(shared_media=[SharedMedia(self.fold.test[2], self.fold.validation[2], "picture", "9 % differ")])

    def segments_of_one_recording(self):
        items = [
            Item(f"{recording}_{part}", f"s{recording}", recording=f"r{recording // 2}") for recording in range(6) for part in range(2)
        ]
        fold = Fold("fold1", *(tuple(f"{r}_{part}" for r in group for part in range(2)) for group in ((0, 2, 4), (5,), (1, 3))))
        return found_in([fold], items, each_once=False)

    def overlapping_spans_of_one_file(self):
        items = [Item(str(row), f"s{row}", media=(Span("talk.wav", 2.0 * row, 2.0 * row + 3.0),)) for row in range(3)]
        return found_in([Fold("fold1", ("0",), ("1",), ("2",))], items, each_once=False)

    def actors_that_the_protocol_does_not_name(self):
        clips = [dataclasses.replace(clip, corpus="rml") for clip in cohort(9, 2, 1) if clip.speaker != "s3"]
        return audit_groups(table_of("loso", clips, groups_may_differ=True))

    def a_scaler_fitted_on_everything(self):
        return self.fitted("scaler", lambda data, train: StandardScaler().fit(data["x"]).mean_)

    def pca_fitted_on_everything(self):
        return self.fitted("PCA", lambda data, train: PCA(2, svd_solver="full").fit(data["x"]).components_)

    def features_selected_on_everything(self):
        return self.fitted("feature selection", lambda data, train: SelectKBest(f_classif, k=3).fit(data["x"], data["y"]).scores_)

    def fusion_weights_fitted_on_test(self):
        def weights(data, train):
            scores = [(np.sign(data["x"][:, column]) == np.sign(data["y"] - 0.5)).mean() for column in (0, 1)]
            return {"w1": scores[0], "w2": scores[1]}

        return self.fitted("fusion weights", weights)

    def a_threshold_chosen_on_test(self):
        return self.fitted("threshold", lambda data, train: {"scaler": data["x"][train].mean(0), "threshold": np.median(data["x"][:, 0])})

    def fitted(self, what, fit):
        random = np.random.default_rng(0)
        data = {"x": random.normal(size=(60, 5)), "y": random.integers(0, 2, 60)}
        train = np.arange(40)
        return audit_fits([FitUse(what, "fold1", tuple(changed_by(lambda arrays: fit(arrays, train), data, np.arange(40, 60))))])

    def base_nets_that_saw_the_clips_of_the_stack(self):
        return audit_stacks([StackUse("fold1", "audio", "stacked", self.fold.train, self.fold.train[:5])])

    def out_of_fold_predictions_of_the_wrong_fold(self):
        halves = self.fold.train[::2], self.fold.train[1::2]
        trained_on = {clip: halves[number] for number in range(2) for clip in halves[number]}
        return audit_stacks([StackUse("fold1", "audio", "stacked", trained_on, self.fold.train)])

    def an_encoder_that_was_trained_on_the_corpus(self):
        return audit_encoders([EncoderUse("mini_xception", ("FER2013",))], ["fer2013", "jaffe"])

    def a_clip_silently_left_out_of_the_folds(self):
        return self.folds(train=self.fold.train[1:])

    def a_clip_tested_in_two_folds(self):
        folds = (self.fold, changed_fold(self.table.folds[1], test=(*self.table.folds[1].test, self.fold.test[0])), *self.table.folds[2:])
        return found_in(folds, items_of(self.clips))

    def predictions(self, change) -> list[Finding]:
        labels = {clip.clip_id: clip.label for clip in self.clips}
        rows = [[clip, fold.name, seed, labels[clip]] for seed in (0, 1) for fold in self.table.folds for clip in fold.test]
        rows, classes = change(rows) or rows, EMOTIONS
        if isinstance(rows, tuple):
            rows, classes = rows
        trials = [
            PredictedTrial(fold, seed, *zip(*[(clip, label) for clip, *trial, label in rows if trial == [fold, seed]], strict=True))
            for fold, seed in sorted({(fold, seed) for _, fold, seed, _ in rows})
        ]
        return audit_predictions(self.table.folds, labels, EMOTIONS, (0, 1), trials=trials, predicted_classes=classes)

    def a_test_clip_without_a_prediction(self):
        return self.predictions(lambda rows: rows[1:])

    def a_seed_without_predictions(self):
        return self.predictions(lambda rows: [row for row in rows if row[2] == 0])

    def a_clip_predicted_twice(self):
        return self.predictions(lambda rows: [*rows, rows[5]])

    def a_training_clip_among_the_predictions(self):
        return self.predictions(lambda rows: [*rows, [self.fold.train[0], self.fold.name, 0, "angry"]])

    def a_label_that_was_changed_later(self):
        return self.predictions(lambda rows: [[*rows[0][:3], "happy" if rows[0][3] != "happy" else "sad"], *rows[1:]])

    def a_class_left_out(self):
        return self.predictions(lambda rows: (rows, EMOTIONS[:2]))


PLANTED = {
    "a_speaker_moved_from_test_to_train": "speaker_in_two_parts",
    "one_clip_of_a_training_speaker_tested": "speaker_in_two_parts",
    "a_validation_speaker_tested": "speaker_in_two_parts",
    "two_names_that_the_corpus_states_as_one_speaker": "speaker_in_two_parts",
    "one_speaker_spelled_in_two_ways": "speaker_in_two_parts",
    "two_names_that_look_like_one_speaker": "speakers_look_alike",
    "a_clip_named_with_and_without_its_folder": "clips_look_alike",
    "random_folds_instead_of_speaker_folds": "speaker_in_two_parts",
    "sentences_of_improvised_speech_in_two_parts": "sentence_in_two_parts",
    "a_clip_in_train_and_test": "clip_in_two_parts",
    "a_clip_in_train_and_validation": "clip_in_two_parts",
    "a_file_named_by_two_clips": "same_bytes_in_two_parts",
    "equal_bytes_under_two_names": "same_bytes_in_two_parts",
    "a_copy_that_was_re_encoded": "near_duplicate_in_two_parts",
    "a_film_that_was_re_encoded": "near_duplicate_in_two_parts",
    "segments_of_one_recording": "segments_in_two_parts",
    "overlapping_spans_of_one_file": "segments_in_two_parts",
    "actors_that_the_protocol_does_not_name": "groups_differ",
    "a_scaler_fitted_on_everything": "fitted_outside_training",
    "pca_fitted_on_everything": "fitted_outside_training",
    "features_selected_on_everything": "fitted_outside_training",
    "fusion_weights_fitted_on_test": "fitted_outside_training",
    "a_threshold_chosen_on_test": "fitted_outside_training",
    "base_nets_that_saw_the_clips_of_the_stack": "stack_saw_clips",
    "out_of_fold_predictions_of_the_wrong_fold": "stack_saw_clips",
    "an_encoder_that_was_trained_on_the_corpus": "encoder_saw_corpus",
    "a_clip_silently_left_out_of_the_folds": "clip_dropped",
    "a_clip_tested_in_two_folds": "clip_counted_twice",
    "a_test_clip_without_a_prediction": "clip_dropped",
    "a_seed_without_predictions": "clip_dropped",
    "a_clip_predicted_twice": "clip_counted_twice",
    "a_training_clip_among_the_predictions": "prediction_outside_test_part",
    "a_label_that_was_changed_later": "label_changed",
    "a_class_left_out": "classes_differ",
    "a_feature_column_that_numbers_the_folds": "column_tells_part",
}


@pytest.mark.parametrize(("leak", "name"), PLANTED.items())
def test_planted_leaks_are_found(leak, name):
    findings = getattr(Planted(), leak)()
    caught = [finding for finding in findings if finding.name == name]
    assert len(caught) == 1 and caught[0].stops and caught[0].count >= 1 and caught[0].examples, findings
    with pytest.raises(LeakError, match=rf"{name}.*\n.*--config\.protocol\.allow_leaks=.*{name}"):
        refuse(caught)
    refuse(mark_allowed(caught, allow=(name,)))


def test_every_kind_of_error_is_planted():
    assert {name for name, kind in FINDINGS.items() if kind.severity == "error"} == set(PLANTED.values())
    assert len(PLANTED) >= 25


def test_nothing_is_found_without_a_leak():
    planted = Planted()
    assert flagged(planted.folds()) == set()
    assert planted.predictions(lambda rows: rows) == []
    assert flagged(planted.fitted("scaler", lambda data, train: StandardScaler().fit(data["x"][train]).mean_)) == set()
    assert audit_stacks([StackUse("fold1", "audio", "stacked", planted.fold.train[:9], planted.fold.train[9:])]) == []
    halves = planted.fold.train[::2], planted.fold.train[1::2]
    out_of_fold = {clip: halves[1 - number] for number in range(2) for clip in halves[number]}
    assert audit_stacks([StackUse("fold1", "audio", "stacked", out_of_fold, planted.fold.train)]) == []
    assert audit_encoders([EncoderUse("vggish", ("audioset",))], ["ravdess"]) == []
    assert audit_encoders([EncoderUse("speech", ("EmoBox",)), EncoderUse("faces", ("CK+",))], ["jaffe"]) == []
    assert audit_groups(table_of("speaker_k", cohort(6, 4, 1))) == []


def test_a_thousand_clean_cohorts_have_no_errors_or_warnings():
    random = np.random.default_rng(0)
    for number in range(1000):
        num_speakers, num_sentences, num_takes = (int(random.integers(low, high)) for low, high in ((6, 10), (2, 6), (1, 3)))
        clips = cohort(num_speakers, num_sentences, num_takes, own_sentences=number % 3 == 0, seed=number)
        table = table_of(("speaker_k", "loso")[number % 2], clips, num_folds=3, seed=number)
        # Adjacent utterances in one file, and two equal recordings of one speaker, are no leaks either.
        clips = [
            dataclasses.replace(clip, audio=f"{clip.speaker}.wav", start_s=5.0 * row, end_s=5.0 * row + 5) for row, clip in enumerate(clips)
        ]
        equal = [SharedMedia(clips[0].clip_id, clips[1].clip_id, "sound", "")] if clips[0].speaker == clips[1].speaker else []
        findings = mark_allowed(found_in(table.folds, items_of(clips), shared_media=equal))
        assert flagged(findings) == set(), (number, table.protocol, findings)


def _always_in_one_part(table, pairs) -> bool:
    return all(
        {pair.first, pair.second} <= part or not {pair.first, pair.second} & part
        for pair in pairs
        for fold in table.folds
        for part in (set(getattr(fold, name)) for name in PARTS)
    )


def test_a_protocol_allows_the_leaks_that_it_implies_and_no_others():
    clips = cohort(6, 3, 2)
    table = table_of("random_k", clips, num_folds=3)
    leaking = [*table.folds[0].train, table.folds[0].test[0]]
    folds = (changed_fold(table.folds[0], train=leaking), *table.folds[1:])
    findings = mark_allowed(found_in(folds, items_of(clips)), implied=table.implies, protocol="random_k")
    by_name = {finding.name: finding for finding in findings}
    assert by_name["speaker_in_two_parts"].allowed_by == "protocol random_k" and by_name["speaker_in_two_parts"].is_flagged
    assert by_name["clip_in_two_parts"].stops
    assert findings[0].name == "clip_in_two_parts"  # the most severe first
    assert table_of("speaker_k", clips, num_folds=3).implies == table_of("loso", clips).implies == ()
    with pytest.raises(LeakError) as refused:
        refuse(findings)
    assert "speaker_in_two_parts" not in str(refused.value)


def test_all_spellings_of_a_speaker_are_in_one_part():
    clips = cohort(6, 3, 2, speakers="")
    mixed = [dataclasses.replace(clip, speaker=f"0{clip.speaker}.0") if row % 2 else clip for row, clip in enumerate(clips)]
    for name in ("speaker_k", "loso"):
        table = table_of(name, mixed, num_folds=3)
        assert len(table.folds) == {"speaker_k": 3, "loso": 6}[name] and table.folds == table_of(name, clips, num_folds=3).folds
        assert flagged(found_in(table.folds, items_of(mixed))) == set()


def test_shared_sentences_are_info_if_few_or_read_by_all_and_an_error_otherwise():
    def severity(clips, protocol):
        found = found_in(table_of(protocol, clips, num_folds=3).folds, items_of(clips))
        return [finding.severity for finding in found if finding.name == "sentence_in_two_parts"]

    assert severity(cohort(6, 3, 2), "speaker_k") == ["info"]  # three sentences
    assert severity(cohort(6, 30, 1), "speaker_k") == ["info"]  # thirty, and every speaker reads all
    assert severity(cohort(6, 8, 2, own_sentences=True), "speaker_k") == []  # each speaker has own sentences
    shared_by_two = [
        dataclasses.replace(clip, sentence=f"{int(clip.speaker[1:]) // 2}-{clip.sentence}") for clip in cohort(12, 8, 1)
    ]  # dialogues of pairs of speakers, which the folds separate
    assert severity(shared_by_two, "loso") == ["error"]


def test_a_validation_part_that_shares_speakers_with_training_is_info():
    clips = cohort(3, 4, 2)
    speaker = {clip.clip_id: clip.speaker for clip in clips}
    known = [clip for clip in speaker if speaker[clip] != "s2"]
    fold = Fold("fold1", tuple(known[::2]), tuple(known[1::2]), tuple(clip for clip in speaker if speaker[clip] == "s2"))
    by_name = {finding.name: finding for finding in found_in([fold], items_of(clips), each_once=False)}
    assert by_name["speaker_in_two_parts"].severity == "info" and "no test part is concerned" in by_name["speaker_in_two_parts"].detail


def test_unknown_facts_are_reported_as_info():
    items = [Item(str(row), speaker="" if row else "s0") for row in range(3)]
    findings = audit_folds([Fold("fold1", ("0", "1"), (), ("2",))], items, each_once=False)
    assert {finding.name for finding in findings} == {"speakers_unknown", "validation_absent", "media_not_compared"}
    assert not any(finding.is_flagged for finding in findings)
    assert [finding.name for finding in audit_encoders([EncoderUse("face_expression", None)], ["jaffe"])] == ["encoder_training_unknown"]


def test_duplicates_in_one_part_are_info():
    planted = Planted()
    pair = next(
        pair
        for one, other in itertools.combinations(planted.fold.test, 2)
        if _always_in_one_part(planted.table, [pair := SharedMedia(one, other, "bytes", "equal")])
    )
    findings = [finding for finding in planted.folds(shared_media=[pair]) if finding.name == "duplicates_in_one_part"]
    assert len(findings) == 1 and findings[0].severity == "info" and pair.first in findings[0].detail


def test_damaged_clips_are_counted_by_kind():
    planted = Planted()
    lost = {planted.fold.test[0]: "no_face", planted.fold.test[1]: "undecodable", "elsewhere": "no_face"}
    (finding,) = audit_lost([planted.fold], lost)
    assert finding.count == 2 and "1 no_face, 1 undecodable" in finding.detail and "denominator" in finding.detail
    assert audit_lost([planted.fold], {}) == []


def test_changed_by_compares_every_type_of_leaf():
    arrays = {"x": np.arange(6.0), "flag": np.zeros(6, bool), "label": np.arange(6) % 2}
    rows = np.array([4, 5])
    seen = {
        "float": lambda data: data["x"].mean(),
        "nested": lambda data: {"a": [1, (data["flag"].sum(), "word")], "b": None},
        "order": lambda data: np.argsort(data["label"], kind="stable"),
    }
    assert changed_by(seen["float"], arrays, rows) == [""]
    assert changed_by(seen["nested"], arrays, rows) == ["a.1.0"]
    assert changed_by(seen["order"], arrays, rows) == [""]
    for fit in seen.values():
        assert changed_by(lambda data, fit=fit: fit({name: values[:4] for name, values in data.items()}), arrays, rows) == []
    assert arrays["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]  # the input is not modified
    # A fit may exclude rows by a weight of zero, so their new values must be finite.
    assert changed_by(lambda data: (data["x"] * np.array([1, 1, 1, 1, 0, 0])).sum(), arrays, rows) == []


def test_only_errors_can_be_allowed():
    check_allowed(("speaker_in_two_parts",))
    for wrong in ("speaker", "transductive", 0.001):
        with pytest.raises(ValueError, match=rf"names {wrong}; expected names of these findings: speaker_in_two_parts"):
            check_allowed((wrong,))
    with pytest.raises(ValueError, match="unknown finding"):
        Finding("nope", "")


def test_findings_as_text_and_as_json():
    findings = mark_allowed(
        [Finding("speaker_in_two_parts", "two"), Finding("selected_on_test", "so"), Finding("clips_lost", "one")],
        allow=("speaker_in_two_parts",),
    )
    text = format_findings(findings)
    assert "speaker_in_two_parts (allowed by protocol.allow_leaks): two" in text and text.endswith(
        "0 stop the run, 2 flagged in every table, 1 info"
    )
    assert format_findings([]) == "no findings"
    assert findings[0].as_dict() == {
        "finding": "speaker_in_two_parts",
        "severity": "error",
        "allowed_by": "protocol.allow_leaks",
        "detail": "two",
        "count": 1,
        "examples": (),
    }


@pytest.mark.parametrize(("overlap_s", "is_leak"), [(-1.0, False), (0.0, False), (0.04, False), (0.06, True), (1.0, True)])
def test_spans_of_one_file_may_overlap_by_a_rounded_time(overlap_s, is_leak):
    items = [Item("a", "s0", media=(Span("talk.wav", 0.0, 5.0),)), Item("b", "s1", media=(Span("talk.wav", 5.0 - overlap_s, 9.0),))]
    findings = found_in([Fold("fold1", ("a",), (), ("b",))], items, each_once=False)
    assert ("segments_in_two_parts" in flagged(findings)) == is_leak


def test_a_long_span_overlaps_what_follows_a_short_one_inside_it():
    spans = {"long": (0.0, 9.0), "short": (1.0, 2.0), "later": (5.0, 6.0)}
    items = [Item(name, f"s{row}", media=(Span("talk.wav", *span),)) for row, (name, span) in enumerate(spans.items())]
    findings = found_in([Fold("fold1", ("long", "short"), (), ("later",))], items, each_once=False)
    assert "segments_in_two_parts" in flagged(findings)


@pytest.mark.parametrize(
    ("trained_on", "corpus", "named"),
    [
        ("EmoBox", "ravdess", "ravdess (EmoBox)"),
        ("ck_plus", "ck48", "ck_plus"),
        ("FER+", "fer2013", "FER+"),
        ("CREMA-D", "crema_d", "CREMA-D"),
    ],
)
def test_collections_and_corpora_of_the_same_media_count_as_the_corpus(trained_on, corpus, named):
    (finding,) = audit_encoders([EncoderUse("net", (trained_on,))], [corpus])
    assert finding.name == "encoder_saw_corpus" and finding.stops
    assert finding.detail == f"net was trained on {named}, whose recordings or pictures this experiment tests on"
