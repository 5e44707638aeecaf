"""MELD: three tables, three folders of films, dialogues that are numbered anew in each part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from made_trees import by_id, touch

from avemo_jax.clips import RECORDING
from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, load_clips, meld

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
SIZES = {"train": 9989, "dev": 1109, "test": 2610}
WORDS = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")


def write(root: Path, part: str, rows: list[tuple[int, int, str, str]]) -> None:
    """Write the table of a part and its films; a row is dialogue, utterance, speaker, emotion."""
    lines = [
        f'{n},"Oh, that\x92s so kind",{speaker},{emotion},positive,{dialogue},{utterance},8,21,"00:16:16,059","00:16:21,731"'
        for n, (dialogue, utterance, speaker, emotion) in enumerate(rows, start=1)
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{part}_sent_emo.csv").write_bytes("\r\n".join([HEADER, *lines, ""]).encode("latin-1"))
    touch(root, *(f"{part}/{FOLDERS[part]}/dia{dialogue}_utt{utterance}.mp4" for dialogue, utterance, _, _ in rows))


def rows(count: int) -> list[tuple[int, int, str, str]]:
    return [(n // 10, n % 10, ("Monica", "Joey ", "Chandler")[n % 3], WORDS[n % 7]) for n in range(count)]


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    for part, count in SIZES.items():
        write(tmp_path / "MELD.Raw", part, rows(count))
    clips = load_clips("meld", tmp_path)
    assert len(clips) == meld.NUM_CLIPS == sum(SIZES.values())
    assert Counter(clip.attributes["split"] for clip in clips) == {"train": 9989, "validation": 1109, "test": 2610}
    kept, classes = labelled(clips, label_set("basic7"))
    (fold,) = make_folds("official", kept, classes).folds
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (9989, 1109, 2610)
    clip = by_id(clips)["dev_dia0_utt1"]
    assert (clip.speaker, clip.label, clip.video) == ("Joey", "joy", "MELD.Raw/dev/dev_splits_complete/dia0_utt1.mp4")
    assert clip.audio == clip.video and clip.start_s is None  # the table's times are the episode's
    assert clip.attributes[RECORDING] == "dev_dia0" and clip.attributes["season"] == "8"


def test_traps_of_the_owner_s_folders(tmp_path):
    for part in SIZES:
        write(tmp_path, part, rows(5))
    (tmp_path / "dev/dev_splits_complete/dia0_utt3.mp4").unlink()
    touch(tmp_path, "test/output_repeated_splits_test/final_videos_testdia0_utt0.mp4", "test/output_repeated_splits_test/._dia0_utt0.mp4")
    with pytest.warns(UserWarning, match="no film of 1 utterances: dev_dia0_utt3"):
        clips = load_clips("meld", tmp_path)
    assert len(clips) == 15 and by_id(clips)["dev_dia0_utt3"].video is None
    assert by_id(clips)["test_dia0_utt0"].video == "test/output_repeated_splits_test/dia0_utt0.mp4"


def test_a_part_without_its_table_is_said(tmp_path):
    write(tmp_path, "train", rows(3))
    with pytest.warns(UserWarning, match="no table of the parts dev, test"):
        assert len(load_clips("meld", tmp_path)) == 3
    (tmp_path / "train_sent_emo.csv").unlink()
    with pytest.raises(CorpusNotFound, match="0 tables and 3 films"):
        load_clips("meld", tmp_path)
