"""Leak audit of the folds of two benchmarks for speech emotion, whose lists are drawn here anew by their rules.

    python -m benchmarks.others_folds                        prints the table of docs/others_folds.md
    python -m benchmarks.others_folds --keep=FOLDER          also keeps the lists, for run.py --mode=audit --input=...

mteb (github.com/embeddings-benchmark/mteb, abstasks/classification.py) cross-validates tasks without a training part by scikit-learn's
KFold over all clips, five folds, shuffled with seed 42. EmoBox (github.com/emo-box/EmoBox, data/) publishes a list for each corpus; those
of CREMA-D, eNTERFACE'05 and TESS hold one split with a quarter of each emotion's clips in the test part, that of EmoDB five folds. Names
are those of the owners' grids, so a list differs from the published one in which clips are drawn, not in the rule.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from avemo_jax.protocols.audit.split_list import SplitList, audit_split_list, read_split_list
from avemo_jax.text import align_columns
from data_prep.corpora import crema_d, enterface
from data_prep.corpora.known_names import read_known_names

SEED = 42
Names = list[tuple[str, str]]  # (path of a clip, its emotion)


@dataclasses.dataclass(frozen=True)
class OthersList:
    """A split list of another project.

    Attributes:
      project, corpus: their names.
      rule: how its folds are drawn.
      names: function that returns the clips.
      num_folds: of a cross-validation; 0 for one split.
      is_stratified: folds have equal shares of the emotions.
    """

    project: str
    corpus: str
    rule: str
    names: Callable[[], Names]
    num_folds: int
    is_stratified: bool


def ravdess() -> Names:
    neutral = [(1, 1)]
    emotions = neutral + list(itertools.product(range(2, 9), (1, 2)))
    grid = itertools.product(range(1, 25), emotions, (1, 2), (1, 2))
    return [
        (f"Actor_{actor:02}/01-01-{emotion:02}-{level:02}-{sentence:02}-{take:02}-{actor:02}.mp4", str(emotion))
        for actor, (emotion, level), sentence, take in grid
    ]


def crema() -> Names:
    first, *others = crema_d.SENTENCES
    spoken = [(first, level) for level in ("LO", "MD", "HI")] + [(sentence, "XX") for sentence in others]
    grid = itertools.product(range(1001, 1092), spoken, crema_d.EMOTIONS)
    names = {
        f"AudioWAV/{actor}_{word}_{emotion}_{'XX' if emotion == 'NEU' else level}.wav": emotion for actor, (word, level), emotion in grid
    }
    return list(names.items())


def iemocap() -> Names:
    generator = np.random.default_rng(SEED)
    grid = itertools.product(range(1, 6), "FM", range(1, 9), "FM", range(30))
    return [
        (f"Ses{session:02}{worn}_impro{dialogue:02}_{speaker}{number:03}.wav", str(generator.choice(["neu", "hap", "sad", "ang"])))
        for session, worn, dialogue, speaker, number in grid
    ]


def enterface_05() -> Names:
    grid = itertools.product((number for number in range(1, 45) if number != 6), enterface.EMOTIONS, range(1, 6))
    return [
        (f"subject {subject}/{word}/sentence {sentence}/s{subject}_{word[:2]}_{sentence}.avi", word) for subject, word, sentence in grid
    ]


def tess() -> Names:
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    words = ["".join(letters) for letters in itertools.islice(itertools.product(string.ascii_lowercase, repeat=2), 200)]
    return [(f"{speaker}_{word}_{emotion}.wav", emotion) for speaker, word, emotion in itertools.product(("OAF", "YAF"), words, emotions)]


def emodb() -> Names:
    texts = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    return [(f"wav/{speaker}{text}{emotion}a.wav", emotion) for speaker, text, emotion in itertools.product(speakers, texts, "WLEAFTN")]


SHUFFLED = "five shuffled folds over clips"
QUARTER = "a random quarter of each emotion's clips"
LISTS = (
    OthersList("mteb", "RAVDESS (RAVDESS_AV)", SHUFFLED, ravdess, 5, False),
    OthersList("mteb", "CREMA-D", SHUFFLED, crema, 5, False),
    OthersList("mteb", "IEMOCAP", SHUFFLED, iemocap, 5, False),
    OthersList("EmoBox", "CREMA-D", QUARTER, crema, 0, True),
    OthersList("EmoBox", "eNTERFACE'05", QUARTER, enterface_05, 0, True),
    OthersList("EmoBox", "TESS", QUARTER, tess, 0, True),
    OthersList("EmoBox", "EmoDB", "five folds, equal shares of the emotions", emodb, 5, True),
)


def write_list(path: Path, one: OthersList) -> None:
    """Write a list as a CSV file with the columns path, emotion, and fold or part."""
    names = one.names()
    emotions = [emotion for _, emotion in names]
    where = np.empty(len(names), dtype=object)
    if one.num_folds:
        kind = StratifiedKFold if one.is_stratified else KFold
        for fold, (_, test) in enumerate(kind(one.num_folds, shuffle=True, random_state=SEED).split(names, emotions), start=1):
            where[test] = f"fold{fold}"
    else:
        _, test = train_test_split(np.arange(len(names)), test_size=0.25, stratify=emotions, random_state=SEED)
        where[:] = "train"
        where[test] = "test"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [
                ("path", "emotion", "fold" if one.num_folds else "part"),
                *((name, emotion, part) for (name, emotion), part in zip(names, where, strict=True)),
            ]
        )


def shares(split: SplitList) -> tuple[float, int]:
    """Return the share of tested clips whose speaker is in the training part of the same fold, and the number of speakers."""
    speaker = {item.item_id: item.speaker for item in split.items}
    known = total = 0
    for fold in split.folds:
        trained = {speaker[item] for item in fold.train}
        known += sum(speaker[item] in trained for item in fold.test)
        total += len(fold.test)
    return known / total, len(set(speaker.values()))


def audited(folder: Path, one: OthersList) -> list[str]:
    """Return a row of the table."""
    path = folder / f"{one.project}-{one.corpus.split()[0].replace(chr(39), '')}.csv"
    write_list(path, one)
    split = read_split_list(path, known_names=read_known_names)
    found = [finding for finding in audit_split_list(split) if finding.stops]
    share, num_speakers = shares(split)
    stops = ", ".join(f"{finding.name} ({finding.count})" for finding in found) or "none"
    return [one.project, one.corpus, one.rule, f"{len(split.items):,}", str(num_speakers), f"{100 * share:.1f} %", stops]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the lists")
    arguments = parser.parse_args()
    header = ["project", "corpus", "test part", "clips", "speakers", "tested clips of a trained speaker", "errors of the audit"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [audited(folder, one) for one in LISTS]
    print("\n".join(align_columns([header, *rows], ["left"] * 3 + ["right"] * 3 + ["left"])))


if __name__ == "__main__":
    main()
