"""The encoders that an experiment uses, one row each: weights, licence, what they were trained on, size."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemo_jax.config import Experiment, OnnxSettings
from avemo_jax.experiment.sources import RANDOM, used_encoders
from avemo_jax.models.encoders import find_encoder
from avemo_jax.pretrained.assets import PUBLISHED, sha256_of
from avemo_jax.pretrained.onnx_graph import graph_files

if TYPE_CHECKING:
    from avemo_jax.pretrained.layout import WeightsLayout


@dataclasses.dataclass(frozen=True)
class UsedEncoder:
    """An encoder that an experiment uses.

    Attributes:
      name: of the encoder.
      weights: "published", "random" or the path of a file.
      licence: of the weights, as their owner, or the config for an ONNX file, states it; "" where it is not stated.
      trained_on: corpora or collections that the weights were trained on; () for random weights, None where it is not stated.
      size_bytes: of the files; 0 for random weights, or where a file is missing.
      sha256: of the files, as results store it; "" where there is none.
    """

    name: str
    weights: str
    licence: str
    trained_on: tuple[str, ...] | None
    size_bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Return the row as run.json has it."""
        return dataclasses.asdict(self)


def encoder_table(experiment: Experiment) -> list[UsedEncoder]:
    """Return the encoders that the streams of an experiment use."""
    return [_row(experiment, name) for name in used_encoders(experiment)]


def _row(experiment: Experiment, name: str) -> UsedEncoder:
    settings = experiment.encoders[name]
    source, weights_dir = settings.weights, Path(experiment.weights_dir)
    if isinstance(settings, OnnxSettings):
        try:
            files = graph_files(Path(source))
        except (OSError, ValueError):
            files = []  # whatever uses the file says so
        return UsedEncoder(name, source, settings.licence, settings.trained_on or None, *_measured(files))
    record = find_encoder(name)
    if source == RANDOM:
        return UsedEncoder(name, source, record.licence, (), 0, "")
    files = _files_of(record.weights, source, weights_dir)
    known = record.trained_on if source == PUBLISHED or is_published(record.weights, source) else None
    return UsedEncoder(name, source, record.licence, known, *_measured(files))


def _measured(files: list[Path]) -> tuple[int, str]:
    if not files or not all(file.is_file() for file in files):
        return 0, ""
    return sum(file.stat().st_size for file in files), sha256_of(*files)


def _files_of(layouts: tuple[WeightsLayout, ...], source: str, weights_dir: Path) -> list[Path]:
    """Return the files of weights on disk: those of a published asset, or a user's."""
    if source != PUBLISHED:
        return layouts[0].files(Path(source)) if layouts else [Path(source)]
    found = []
    for layout in layouts:
        candidates = [[weights_dir / file.name for file in asset.files] for asset in (*layout.assets_without_optional, *layout.assets)]
        found += next((files for files in candidates if all(file.is_file() for file in files)), [])
    return found


def is_published(layouts: tuple[WeightsLayout, ...], source: str) -> bool:
    """Return whether a user's file is a published one, by its sum: what is known of the published one then holds for it."""
    path = Path(source)
    assets = [asset for layout in layouts for asset in (*layout.assets, *layout.assets_without_optional)]
    sums = {file.sha256 for asset in assets for file in asset.files} - {""}
    return path.is_file() and sha256_of(path) in sums
