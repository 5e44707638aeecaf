"""Planted leaks that the audit must find, in many variants, and clean cohorts with feature tables that must raise no alarm.

    python -m benchmarks.leak_audit                                   variants of each kind of leak, 2 x 1,000 clean cohorts; prints counts
    python -m benchmarks.leak_audit --action_units=CSV --ravdess=DIR  and RAVDESS's action units against its clips
    python -m benchmarks.leak_audit --media=DIR                       copies of the first films or sounds of a folder, and nothing else

Prints a line a kind: how many variants were found. Whatever was not found, and every alarm on a clean cohort, is listed by name; exit code
1 where there is any. tests/protocols/audit/test_leaks.py has one leak of each finding; here are the ways in which people write them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import itertools
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.labels import LabelSet, label_set
from avemo_jax.models.encoders import ENCODERS, find_encoder
from avemo_jax.protocols.audit.facts import EncoderUse, FitUse, audit_encoders, audit_fits, find_part_columns
from avemo_jax.protocols.audit.findings import Finding
from avemo_jax.protocols.audit.fits import changed_by
from avemo_jax.protocols.audit.folds_audit import Item, Span, audit_folds, items_of
from avemo_jax.protocols.audit.split_list import audit_split_list, read_split_list
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable
from avemo_jax.protocols.rules import make_folds
from benchmarks.made_cohorts import LABELS, LAYOUTS, cohort, cohort_of_any_shape, features_of, write_split_list
from benchmarks.planted_lists import lists_of_other_facts, lists_with_telling_names
from benchmarks.planted_media import copied_media, real_media
from data_prep.corpora import ravdess
from data_prep.corpora.known_names import read_known_names
from data_prep.table_audit import check_columns
from data_prep.views.table import Table

Variants = Iterator[tuple[str, bool]]  # what was planted, and whether it was found
TWO_CLASSES = LabelSet("made", LABELS.classes[:2])
PAIRS = tuple(itertools.permutations(PARTS, 2))


def names_in(fold: Fold, items: Sequence[Item], shared_media: Sequence[SharedMedia] = ()) -> set[str]:
    """Return the names of the findings that are more than information."""
    return {one.name for one in audit_folds([fold], items, each_once=False, shared_media=shared_media) if one.is_flagged}


def fold_of(one: str, first: str, other: str, second: str, *, rest: str = "x") -> Fold:
    """Return a fold with clip `one` in the part `first`, `other` in `second`, and a clip of its own in the third."""
    clips = {part: (rest,) for part in PARTS} | {first: (one,), second: (other,)}
    return Fold("fold1", **clips)


def spelled_speakers() -> Variants:
    """One speaker in a test part and another part, spelled in two ways."""
    accents = ("Élodie", "Zoë", "Åsa", "Ñandú", "Nguyễn")
    groups: list[tuple[str, ...]] = [
        *(
            (str(n), f"0{n}", f"00{n}", f"{n}.0", f" {n} ", f"{n}.", f"{n}.00", f"{n},0", f"\ufeff{n}", f"\u200b{n}", f"{n}\t")
            for n in (1, 7, 24, 1091)
        ),
        *((word, word.upper(), word.lower(), f" {word}", f"{word} ", f"{word}\u200b") for word in ("Maria", "OAF", "Ses01F")),
        *((unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word), word.upper()) for word in accents),
        *((word, word.encode().decode("latin-1")) for word in accents),
        ("Actor 1", "actor 01", "ACTOR  1", "Actor\u00a01", "actor 1.0"),
        ("1", "\uff11", "\u0661"),
    ]
    for group in groups:
        for one, other in itertools.combinations(group, 2):
            for part in ("train", "validation"):
                found = names_in(fold_of("a", part, "b", "test"), [Item("a", one), Item("b", other), Item("x", "someone else")])
                yield f"{one!r} and {other!r} in {part} and test", "speaker_in_two_parts" in found


def speakers_that_look_alike() -> Variants:
    """Two names in two parts that are probably one speaker."""
    groups = (
        ("1", "actor_01", "Actor1", "spk-1", "speaker 1", "S01", "subject1", "id1", "#1", "P01", "1_f", "Actor 01 (male)", "no. 1"),
        ("Actor 01", "spk_1", "1", "1.0", "01_F", "talker-1", "client1", "S01M"),
        ("Maria", "maria_2", "Maria 3"),
        ("José", "Jose", "Jos?", "Jos\ufffd"),
        ("Müller", "Mueller", "Muller", "M?ller"),
        ("Søren", "Soeren", "Soren"),
        ("Anna-Lena Berg", "anna lena berg", "Berg, Anna-Lena", "AnnaLena_Berg"),
        ("Anna", "\u0410nn\u0430"),  # Cyrillic letters
        ("Ses01F", "ses_01_f"),
    )
    for group in groups:
        for other in group[1:]:
            found = names_in(fold_of("a", "train", "b", "test"), [Item("a", group[0]), Item("b", other), Item("x", "Zora")])
            yield f"{group[0]!r} and {other!r}", bool(found & {"speakers_look_alike", "speaker_in_two_parts"})


def spelled_clips() -> Variants:
    """One clip in two parts under two names."""
    same = (
        "Actor_01/a-1.wav",
        "Actor_01\\a-1.wav",
        "./Actor_01/a-1.wav",
        "actor_01/A-1.WAV",
        "Actor_01//a-1",
        "Actor_01/a-1.flac",
        " Actor_01/a-1",
        "Actor%5F01/a-1.wav",
        "Actor_1.0/a-01.wav.npy",
    )
    for one, other in itertools.combinations(same, 2):
        for first, second in PAIRS:
            found = names_in(fold_of(one, first, other, second), [Item(one), Item(other), Item("x")])
            yield f"{one!r} in {first}, {other!r} in {second}", "clip_in_two_parts" in found
    others = ("Actor_01_a-1.wav", "Actor_01/a-1 (1).wav", "Actor_01/a-1 - Copy.wav", "Actor_01/Copy of a-1.wav", "../Actor_01/a-1.wav")
    for path in ("data/Actor_01/a-1.wav", "C:\\data\\Actor_01\\a-1.wav", "/corpora/RAVDESS/Actor_01/a-1.wav", *others):
        found = names_in(fold_of("Actor_01/a-1.wav", "train", path, "test"), [Item("Actor_01/a-1.wav"), Item(path), Item("x")])
        yield f"'Actor_01/a-1.wav' and {path!r}", bool(found & {"clip_in_two_parts", "clips_look_alike"})


def copies() -> Variants:
    """Two clips with one recording in two parts, as the comparison of media reports them, or as one file named by both."""
    items = [Item("a", "s0"), Item("b", "s1"), Item("x", "s2")]
    for (first, second), how in itertools.product(PAIRS, ("bytes", "sound", "picture")):
        found = names_in(fold_of("a", first, "b", second), items, [SharedMedia("a", "b", how, "")])
        yield f"{how} in {first} and {second}", bool(found & {"same_bytes_in_two_parts", "near_duplicate_in_two_parts"})
    for first, second in PAIRS:
        both = [Item("a", "s0", media=(Span("one.wav"),)), Item("b", "s1", media=(Span("one.wav"),)), Item("x", "s2")]
        yield f"one file in {first} and {second}", "same_bytes_in_two_parts" in names_in(fold_of("a", first, "b", second), both)


def overlapping_segments() -> Variants:
    """Segments of one file that overlap by 0.06 s or more, or that name one recording."""
    spans = [((0.0, 5.0), (5.0 - overlap_s, 9.0)) for overlap_s in (0.06, 0.1, 0.5, 1.0, 2.5, 4.9)]
    spans += [((0.0, 9.0), (2.0, 3.0)), ((None, 3.0), (2.0, None)), ((None, None), (4.0, 5.0)), ((3.0, 4.0), (0.0, 9.0))]
    for (one, other), (first, second) in itertools.product(spans, PAIRS):
        items = [Item("a", "s0", media=(Span("talk.wav", *one),)), Item("b", "s1", media=(Span("talk.wav", *other),)), Item("x", "s2")]
        yield f"{one} in {first}, {other} in {second}", "segments_in_two_parts" in names_in(fold_of("a", first, "b", second), items)
    for one, other in itertools.combinations(("talk_1", "TALK_1", "talk_1.wav", "./talk_1"), 2):
        items = [Item("a", "s0", recording=one), Item("b", "s1", recording=other), Item("x", "s2")]
        yield f"recordings {one!r} and {other!r}", "segments_in_two_parts" in names_in(fold_of("a", "train", "b", "test"), items)


def fitted_on_everything() -> Variants:
    """Statistics, selections and thresholds fitted on all clips: found; fitted on the training part: clean."""
    fits: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
        "StandardScaler": lambda x, y: StandardScaler().fit(x).mean_,
        "deviation alone": lambda x, y: x.std(axis=0),
        "MinMaxScaler": lambda x, y: MinMaxScaler().fit(x).scale_,
        "RobustScaler": lambda x, y: RobustScaler().fit(x).center_,
        "QuantileTransformer": lambda x, y: QuantileTransformer(n_quantiles=10).fit(x).quantiles_,
        "PCA": lambda x, y: PCA(2, svd_solver="full").fit(x).components_,
        "FastICA": lambda x, y: FastICA(2, random_state=0, tol=0.1).fit(x).components_,
        "KMeans": lambda x, y: KMeans(3, n_init=1, random_state=0).fit(x).cluster_centers_,
        "SelectKBest": lambda x, y: SelectKBest(f_classif, k=3).fit(x, y).scores_,
        "class weights": lambda x, y: np.bincount(y, minlength=3) / len(y),
        "threshold": lambda x, y: np.median(x[y == 1, 0]),
        "correlations": lambda x, y: np.corrcoef(x.T),
    }
    for seed, (name, fit) in itertools.product(range(2), fits.items()):
        random = np.random.default_rng(seed)
        data, rows = {"x": random.normal(size=(60, 5)), "y": random.integers(0, 3, 60)}, np.arange(40, 60)
        for part, is_leak in (("everything", True), ("the training part", False)):
            used = slice(None) if is_leak else slice(40)
            changed = changed_by(lambda arrays, fit=fit, used=used: fit(arrays["x"][used], arrays["y"][used]), data, rows)
            found = [one.name for one in audit_fits([FitUse(name, "fold1", tuple(changed))])]
            yield f"{name} on {part} (seed {seed})", found == ["fitted_outside_training"] * is_leak


def encoders_that_saw_the_corpus() -> Variants:
    """Each encoder with each corpus that it was trained on, spelled as people spell it."""
    for name in ENCODERS:
        trained_on = find_encoder(name).trained_on
        for corpus in trained_on or ():
            spellings = (
                corpus,
                corpus.upper(),
                corpus.lower(),
                corpus.replace("-", "_"),
                f" {corpus} ",
                "".join(filter(str.isalnum, corpus)),
            )
            for spelled in dict.fromkeys(spellings):
                found = [one.name for one in audit_encoders([EncoderUse(name, trained_on)], [spelled])]
                yield f"{name} on {spelled!r}", found == ["encoder_saw_corpus"]


def write_table(folder: Path, clips: Sequence[Clip], columns: dict[str, np.ndarray], seed: int) -> Path:
    """Write a feature table of the clips, its rows in no order, and return its path."""
    path, ids = folder / f"features{seed}.csv", [clip.clip_id for clip in clips]
    rows = [
        ",".join([ids[row], *(repr(float(values[row])) for values in columns.values())])
        for row in np.random.default_rng(seed).permutation(len(ids))
    ]
    path.write_text("\n".join([",".join(["clip", *columns]), *rows]) + "\n", encoding="utf-8")
    return path


def refused_columns(path: Path, clips: Sequence[Clip], clip_id_of: Callable[[str], str | None] = str, labels: LabelSet = LABELS) -> str:
    """Return why a feature table is refused; "" where it is taken."""
    try:
        check_columns(Table(path=str(path)), clips, clip_id_of, labels)
    except ValueError as error:
        return str(error)
    return ""


def columns_that_give_it_away(folder: Path, num_cohorts: int) -> Variants:
    """One column of label, speaker, fold or row among honest ones, under a name that says so and under one that does not."""
    for seed in range(num_cohorts):
        clips = cohort(seed, fewest_speakers=9)
        random = np.random.default_rng(seed)
        _, label = np.unique([clip.label for clip in clips], return_inverse=True)
        _, who = np.unique([clip.speaker for clip in clips], return_inverse=True)
        count = np.arange(len(clips))
        planted = {
            ("label", "emotion"): label,
            ("one-hot label", "is_target"): label == 2,
            ("coded label", "y"): random.normal(size=4)[label],
            ("label with noise", "label_enc"): 3 * label + 0.01 * random.normal(size=len(label)),
            ("label, wrong in one clip of 60", "target"): np.where(count % 60 == 7, (label + 1) % 4, label),
            ("two of the classes", "class2"): label < 2,
            **{
                (f"label of the training part, then {what}", "class"): np.where(who < 6, label, rest)
                for what, rest in _fills(random, label).items()
            },
            ("speaker", "Actor"): who,
            ("gender", "gender"): who % 2,
            ("fold", "fold"): who % 5,
            ("part", "is_train"): who < 6,
            ("row", "Unnamed: 0"): random.permutation(len(count)),
            ("row in steps of ten", "idx"): 1000 + 10 * random.permutation(len(count)),
            ("row from the last", "rownum"): -count,
            ("row as time", "index"): np.cumsum(random.random(len(count)) + 0.1),
            ("row as a share", "row_id"): count / len(count),
        }
        for (kind, telling), values in planted.items():
            for name in (telling, "x1"):
                path = write_table(folder, clips, features_of(clips, seed) | {name: np.asarray(values, float)}, seed)
                yield f"{kind} as {name!r} (cohort {seed})", f"{name!r} looks like" in refused_columns(path, clips)


def _fills(random: np.random.Generator, label: np.ndarray) -> dict[str, np.ndarray | float]:
    """Return what people write in place of labels that a column does not have."""
    return {"-1": -1, "99": 99, "their mean": label.mean(), "noise": random.normal(size=len(label)), "shares": random.random(len(label))}


def columns_of_two_classes(folder: Path, num_cohorts: int) -> Variants:
    """A column of the label of two classes, whole or for the training part alone."""
    for seed in range(num_cohorts):
        cells = list(itertools.product(range(9 + seed % 12), TWO_CLASSES.classes, range(4 + seed % 9)))
        clips = [Clip(f"{who}-{emotion}-{take}", "made", emotion, f"s{who}") for who, emotion, take in cells]
        who, label = np.array([one for one, *_ in cells]), np.array([TWO_CLASSES.classes.index(emotion) for _, emotion, _ in cells])
        random = np.random.default_rng(seed)
        planted = {
            "label": label,
            "coded label": 3.7 * label - 1,
            "label, wrong in one clip of 90": label ^ (np.arange(len(label)) % 90 == 7),
        }
        for what, rest in _fills(random, label).items():
            planted[f"label of the training part, then {what}"] = np.where(who < 2 * who.max() / 3, label, rest)
        for kind, values in planted.items():
            path = write_table(folder, clips, features_of(clips, seed) | {"x1": np.asarray(values, float)}, seed)
            yield f"{kind} (cohort {seed})", "'x1' looks like" in refused_columns(path, clips, labels=TWO_CLASSES)


def folds_of(clips: Sequence[Clip], protocol: str, seed: int) -> FoldTable:
    return make_folds(protocol, clips, [LABELS.classes.index(clip.label) for clip in clips], num_folds=3, seed=seed)


def part_columns(path: Path, clips: Sequence[Clip], folds: FoldTable) -> dict[str, str]:
    """Return what the columns of a feature table tell of the folds; nothing where the table is refused before."""
    with contextlib.suppress(ValueError):
        return find_part_columns(folds, check_columns(Table(path=str(path)), clips, str, LABELS))
    return {}


def columns_that_tell_folds(folder: Path, num_cohorts: int) -> Variants:
    """One column of the run's own folds among honest ones, under a name that does not say so."""
    for seed in range(num_cohorts):
        clips = cohort(seed, fewest_speakers=9)
        ids, folds = [clip.clip_id for clip in clips], folds_of(clips, "random_k", seed)
        test = np.array([number for one in ids for number, fold in enumerate(folds.folds) if one in fold.test], float)
        part = np.array([number for one in ids for number, name in enumerate(PARTS) if one in getattr(folds.folds[0], name)], float)
        noisy = test + 0.01 * np.random.default_rng(seed).normal(size=len(clips))
        for kind, values in {"fold": test, "fold with noise": noisy, "test part": test == 1, "part": part, "training": part == 0}.items():
            path = write_table(folder, clips, features_of(clips, seed) | {"x1": np.asarray(values, float)}, seed)
            yield f"{kind} (cohort {seed})", list(part_columns(path, clips, folds)) == ["x1"]


def clean_cohorts(folder: Path, num_cohorts: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a cohort with folds by speaker and an honest feature table, and the alarms that it raises."""
    for seed in range(num_cohorts):
        clips = cohort(seed)
        table = folds_of(clips, protocol := ("speaker_k", "loso")[seed % 2], seed)
        spans = [
            dataclasses.replace(clip, audio=f"{clip.speaker}.wav", start_s=4.0 * row, end_s=4.0 * row + 4) for row, clip in enumerate(clips)
        ]
        findings: list[Finding] = audit_folds(table.folds, items_of(spans), each_once=True, shared_media=())
        features = write_table(folder, clips, features_of(clips, seed), seed)
        refused = refused_columns(features, clips)
        telling = [what for name in (protocol, "random_k") for what in part_columns(features, clips, folds_of(clips, name, seed)).values()]
        features.unlink()
        yield f"cohort {seed}, {protocol}", [one.name for one in findings if one.is_flagged] + [refused] * bool(refused) + telling


def clean_cohorts_of_any_shape(folder: Path, num_cohorts: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a cohort with folds, a split list in one of several layouts, and a feature table, and the alarms that they raise."""
    for seed in range(num_cohorts):
        made = cohort_of_any_shape(seed)
        findings = audit_folds(made.table.folds, items_of(made.clips), each_once=made.table.each_clip_once, shared_media=())
        write_split_list(folder / "splits.csv", made, LAYOUTS[seed % len(LAYOUTS)])
        findings += audit_split_list(read_split_list(folder / "splits.csv", known_names=read_known_names), shared_media=())
        features = write_table(folder, made.clips, made.columns, seed)
        refused = refused_columns(features, made.clips, labels=made.labels)
        features.unlink()
        alarms = [f"{one.name} ({one.detail})" for one in findings if one.is_flagged]
        yield f"cohort of any shape {seed}: {made.described}", alarms + [refused] * bool(refused)


def run(num_cohorts: int, *, num_planted_tables: int = 20, has_media: bool = True) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Return kind -> (found, planted), with "clean ..." -> (without alarm, cohorts), and what was missed or raised in vain."""
    counts, wrong = {}, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds: dict[str, Callable[[], Variants]] = {
            "speakers, one spelled in two ways": spelled_speakers,
            "speakers that look alike": speakers_that_look_alike,
            "clips, one spelled in two ways": spelled_clips,
            "split lists with telling names": functools.partial(lists_with_telling_names, folder),
            "split lists of sentences, recordings, spans": functools.partial(lists_of_other_facts, folder),
            "copies of clips": copies,
            "overlapping segments": overlapping_segments,
            "statistics fitted on everything": fitted_on_everything,
            "encoders trained on the corpus": encoders_that_saw_the_corpus,
            "columns of feature tables": functools.partial(columns_that_give_it_away, folder, num_planted_tables),
            "columns of two classes": functools.partial(columns_of_two_classes, folder, num_planted_tables),
            **({"copies of films and sounds": functools.partial(copied_media, folder)} if has_media else {}),
            "columns that tell folds": functools.partial(columns_that_tell_folds, folder, num_planted_tables),
        }
        for kind, variants in kinds.items():
            outcomes = list(variants())
            counts[kind] = sum(found for _, found in outcomes), len(outcomes)
            wrong += [f"{kind}: {what}: not found" for what, found in outcomes if not found]
        for kind, cohorts in (("clean cohorts", clean_cohorts), ("clean cohorts of any shape", clean_cohorts_of_any_shape)):
            alarms = list(cohorts(folder, num_cohorts))
            counts[kind] = sum(not raised for _, raised in alarms), len(alarms)
            wrong += [f"{what}: {'; '.join(raised)}" for what, raised in alarms if raised]
    return counts, wrong


def action_units(table: Path, root: Path) -> list[str]:
    """Return the alarms that RAVDESS's action units raise against its clips."""
    clips = ravdess.clips(root)
    refused = refused_columns(table, clips, ravdess.clip_id, label_set("ravdess8"))
    print(f"action units of RAVDESS, {len(clips)} clips: {refused or 'no alarm'}")
    return [refused] if refused else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_cohorts", type=int, default=1000, help="clean cohorts of each of two kinds")
    parser.add_argument("--action_units", type=Path, help="feature table of RAVDESS")
    parser.add_argument("--ravdess", type=Path, help="folder of RAVDESS")
    parser.add_argument("--media", type=Path, help="folder of films or sounds of which no two hold one recording")
    parser.add_argument("--num_media", type=int, default=40, help="of them to compare, spread over the folder")
    given = parser.parse_args()
    counts, wrong = real_media(given.media, given.num_media) if given.media else run(given.num_cohorts)
    for kind, (found, planted) in counts.items():
        print(f"{found:5} of {planted:5}  {kind}{' without an alarm' if kind.startswith('clean') else ''}")
    if given.action_units and given.ravdess:
        wrong += action_units(given.action_units, given.ravdess)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
