"""MSP-IMPROV: turns of twelve actors, and the raters' labels in one text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePath

import pytest
from made_trees import by_id, touch

from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, load_clips, msp_improv

ACTORS = [f"{gender}{number:02}" for number in range(1, 7) for gender in "FM"]
SIZES = {"S": 652, "R": 620, "T": 4381, "P": 2785}


def turns() -> list[str]:
    """Return names of as many turns of each scenario as the owner has."""
    found = []
    for scenario, count in SIZES.items():
        for n in range(count):
            pair = ("FM", "MF")[n % 2]
            found.append(f"S{n // 48 % 20 + 1:02}{'AHSN'[n // 12 % 4]}-{ACTORS[n % 12]}-{scenario}-{pair}{n // 960 + 1:02}")
    return found


def write(root: Path, names: list[str], emotions: str = "AHSNOX", *, suffix: str = ".wav", kind: str = "Audio") -> None:
    lines = []
    for n, name in enumerate(names):
        lines.append(f"UTD-IMPROV-{name}.avi; {emotions[n % len(emotions)]}; A:2.857143; V:3.0; D:2.5 ; N:0.571429;")
        lines.append("hit1; 103120_Kim; Angry,; A:2.000000; V:3.000000; D:4.000000; N:3.000000;")
    (root / "Evalution.txt").write_text("\n\n".join(lines))
    paths = [name.split("-") for name in names]
    touch(root, *(f"{kind}/session{p[1][2]}/{p[0]}/{p[2]}/MSP-IMPROV-{'-'.join(p)}{suffix}" for p in paths))


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    names = turns()
    assert len(set(names)) == len(names)
    write(tmp_path, names)
    clips = load_clips("msp_improv", tmp_path)
    assert len(clips) == msp_improv.NUM_CLIPS == 8438
    assert {clip.speaker for clip in clips} == set(ACTORS)
    assert Counter(clip.attributes["scenario"] for clip in clips) == {
        **{"target_improvised": 652, "target_read": 620},
        **{"other_improvised": 4381, "natural": 2785},
    }
    kept, classes = labelled(clips, label_set("iemocap4"))
    assert {clip.label for clip in kept} == {"angry", "happy", "sad", "neutral"}
    table = make_folds("session6", kept, classes)
    assert len(table.folds) == 6 and table.speaker_independent


def test_a_turn_has_its_sound_its_film_and_its_ratings(tmp_path):
    names = ["S01A-F01-P-FM01", "S20H-M06-R-MF02"]
    write(tmp_path, names, "NH")
    write(tmp_path, names, "NH", suffix=".avi", kind="Video")
    first, second = load_clips("msp_improv", tmp_path)
    assert (first.label, first.speaker, first.gender, first.session, first.sentence) == ("neutral", "F01", "female", "1", "")
    assert first.audio == "Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav" and first.video.endswith(
        "P/MSP-IMPROV-S01A-F01-P-FM01.avi"
    )
    assert first.attributes == {
        **{"scenario": "natural", "target": "angry"},
        **{"arousal": "2.857143", "valence": "3.0", "dominance": "2.5", "naturalness": "0.571429"},
    }
    assert (second.label, second.gender, second.session, second.sentence) == ("happy", "male", "6", "S20")
    assert by_id([first, second]).keys() == {msp_improv.clip_id(f"MSP-IMPROV-{name}") for name in names}
    assert msp_improv.named(PurePath("x/UTD-IMPROV-S01A-F01-P-FM01.wav")).speaker == "F01"


def test_turns_without_labels_are_no_corpus(tmp_path):
    write(tmp_path, ["S01A-F01-P-FM01"])
    (tmp_path / "Evalution.txt").write_text("")
    with pytest.raises(CorpusNotFound, match="1 turns and 0 labels"):
        load_clips("msp_improv", tmp_path)
