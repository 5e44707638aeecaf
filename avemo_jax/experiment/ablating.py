"""What each part of the classical system is worth: one part left out at a time, judged within the training parts alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from avemo_jax.evaluation.metrics import confusion
from avemo_jax.experiment.classical_stage import Statistics, counted_metric, rows_of_parts
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.training.machines import KERNELS
from avemo_jax.training.ridge import PENALTIES, inner_predictions
from avemo_jax.training.stage import Stage

WHOLE = "the whole system"
_MIDDLE_PENALTY = PENALTIES[len(PENALTIES) // 2]


@dataclasses.dataclass(frozen=True)
class Variant:
    """A system without one of its parts.

    Attributes:
      name: what is left out, or put in its place.
      keeps: (D,) bool, the features that are left.
      has_copies: whether degraded copies are trained on.
      kernel: of the machine.
      penalties: values that its inner folds choose among.
    """

    name: str
    keeps: np.ndarray
    has_copies: bool
    kernel: str
    penalties: tuple[float, ...] = PENALTIES


def variants_of(plan: GridPlan, stage: Stage, found: Statistics, parts: Mapping[str, Mapping[str, np.ndarray]]) -> list[Variant]:
    """Return the whole system, and the system without each of its parts in turn.

    Parts are the streams, means and deviations, layers of an encoder, parts of a view, the degraded copies, the Gaussian kernel, and the
    choice of the penalty.

    Args:
      parts: stream -> parts of its view by name, each as (S,) bool over the numbers of a step.
    """
    has_copies = bool(found.copy.any())
    whole = Variant(WHOLE, np.ones(found.features.shape[1], bool), has_copies, KERNELS[stage.part])
    several = len(stage.streams) > 1
    variants = [whole]
    ends = np.cumsum(found.widths)
    for stream, start, end in zip(stage.streams, ends - found.widths, ends, strict=True):
        shape, _ = plan.data.step_of(stream)
        size = int(np.prod(shape))

        def without(name: str, left_out: np.ndarray, stream: str = stream, start: int = start, end: int = end) -> Variant:
            keeps = whole.keeps.copy()
            keeps[start:end] = ~left_out
            return dataclasses.replace(whole, name=f"without {stream}: {name}" if name else f"without {stream}", keeps=keeps)

        if several:
            variants.append(without("", np.ones(end - start, bool)))
        repeats = (end - start) // size
        if repeats > 1:
            variants.append(without("deviations", np.arange(end - start) >= size))
            variants.append(without("means", np.arange(end - start) < size))
        own = dict(parts.get(stream, {})) | _layers(plan, stream, shape)
        variants += [without(name, np.tile(left_out, repeats)) for name, left_out in own.items()]
    if has_copies:
        variants.append(dataclasses.replace(whole, name=f"without copies ({', '.join(plan.experiment.train.copies)})", has_copies=False))
    if whole.kernel != "linear":
        variants.append(dataclasses.replace(whole, name="a linear machine in place of the kernel", kernel="linear"))
    fixed = f"the penalty {_MIDDLE_PENALTY:g} in place of the chosen one"
    return [*variants, dataclasses.replace(whole, name=fixed, penalties=(_MIDDLE_PENALTY,))]


def ablate(plan: GridPlan, stage: Stage, found: Statistics, variants: list[Variant], folds: range) -> Iterator[tuple[Variant, np.ndarray]]:
    """Yield each variant with the confusions (G, K, K) of the training speakers, in the order of their names.

    Of each fold, the clips of the training part are predicted by fits on other training speakers, with the penalty that these inner folds
    choose. A speaker counts once for each fold that trains on him. The test parts are not used.

    Raises:
      ValueError: a training part has fewer than two named speakers.
    """
    speaker = np.asarray([clip.speaker for clip in plan.clips])[found.clip]
    firsts = {trial.fold: trial for trial in reversed(plan.trials)}
    metric, num_classes = counted_metric(plan.experiment.protocol.metric), plan.blueprint.num_classes
    rows_of = {fold: rows_of_parts(plan, stage, found, firsts[fold]) for fold in folds}
    names = sorted({name for train, _ in rows_of.values() for name in speaker[train]} - {""})
    if any(len(set(speaker[train]) - {""}) < 2 for train, _ in rows_of.values()):
        raise ValueError(
            "--mode=ablate judges on speakers of the training part that are held out in turn, and a training part has fewer than two named "
            "speakers; choose another protocol"
        )
    for variant in variants:
        features = found.features[:, variant.keeps]
        ends = np.cumsum(found.widths)
        widths = [int(variant.keeps[start:end].sum()) for start, end in itertools.pairwise([0, *ends])]
        counts = np.zeros((len(names), num_classes, num_classes), int)
        for train, select in rows_of.values():
            own = train if variant.has_copies else train[found.copy[train] == 0]
            predicted = inner_predictions(
                features,
                found.label,
                kernel=variant.kernel,
                speaker=speaker,
                train=own,
                validation=select,
                widths=[width for width in widths if width],
                penalties=variant.penalties,
            )
            chosen = predicted.predicted[predicted.best(found.label, num_classes, metric)]
            is_clip = found.copy[predicted.rows] == 0
            rows, of_clips = predicted.rows[is_clip], chosen[is_clip]
            for place, name in enumerate(names):
                is_own = speaker[rows] == name
                counts[place] += confusion(found.label[rows[is_own]], of_clips[is_own], num_classes)
        yield variant, counts


def _layers(plan: GridPlan, stream: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the layers of a stream's encoder, where its steps have several."""
    settings = plan.experiment.streams[stream]
    if len(shape) != 2 or settings.encoder == "none":
        return {}
    layer = np.repeat(np.arange(shape[0]), shape[1])
    names = getattr(plan.experiment.encoders.get(settings.encoder), "layers", "").split(",")
    titles = names if len(names) == shape[0] else [str(number + 1) for number in range(shape[0])]
    return {f"layer {title}": layer == number for number, title in enumerate(titles)}
