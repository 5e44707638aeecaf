"""Corpora joined into one, such as "ravdess+savee": C's mixed images, D's two corpora, training here and testing there.

Every clip has the name of its own corpus; ids and speakers are prefixed by it ("savee:DC_a01", "savee:DC"), so that equal numbers of two
corpora remain two clips and two people. Each corpus has its root: --config.corpus.root=ravdess=/data/RAVDESS,savee=/data/SAVEE.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from avemo_jax.clips import Clip
from data_prep.corpora.layout import CorpusNotFound

SEPARATOR = "+"
# Pairs with the same people in the same pictures: joined, they would count twice, and as two people.
SAME_PEOPLE = {frozenset(("ck_plus", "ck48")): "the pictures of ck48 are frames of ck_plus, cut out and reduced"}


class JoinedCorpus:
    """Several corpora with the contract of one, see `data_prep.corpora`.

    Args:
      modules: name -> module, in the order that they are named in.

    Raises:
      ValueError: two corpora of the same people.
    """

    def __init__(self, modules: Mapping[str, ModuleType]):
        for pair in itertools.combinations(modules, 2):
            if reason := SAME_PEOPLE.get(frozenset(pair)):
                raise ValueError(f"{' and '.join(pair)} cannot be joined: {reason}; take one of them (--config.corpus.name=)")
        self.modules = dict(modules)
        self.name = SEPARATOR.join(modules)
        self.ADDRESS = "; ".join(f"{name}: {module.ADDRESS}" for name, module in modules.items())
        self.LAYOUT = "; ".join(f"{name}: {module.LAYOUT}" for name, module in modules.items())
        self.OPTIONS = tuple(dict.fromkeys(option for module in modules.values() for option in module.OPTIONS))
        self.MODALITIES = tuple(
            kind for kind in ("audio", "video", "still") if all(kind in of for of in map(_modalities, modules.values()))
        )
        common = [
            target for target in next(iter(modules.values())).LABEL_TARGETS if all(target in of.LABEL_TARGETS for of in modules.values())
        ]
        self.LABEL_TARGETS = tuple(common) or ("mixed",)

    def clips(self, root: str, **options: Any) -> tuple[Clip, ...]:
        """Read all corpora; media are absolute paths, because the corpora need not lie in one folder.

        Args:
          root: "NAME=FOLDER,NAME=FOLDER", one for each corpus.
          **options: of those corpora that have them.

        Raises:
          ValueError: a corpus has no root, or two.
          CorpusNotFound: a folder does not hold its corpus.
        """
        found: list[Clip] = []
        roots = self.roots(root)
        for name, module in self.modules.items():
            found += [_renamed(clip, roots[name].resolve()) for clip in module.clips(roots[name], **own_options(module, options))]
        return tuple(sorted(found, key=lambda clip: clip.clip_id))

    def roots(self, text: str) -> dict[str, Path]:
        """Read "NAME=FOLDER,NAME=FOLDER"; a comma belongs to a folder's name unless the name of one of the corpora follows.

        Raises:
          CorpusNotFound: a corpus has no root.
          ValueError: a corpus has two, or the text names another one.
        """
        pieces = re.split(rf",(?=(?:{'|'.join(map(re.escape, self.modules))})=)", text)
        roots: dict[str, Path] = {}
        for piece in pieces:
            name, _, folder = piece.partition("=")
            if name not in self.modules or not folder or name in roots:
                raise ValueError(f"expected --config.corpus.root={self.root_form()}, each corpus once, got {text!r}")
            roots[name] = Path(folder)
        if missing := [name for name in self.modules if name not in roots]:
            asked = "; ".join(f"{name}: {self.modules[name].ADDRESS}" for name in missing)
            raise CorpusNotFound(f"{self.name}: no folder for {', '.join(missing)}; set --config.corpus.root={self.root_form()}; {asked}")
        return roots

    def clip_id(self, stem: str) -> str | None:
        """Return the clip that a media name or a table row belongs to, or None where it belongs to no corpus or to several."""
        name, _, own = stem.partition(":")
        found = [(name, own)] if name in self.modules else [(name, stem) for name in self.modules]
        named = [f"{name}:{own_id}" for name, own in found if (own_id := self.modules[name].clip_id(own)) is not None]
        return named[0] if len(named) == 1 else None

    def root_form(self) -> str:
        """Return the form of config.corpus.root for these corpora."""
        return ",".join(f"{name}=FOLDER" for name in self.modules)


def own_options(module: ModuleType | JoinedCorpus, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that a corpus has."""
    return {option: value for option, value in options.items() if option in module.OPTIONS}


def _modalities(module: ModuleType) -> tuple[str, ...]:
    """Modalities of a corpus; films have still pictures too."""
    return (*module.MODALITIES, "still") if "video" in module.MODALITIES else module.MODALITIES


def _renamed(clip: Clip, root: Path) -> Clip:
    def absolute(media: str | None) -> str | None:
        return None if media is None else (root / media).as_posix()

    return dataclasses.replace(
        clip,
        clip_id=f"{clip.corpus}:{clip.clip_id}",
        speaker=clip.speaker and f"{clip.corpus}:{clip.speaker}",
        session=clip.session and f"{clip.corpus}:{clip.session}",
        sentence=clip.sentence and f"{clip.corpus}:{clip.sentence}",
        audio=absolute(clip.audio),
        video=absolute(clip.video),
    )
