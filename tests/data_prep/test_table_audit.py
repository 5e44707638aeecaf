"""Columns of a feature table whose content gives the answer away, against the clips of a corpus."""

from __future__ import annotations

import re

import numpy as np
import pytest

from avemo_jax.clips import Clip
from avemo_jax.feature_columns import TableColumns
from avemo_jax.labels import label_set
from data_prep.table_audit import check_columns
from data_prep.views.table import Table

CLIPS = [
    Clip(f"s{speaker}-{emotion}-{take}", "made", emotion, f"s{speaker}", attributes={"take": str(take)})
    for speaker in range(6)
    for emotion in ("angry", "excited", "happy", "neutral", "sad")
    for take in range(2)
]


def feature_table(tmp_path, column, **fields) -> Table:
    """A table of the clips with a column of noise and another one, of which column(clip) tells the cells."""
    noise = np.random.default_rng(0).normal(size=len(CLIPS))
    lines = ["clip,smile,roughness", *(f"{clip.clip_id},{value},{column(clip)}" for clip, value in zip(CLIPS, noise, strict=True))]
    path = tmp_path / "features.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Table(path=str(path), **fields)


def emotion_code(clip: Clip) -> int:
    """Of the corpus's own words: excited and happy clips have different ones."""
    return len(clip.label) * 10 + ord(clip.label[0])


def merged_code(clip: Clip) -> int:
    """Of iemocap4, where excited clips are happy ones."""
    return label_set("iemocap4").class_index(clip.label)


def take_code(clip: Clip) -> int:
    return 3 + 2 * int(clip.attributes["take"])


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (emotion_code, "the (class|emotion)"),
        (merged_code, "the class"),
        (lambda clip: clip.speaker[1:], "the speaker"),
        (take_code, "the take"),
    ],
)
def test_a_column_whose_content_gives_the_answer_away_is_refused_or_reported(tmp_path, column, what):
    def checked(**fields):
        return check_columns(feature_table(tmp_path, column, **fields), CLIPS, lambda name: name, label_set("iemocap4"))

    with pytest.raises(ValueError, match=rf"features.csv: .* 'roughness' looks like {what} \(.*drop_columns=.*'roughness'.*allow_columns="):
        checked()
    assert checked(drop_columns=("roughness",)) == TableColumns(("smile",))
    allowed = checked(allow_columns=("roughness",))
    assert (
        allowed.used == ("smile", "roughness") and list(allowed.allowed) == ["roughness"] and re.match(what, allowed.allowed["roughness"])
    )
