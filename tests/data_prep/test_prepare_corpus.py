"""What a config says of its corpus is checked before anything is decoded."""

from __future__ import annotations

import pytest

from configs import base
from data_prep.corpora import CorpusNotFound
from data_prep.prepare_corpus import prepare_corpus


def settings(**fields):
    config = base.get_config()
    for name, value in fields.items():
        config.corpus[name] = value
    return config.to_dict()


@pytest.mark.parametrize(
    ("name", "label_target", "message"),
    [
        ("ravdess", "crowd", "the labels of ravdess are acted, got --config.corpus.label_target=crowd"),
        ("iemocap", "acted", "the labels of iemocap are crowd, got"),
        ("crema_d", "mixed", "the labels of crema_d are acted or crowd, got"),
        ("ravdess+iemocap", "acted", r"the labels of ravdess\+iemocap are mixed, got"),
    ],
)
def test_labels_are_called_what_they_are(name, label_target, message):
    with pytest.raises(ValueError, match=message):
        prepare_corpus(settings(name=name, label_target=label_target, root="/nowhere"))


@pytest.mark.parametrize(("name", "form"), [("jaffe", "root=FOLDER;"), ("jaffe+cfe", "root=jaffe=FOLDER,cfe=FOLDER;")])
def test_a_corpus_without_a_folder_says_how_to_give_one(name, form):
    with pytest.raises(CorpusNotFound, match=rf"no folder is given. Set --config.corpus.{form} .*zenodo"):
        prepare_corpus(settings(name=name))
