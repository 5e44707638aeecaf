"""The corpus is checked before anything is decoded; streams have any names, and their views decide what is prepared."""

from __future__ import annotations

import pytest

from data_prep import prepare_corpus as module
from data_prep.corpora import CorpusNotFound, load_clips
from data_prep.duplicates.near_duplicates import Comparison
from data_prep.prepare_corpus import prepare_corpus, shared_media

MFCC = ("mfcc", {"sample_rate_hz": 16000})
FACES = ("faces", {"rate_fps": 1.0})
MOUTHS = ("mouths", {"rate_fps": 1.0})


def prepared(tmp_path, views, name="synthetic", root=None, label_target="acted", **options):
    return prepare_corpus(
        name,
        root,
        label_target=label_target,
        label_set="ravdess8",
        views=views,
        prepared_dir=tmp_path / "prepared",
        num_workers=1,
        **options,
    )


@pytest.mark.parametrize(
    ("name", "label_target", "message"),
    [
        ("ravdess", "crowd", "the labels of ravdess are acted, got --config.corpus.label_target=crowd"),
        ("iemocap", "acted", "the labels of iemocap are crowd, got"),
        ("crema_d", "mixed", "the labels of crema_d are acted or crowd, got"),
        ("ravdess+iemocap", "acted", r"the labels of ravdess\+iemocap are mixed, got"),
    ],
)
def test_labels_are_called_what_they_are(tmp_path, name, label_target, message):
    with pytest.raises(ValueError, match=message):
        prepared(tmp_path, {"audio": MFCC}, name, "/nowhere", label_target)


@pytest.mark.parametrize(("name", "form"), [("jaffe", "root=FOLDER;"), ("jaffe+cfe", "root=jaffe=FOLDER,cfe=FOLDER;")])
def test_a_corpus_without_a_folder_says_how_to_give_one(tmp_path, name, form):
    with pytest.raises(CorpusNotFound, match=rf"no folder is given. Set --config.corpus.{form} .*zenodo"):
        prepared(tmp_path, {"audio": MFCC}, name)


class TestStreams:
    """Three streams of any names; which views are prepared, without preparing them."""

    @pytest.fixture
    def asked(self, monkeypatch):
        asked = []

        def prepare_view(*, view_name, view_params, clips, **_):
            asked.append((view_name, view_params, len(clips)))
            return view_name

        monkeypatch.setattr(module, "prepare_view", prepare_view)
        return asked

    @pytest.fixture
    def corpus(self, tmp_path):
        options = {"num_actors": 1, "num_takes": 1, "seed": 0, "channel": "all"}  # a channel is an option of other corpora
        return {"root": tmp_path / "corpus", "options": options}

    def test_each_stream_has_the_view_that_is_named_for_it(self, tmp_path, corpus, asked):
        beside = {"mouth": FACES}
        found = prepared(tmp_path, {"face": FACES, "mouth": MOUTHS}, beside=beside, baseline_params={"segment_s": 10.0}, **corpus)
        assert found.sets == {"face": "faces", "mouth": "mouths"} and found.beside == {"mouth": "faces"}
        assert found.functionals is None  # no view is made from sound
        assert asked == [(*FACES, 8), (*MOUTHS, 8), (*FACES, 8)]

    def test_the_baseline_is_prepared_for_any_stream_of_sound(self, tmp_path, corpus, asked):
        params = {"segment_s": 10.0}
        assert prepared(tmp_path, {"voice": MFCC}, baseline_params=params, **corpus).functionals == "functionals"
        assert ("functionals", params, 8) in asked
        assert prepared(tmp_path, {"voice": MFCC}, **corpus).functionals is None

    def test_streams_cut_at_different_places_are_refused(self, tmp_path, corpus):
        with pytest.raises(ValueError, match=r"one of the streams voice .* is cut by speech and the other is not"):
            prepared(tmp_path, {"voice": ("speech_segments", {}), "face": FACES}, **corpus)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("views", "expected"), [({"a": FACES, "b": MOUTHS}, ["video"]), ({"a": MOUTHS, "b": MFCC}, ["audio", "video"])]
    )
    def test_shared_media_are_looked_for_in_the_media_of_the_views(self, tmp_path, corpus, monkeypatch, views, expected):
        compared = []
        found = Comparison((), 0, {})
        monkeypatch.setattr(module, "compare_media", lambda clips, root, *, modalities, **_: compared.append(modalities) or found)
        clips = load_clips("synthetic", corpus["root"], num_actors=1, num_takes=1, seed=0)
        assert shared_media("synthetic", corpus["root"], clips, views=views, prepared_dir=tmp_path, num_workers=1) is found
        assert compared == [expected]
