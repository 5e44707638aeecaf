"""Made-up cohorts without a leak: clips, folds, split lists and feature tables of honest features, for `benchmarks.leak_audit`."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.identity import clip_identity
from avemo_jax.labels import LABEL_SETS, LabelSet, label_set
from avemo_jax.protocols.folds import PARTS, FoldTable
from avemo_jax.protocols.rules import make_folds

LABELS = label_set("iemocap4")
MOST_SPEAKERS, MOST_COLUMNS, MOST_CLIPS = 90, 60, 1200
LAYOUTS = ("part", "fold", "fold and part", "one column a fold")
_SYLLABLES = ("Ka", "Lo", "Mi", "Nu", "Ra", "Se", "Ti", "Vo", "Ya", "Zu")
# Style -> name of speaker 0, 1, ...; women and men take turns.
_SPEAKERS: dict[str, Callable[[int], str]] = {
    "number": lambda one: str(one + 1),
    "two digits": lambda one: f"{one + 1:02}",
    "four digits": lambda one: str(1001 + one),
    "word and number": lambda one: f"Actor_{one + 1:02}",
    "letter and number": lambda one: f"s{one}",
    "sex and number": lambda one: f"{'FM'[one % 2]}{one // 2 + 1:02}",
    "session and sex": lambda one: f"Ses{one // 2 + 1:02}{'FM'[one % 2]}",
    "initials": lambda one: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[one // 26] + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[one % 26],
    "names": lambda one: _SYLLABLES[one // 10] + _SYLLABLES[one % 10].lower(),
}
_CLIPS: dict[str, Callable[[int, str, str, int], str]] = {
    "its facts": lambda number, speaker, label, take: f"{speaker}_{label}_{take}",
    "a number": lambda number, speaker, label, take: f"{number + 1}",
    "a number of four digits": lambda number, speaker, label, take: f"clip{number:04}.wav",
    "a number in the speaker's folder": lambda number, speaker, label, take: f"{speaker}/{label}{take:02}.wav",
}
_SENTENCES: dict[str, Callable[[int, str, int], str]] = {
    "none": lambda number, speaker, take: "",
    "few": lambda number, speaker, take: f"sentence {take % 12}",
    "read by all": lambda number, speaker, take: f"sentence {take}",
    "each speaker's own": lambda number, speaker, take: f"{speaker} says {number}",
}
_COLUMNS = ("AU{:02}_r", "mfcc_{}_mean", "loudness_sma3_{}", "feature{}", "gaze_angle_{}", "F0semitone_pctl{}", "x{}")


def cohort(seed: int, *, fewest_speakers: int = 6, labels: LabelSet = LABELS) -> list[Clip]:
    """Return the clips of a small made-up corpus, of which a tenth is missing."""
    random = np.random.default_rng(seed)
    num_speakers, num_sentences, num_takes = (int(random.integers(*bounds)) for bounds in ((fewest_speakers, 12), (2, 5), (1, 3)))
    spell = (str, "{:02d}".format, "Actor_{:02d}".format, "spk{}".format)[seed % 4]
    clips = [
        Clip(
            f"{spell(who)}-{sentence}-{emotion}-{take}", "made", emotion, spell(who), sentence=str(sentence), attributes={"take": str(take)}
        )
        for who, sentence, emotion, take in itertools.product(range(num_speakers), range(num_sentences), labels.classes, range(num_takes))
    ]
    return [clip for clip, drawn in zip(clips, random.random(len(clips)), strict=True) if drawn > 0.1]


def features_of(clips: Sequence[Clip], seed: int) -> dict[str, np.ndarray]:
    """Return honest columns: noise of several kinds, and features that follow class and speaker as measured ones do."""
    random = np.random.default_rng(seed)
    _, label = np.unique([clip.label for clip in clips], return_inverse=True)
    _, who = np.unique([clip.speaker for clip in clips], return_inverse=True)
    noise = random.normal(size=(9, len(clips)))
    return {
        "F0_mean_hz": 120 + 80 * (who % 2) + 15 * noise[0],
        "loudness_db": np.round(60 + 6 * random.normal(size=4)[label] + 4 * noise[1], 1),
        "smile": np.clip(noise[2] + 1.5 * (label == 1), 0, 1),
        "AU12_c": (noise[3] + (label == 1) > 0.5).astype(float),
        "num_pauses": random.poisson(2 + label % 2).astype(float),
        "mfcc_1": noise[4] + 1.5 * random.normal(size=int(who.max()) + 1)[who],
        "mfcc_2": np.float32(noise[5]).astype(float),
        "duration_s": np.round(2 + 0.5 * np.abs(noise[6]), 2),
        "confidence": np.round(1 / (1 + np.exp(-3 - noise[7])), 2),
        "jitter": np.exp(noise[8]) / 100,
    }


@dataclasses.dataclass(frozen=True)
class Cohort:
    """A clean cohort of any shape: clips in the order of their making, label set, folds, columns of honest features, each (N,)."""

    clips: tuple[Clip, ...]
    labels: LabelSet
    table: FoldTable
    columns: dict[str, np.ndarray]
    described: str


def cohort_of_any_shape(seed: int) -> Cohort:
    """Return the cohort of a seed: 2 to 8 classes, 4 to 90 speakers, 1,200 clips or fewer, 1 to 60 columns, names in many styles."""
    random = np.random.default_rng([13, seed])

    def one_of(table: Iterable[str]) -> str:
        return str(random.choice(list(table)))

    labels = LabelSet("made", LABEL_SETS["ravdess8"].classes[: int(random.integers(2, 9))])
    num_speakers = int(random.integers(4, MOST_SPEAKERS + 1))
    num_takes = int(random.integers(1, max(2, min(30, MOST_CLIPS // (num_speakers * len(labels.classes)) + 1))))
    speakers, names, sentences, layout = one_of(_SPEAKERS), one_of(_CLIPS), one_of(_SENTENCES), one_of(_COLUMNS)
    is_one_file = bool(random.integers(2))  # a speaker's utterances follow each other in one file
    clips = []
    for number, (one, label, take) in enumerate(itertools.product(range(num_speakers), labels.classes, range(num_takes))):
        if random.random() < 0.1 and take:  # cohorts are not balanced
            continue
        speaker = _SPEAKERS[speakers](one)
        name = _CLIPS[names](number, speaker, label, take)
        clip = Clip(name, "made", label, speaker, gender=("female", "male")[one % 2], sentence=_SENTENCES[sentences](number, speaker, take))
        if is_one_file:
            clip = dataclasses.replace(clip, audio=f"{speaker}.wav", start_s=5.0 * number, end_s=5.0 * number + 5)
        else:
            clip = dataclasses.replace(clip, audio=f"{clip_identity(name)}.wav")
        clips.append(clip)
    codes = np.array([labels.classes.index(clip.label) for clip in clips])
    protocol = ("loso", "speaker_k")[int(random.integers(2))] if num_speakers <= 24 else "speaker_k"
    num_folds = int(random.integers(3, max(4, min(num_speakers // 2, 11))))  # each needs women and men
    table = make_folds(protocol, clips, codes.tolist(), num_folds=num_folds, seed=seed)
    _, who = np.unique([clip.speaker for clip in clips], return_inverse=True)
    columns = {layout.format(place): honest_feature(random, codes, who) for place in range(int(random.integers(1, MOST_COLUMNS + 1)))}
    described = (
        f"{len(labels.classes)} classes, {num_speakers} speakers by {speakers}, {len(clips)} clips by {names}, sentences: {sentences}, "
        f"{protocol}, {len(columns)} columns"
    )
    return Cohort(tuple(clips), labels, table, columns, described)


def honest_feature(random: np.random.Generator, label: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Return a feature (N,) float that is noise, or depends on class and speaker, with overlap; it may be rounded, counted or clipped."""
    of_class, of_speaker = (random.normal(size=codes.max() + 1)[codes] for codes in (label, speaker))
    kinds = (np.zeros(len(label)), of_class, of_speaker, of_class + of_speaker)
    on = random.uniform(0, 2) * kinds[int(random.integers(4))]  # in standard deviations of the noise
    noisy = on + random.normal(size=len(label))
    shapes: tuple[Callable[[], np.ndarray], ...] = (
        lambda: noisy,
        lambda: np.exp(noisy),
        lambda: noisy.round(int(random.integers(0, 3))),
        lambda: random.poisson(np.exp(np.clip(on, -3, 3))),
        lambda: random.binomial(int(random.integers(1, 6)), 1 / (1 + np.exp(-on))),
        lambda: random.integers(0, int(random.integers(2, 12)), len(label)),
        lambda: np.clip(noisy, 0, None),
        lambda: np.clip(0.5 + noisy, 0, 1),
        lambda: np.tanh(2 * noisy).round(2),
        lambda: 100 + 40 * noisy,
    )
    values = np.asarray(shapes[int(random.integers(len(shapes)))](), float)
    return values if (values != values[0]).any() else noisy


def write_split_list(path: Path, made: Cohort, layout: str) -> None:
    """Write the folds of a cohort as a split list in one of LAYOUTS; "part" has the first fold alone."""
    facts = {
        clip.clip_id: (clip.clip_id, clip.speaker, clip.sentence, clip.label, clip.audio, clip.start_s, clip.end_s) for clip in made.clips
    }
    parts = {fold.name: {clip_id: part for part in PARTS for clip_id in getattr(fold, part)} for fold in made.table.folds}
    header: tuple[str, ...] = ("clip", "speaker", "sentence", "label", "file", "start", "end")
    rows: list[tuple]
    if layout == "part":
        first = parts[made.table.folds[0].name]
        header, rows = (*header, "part"), [(*row, first[clip_id]) for clip_id, row in facts.items()]
    elif layout == "fold":
        tested = {clip_id: number for number, fold in enumerate(made.table.folds) for clip_id in fold.test}
        header, rows = (*header, "fold"), [(*row, tested[clip_id]) for clip_id, row in facts.items()]
    elif layout == "fold and part":
        header = (*header, "fold", "part")
        rows = [(*facts[clip_id], name, part) for name, of_clip in parts.items() for clip_id, part in of_clip.items()]
    else:
        header = (*header, *(f"fold{number}" for number in range(len(parts))))
        rows = [(*row, *(of_clip[clip_id] for of_clip in parts.values())) for clip_id, row in facts.items()]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
