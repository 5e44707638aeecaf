"""The guide to a new corpus: its example, taken out of the page, is read, prepared and divided."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from made_trees import touch

from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CORPORA, load_clips
from data_prep.prepare_corpus import prepare_corpus

GUIDE = Path(__file__).resolve().parents[3] / "data_prep" / "corpora" / "README.md"


@pytest.fixture
def example(tmp_path, monkeypatch) -> tuple[ModuleType, ModuleType]:
    """The page's reader and config as modules, the reader registered."""
    modules = []
    for name, source in zip(("emovo", "emovo_config"), re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL), strict=True):
        assert len(source.splitlines()) < 100
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        modules.append(importlib.util.module_from_spec(spec))
        monkeypatch.setitem(sys.modules, name, modules[-1])
        spec.loader.exec_module(modules[-1])
    monkeypatch.setitem(CORPORA, "emovo", modules[0])
    return tuple(modules)


def names(emotions, sentences=tuple(f"{letter}{number}" for letter in "bdlnv" for number in (1, 2, 3))[:14]):
    actors = [f"{gender}{number}" for gender in "fm" for number in (1, 2, 3)]
    return [f"{actor}/{emotion}-{actor}-{sentence}.wav" for emotion, actor, sentence in itertools.product(emotions, actors, sentences)]


def test_the_example_reads_the_whole_corpus_with_its_labels_and_folds(example, tmp_path):
    emovo, config = example
    clips = load_clips("emovo", touch(tmp_path / "EMOVO", *names(emovo.EMOTIONS)))
    assert len(clips) == emovo.NUM_CLIPS == 588
    kept, classes = labelled(clips, label_set(config.get_config().corpus.label_set))
    assert len(kept) == 588 and Counter(classes) == {index: 84 for index in range(7)}
    folds = make_folds(config.get_config().protocol.name, kept, classes).folds
    assert [len(fold.test) for fold in folds] == [98] * 6
    assert set(config.SYSTEMS) >= {"gru_attention_small", "mfcc_lstm"} and "image_cnn" not in config.SYSTEMS


@pytest.mark.slow
def test_the_example_is_prepared(example, tmp_path):
    _, module = example
    for name in names(("gio", "tri"), ("b1",)):
        path = tmp_path / "EMOVO" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.sin(np.arange(8000) / (5 if "gio" in name else 20)), 16000)
    config = module.get_config("mfcc_lstm")
    prepared = prepare_corpus(
        config.corpus.name,
        tmp_path / "EMOVO",
        label_target=config.corpus.label_target,
        label_set=config.corpus.label_set,
        options=config.corpus.to_dict(),
        views={"audio": ("mfcc_mean", config.views.mfcc_mean.to_dict())},
        prepared_dir=tmp_path / "prepared",
        num_workers=1,
    )
    assert len(prepared.clips) == 12
    examples = list(prepared.sets["audio"].examples())
    assert [example.clip_id for example in examples] == sorted(Path(name).stem for name in names(("gio", "tri"), ("b1",)))
    assert all(np.isfinite(example.values).all() for example in examples)


def test_the_page_names_files_that_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text()):
        assert target.startswith("http") or (GUIDE.parent / target).exists(), target
