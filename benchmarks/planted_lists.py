"""Split lists with a leak in the names of their clips, sentences, recordings and spans, for `benchmarks.leak_audit`."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from avemo_jax.protocols.audit.split_list import audit_split_list, read_split_list
from avemo_jax.protocols.folds import PARTS
from data_prep.corpora.known_names import read_known_names

PAIRS = tuple(itertools.permutations(PARTS, 2))
SPELLINGS = {
    "the same": ("anna", "anna"),
    "1 and 01": ("1", "01"),
    "1 and 1.0": ("1", "1.0"),
    "a blank at the end": ("take 7", "take 7 "),
    "two blanks": ("take 7", "take  7"),
    "a no-break space": ("take 7", "take\u00a07"),
    "an invisible character": ("anna", "an\u200bna"),
    "upper case": ("Anna", "ANNA"),
    "German sharp s": ("Strauß", "STRAUSS"),
    "NFC and NFD": ("Jos\u00e9", "Jose\u0301"),
    "full-width digits": ("s12", "s\uff11\uff12"),
    "Arabic digits": ("s12", "s\u0661\u0662"),
    "UTF-8 read as Latin-1": ("Jos\u00e9", "Jos\u00c3\u00a9"),
}


def findings_in(folder: Path, header: str, rows: Sequence[Sequence[object]]) -> set[str]:
    """Return the names of the findings in a split list that are more than information."""
    path = folder / "splits.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return {one.name for one in audit_split_list(read_split_list(path, known_names=read_known_names)) if one.is_flagged}


def lists_with_telling_names(folder: Path) -> Iterator[tuple[str, bool]]:
    """Split lists of which the names of clips show the leak: segments and versions of one recording, and speakers of known corpora."""

    versions = (
        "talk",
        "talk_seg1",
        "talk_seg02",
        "talk-frame0003",
        "talk_chunk_4",
        "talk_noise",
        "talk_pitch-2",
        "talk_speed0.9",
        "talk_16k",
    )
    for (one, other), (first, second) in itertools.product(itertools.combinations(versions, 2), PAIRS):
        found = findings_in(folder, "path,part", [(f"{one}.wav", first), (f"{other}.wav", second), ("x.wav", "test")])
        yield f"{one} in {first}, {other} in {second}", found == {"segments_in_two_parts"}
    names = {
        "ravdess": ("03-01-05-01-02-01-16.wav", "Actor_16/03-01-01-01-01-01-16.wav"),
        "crema_d": ("1001_DFA_ANG_XX.wav", "1001_IEO_SAD_HI.flv"),
        "emodb": ("03a01Fa.wav", "wav/03b02Na.wav"),
        "savee": ("DC/a01.wav", "DC_n05.wav"),
        "tess": ("OAF_back_angry.wav", "OA_bite_neutral.wav"),
        "iemocap": ("Ses01F_impro01_F000.wav", "Ses01M_impro02_F003.wav"),
    }
    columns = {"no column": ("", ""), "row numbers": ("0", "1"), "empty cells": ("16", "")}
    for (corpus, (one, other)), (kind, (who, again)) in itertools.product(names.items(), columns.items()):
        found = findings_in(folder, "path,speaker,part", [(one, who, "train"), (other, again, "test")])
        yield f"{corpus}, {kind}", bool(found & {"speaker_in_two_parts", "speakers_look_alike"})


def lists_of_other_facts(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield sentences, recordings and spans of one file in two parts, spelled in two ways, and one clip with two suffixes."""
    for what, (one, other) in SPELLINGS.items():
        many = [(f"c{row}", f"s{row}", f"text {row % 60}", "train") for row in range(90)]
        rows = [*many, ("x", "sx", one, "train"), ("y", "sy", "text of y", "valid"), ("z", "sz", other, "test")]
        yield f"sentence, {what}", "sentence_in_two_parts" in findings_in(folder, "clip,speaker,sentence,part", rows)
        rows = [("a", "s1", one, "train"), ("b", "s2", "other", "valid"), ("c", "s3", other, "test")]
        yield f"recording, {what}", "segments_in_two_parts" in findings_in(folder, "clip,speaker,recording,part", rows)
    spans = {"a second": (0, 3, 2, 5), "one in the other": (0, 9, 3, 4), "0.1 s": (0, 3, 2.9, 5), "equal": (1, 3, 1, 3)}
    paths = {"one path": "A/talk.wav", "a backslash": "A\\talk.wav", "upper case": "a/Talk.WAV", "a dot": "./A/talk.wav"}
    for (how, times), (what, path), header in itertools.product(spans.items(), paths.items(), ("clip,path", "id,clip")):
        first, second, third, fourth = times
        rows = [("a", "A/talk.wav", first, second, "train"), ("b", "other.wav", 0, 2, "valid"), ("c", path, third, fourth, "test")]
        if header == "id,clip":  # the files are the clips themselves
            rows, header = [row[1:] for row in rows], "clip"
        found = findings_in(folder, f"{header},start,end,part", rows)
        yield f"overlap of {how}, {what}, {header}", bool(found & {"segments_in_two_parts", "same_bytes_in_two_parts", "clip_in_two_parts"})
    for suffix in (".mp4", ".flac", ".npy", ""):
        found = findings_in(folder, "path,part", [("A/x1.wav", "train"), ("y.wav", "valid"), (f"A/x1{suffix}", "test")])
        yield f"A/x1.wav and A/x1{suffix}", "clip_in_two_parts" in found
