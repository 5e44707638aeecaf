"""Which parts of a clip a trained network's answer rests on, by occlusion: hide a part, and see how much less probable the label becomes.

Each test clip is explained by the network of its own fold, which was not trained on it. A feature stream is divided into spans of time and
bands of features, a stream of pictures into spans of time and, apart from that, into squares of the picture. What is hidden is replaced by
the mean of the training part (0 after standardisation), or by the clip's own mean where a stream is not standardised. Source: Zeiler and
Fergus 2014, Visualizing and understanding convolutional networks, section 4.2; the check by deletion: Petsiuk et al. 2018, RISE, section 4.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import FallbackOutcome, LateOutcome, NetworkOutcome, Outcome
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.training.frontend import network_input
from avemo_jax.training.steps import probabilities_of

NUM_SPANS, MOST_BANDS, NUM_SQUARES = 8, 8, 6
SHARES = tuple(step / 10 for step in range(11))  # of the cells that are deleted
_BATCH = 32
_NUM_RANDOM = 3  # random orders of deletion

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Division:
    """How a stream is divided into cells.

    Attributes:
      stream: its name.
      name: "time and features", "time" or "picture".
      shape: (spans of time, bands of features) or (rows, columns of the picture) or (spans, 1).
    """

    stream: str
    name: str
    shape: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What was found by one division.

    Attributes:
      division: the cells.
      clips: ids of the N clips.
      label: (N,) int64.
      importance: (N, R, C) float64, by how much the label's probability falls when the cell is hidden.
      probability: (N,) float64, of the label with nothing hidden.
      deletion, random: (S,) float64, mean probability of the label when the most important share of the cells is hidden, for `SHARES`, and
        when as many random cells are.
      picture: (H, W, C) uint8, the mean of the clips' pictures, for squares of a picture; None else.
    """

    division: Division
    clips: tuple[str, ...]
    label: np.ndarray
    importance: np.ndarray
    probability: np.ndarray
    deletion: np.ndarray
    random: np.ndarray
    picture: np.ndarray | None = None


def explain_tests(plan: GridPlan, outcome: Outcome, *, clips_per_class: int, folds: range) -> list[Explanation]:
    """Return explanations of test clips of every class by the network of their own fold, of the lowest seed.

    The clips are the first of each class by name, from as many speakers as there are; none is chosen by its result.

    Raises:
      ValueError: the last stage is no network (a classical system).
    """
    outcome = outcome.whole if isinstance(outcome, FallbackOutcome) else outcome
    if not isinstance(outcome, NetworkOutcome | LateOutcome):
        raise ValueError(
            f"--mode=explain hides parts of the input of a network, and {plan.experiment.system.name} has none; the stages that it can "
            "explain are networks and late fusion"
        )
    chosen = [one for one in chosen_trials(plan.trials, outcome.score) if plan.trials[one].fold in folds]
    lowest = min(plan.trials[one].seed for one in chosen)
    found: list[list[Explanation]] = []
    wanted = _clips_to_explain(plan, clips_per_class)
    for position in (one for one in chosen if plan.trials[one].seed == lowest):
        rows = plan.test_rows(plan.trials[position])
        rows = rows[plan.data.usable[rows] & np.isin(plan.data.clip[rows], wanted)]
        _, first = np.unique(plan.data.clip[rows], return_index=True)  # of a long clip its first segment
        rows = rows[np.sort(first)]
        if len(rows):
            found.append(list(_explain(plan, outcome, position, rows)))
    return [_joined(several) for several in zip(*found, strict=True)]


def _clips_to_explain(plan: GridPlan, clips_per_class: int) -> np.ndarray:
    """Return the numbers of the first clips of each class in plan.clips, speaker by speaker in turn."""
    order: dict[int, dict[str, list[int]]] = {}
    for number, (clip, label) in enumerate(zip(plan.clips, plan.classes, strict=True)):
        order.setdefault(int(label), {}).setdefault(clip.speaker, []).append(number)
    chosen: list[int] = []
    for speakers in order.values():
        turns = sorted((turn, speaker, number) for speaker, own in speakers.items() for turn, number in enumerate(own))
        chosen += [number for _, _, number in turns[:clips_per_class]]
    return np.asarray(chosen)


def _explain(plan: GridPlan, outcome: NetworkOutcome | LateOutcome, position: int, rows: np.ndarray) -> Iterator[Explanation]:
    """Yield the explanation of the examples `rows` by one trial, for each division."""
    networks = outcome.earlier if isinstance(outcome, LateOutcome) else [outcome]
    join = outcome.joiners[position].join if isinstance(outcome, LateOutcome) else lambda parts: parts[0]
    trial = plan.trials[position]
    own = [_Network(plan, one, position) for one in networks]
    streams = list(dict.fromkeys(stream for one in networks for stream in one.stage.streams))
    views = plan.data.only(streams).load(rows)
    inputs = [one.input(views) for one in own]
    num_classes = plan.blueprint.num_classes

    label = np.asarray(plan.classes)[plan.data.clip[rows]]
    ids = tuple(plan.data.clip_ids[number] for number in plan.data.clip[rows])

    def predict(division: Division, cells: np.ndarray) -> np.ndarray:
        """Return the probability of the label (N,) with cells (N, R x C) bool hidden."""
        parts = [one.predict(hide(batch, one, division, cells))[:, :num_classes] for one, batch in zip(own, inputs, strict=True)]
        return join(parts)[np.arange(len(rows)), label]

    random = np.random.default_rng([0, trial.fold])
    for division in _divisions(plan, own, inputs):
        size = division.shape[0] * division.shape[1]
        whole = predict(division, np.zeros((len(rows), size), bool))
        importance = np.stack([whole - predict(division, _one_cell(size, cell, len(rows))) for cell in range(size)], axis=1)
        deleted = functools.partial(_deleted, functools.partial(predict, division), size)
        orders = [random.permuted(np.tile(np.arange(size), (len(rows), 1)), axis=1) for _ in range(_NUM_RANDOM)]
        yield Explanation(
            division,
            ids,
            label,
            importance.reshape(len(rows), *division.shape),
            whole,
            deleted(np.argsort(-importance, axis=1, kind="stable")),
            np.mean([deleted(order) for order in orders], axis=0),
            _mean_picture(views, division.stream) if division.name == "picture" else None,
        )


def _deleted(predict: Callable[[np.ndarray], np.ndarray], size: int, order: np.ndarray) -> np.ndarray:
    """Return (S,) mean probability of the label when the first cells of each clip's order (N, cells) are hidden, for `SHARES`."""
    rank = np.argsort(order, axis=1)
    return np.array([predict(rank < round(share * size)).mean() for share in SHARES])


def _divisions(plan: GridPlan, networks: Sequence[_Network], inputs: Sequence[Batch]) -> list[Division]:
    """Return the divisions of all streams: pictures by time and by squares, other streams by time and bands of features."""
    shapes = {stream: batch[stream].shape for one, batch in zip(networks, inputs, strict=True) for stream in one.stage.streams}
    found = []
    for stream, shape in shapes.items():
        spans = min(NUM_SPANS, plan.data.num_steps(stream))
        if len(shape) >= 5:  # (B, T, H, W, C)
            found += [Division(stream, "time", (spans, 1))] if spans > 1 else []
            found.append(Division(stream, "picture", (NUM_SQUARES, NUM_SQUARES)))
            continue
        is_encoded = plan.experiment.streams[stream].encoder != "none"  # the numbers of an encoder have no order
        bands = 1 if is_encoded or len(shape) < 3 else min(MOST_BANDS, shape[-1])
        if spans * bands > 1:
            found.append(Division(stream, "time" if bands == 1 else "time and features", (spans, bands)))
    return found


class _Network:
    """One trained network, its scaler, and the streams that are standardised."""

    def __init__(self, plan: GridPlan, outcome: NetworkOutcome, position: int):
        trial, stage = plan.trials[position], outcome.stage
        state = outcome.state_of[position]
        net = plan.blueprint.net(stage, trial.fields)
        self.stage = stage
        self.scaler: Mapping[str, Any] = state.scaler
        self._streams = plan.recipe(stage, trial).streams
        self._variables = jax.device_put(dict(state.best.variables))
        self._predict = jax.jit(functools.partial(probabilities_of, net))

    def input(self, views: Batch) -> Batch:
        """Return the network's input of views."""
        own = {name: views[name] for stream in self.stage.streams for name in (stream, f"{stream}_mask")}
        return {name: np.asarray(one) for name, one in network_input(self._streams, self.scaler, own).items()}

    def predict(self, batch: Batch) -> np.ndarray:
        """Return (B, K) probabilities, computed in batches of one size, so that one program is compiled."""
        size = len(next(iter(batch.values())))
        parts = []
        for start in range(0, size, _BATCH):
            own = {name: one[start : start + _BATCH] for name, one in batch.items()}
            num = len(next(iter(own.values())))
            padded = {name: np.concatenate([one, np.repeat(one[-1:], _BATCH - num, axis=0)]) for name, one in own.items()}
            parts.append(np.asarray(self._predict(self._variables, self.scaler, padded), np.float64)[:num])
        return np.concatenate(parts)


def hide(batch: Batch, network: _Network, division: Division, cells: np.ndarray) -> Batch:
    """Return a network's input with cells (B, R x C) bool of a stream replaced by the mean."""
    stream = division.stream
    if stream not in network.stage.streams or not cells.any():
        return batch
    values, mask = batch[stream], batch[f"{stream}_mask"]
    where = where_hidden(division, values.shape, mask, cells.reshape(len(cells), *division.shape))
    fill: Any = 0
    if stream not in network.scaler:  # the clip's own mean, over time and over the pixels of pictures
        real = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
        pixels = (2, 3) if values.ndim >= 5 else ()
        fill = np.mean(
            values, axis=(1, *pixels), keepdims=True, where=np.broadcast_to(real, values.shape) | ~real.any(axis=1, keepdims=True)
        )
    return batch | {stream: np.where(where, fill, values).astype(values.dtype)}


def where_hidden(division: Division, shape: tuple[int, ...], mask: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return where values of that shape (B, T, ...) are hidden, as an array that broadcasts to it, for cells (B, R, C) bool."""
    if division.name == "picture":
        rows, columns = (np.arange(size) * NUM_SQUARES // size for size in shape[2:4])
        return cells[:, rows][:, :, columns][:, None, :, :, None]
    # Spans are parts of the clip's own length.
    number = np.cumsum(mask, axis=1) - 1
    span = number * division.shape[0] // np.maximum(mask.sum(axis=1, keepdims=True), 1)
    of_step = np.take_along_axis(cells, np.clip(span, 0, division.shape[0] - 1)[:, :, None], axis=1)  # (B, T, bands)
    if len(shape) == 2:
        return of_step[:, :, 0]
    band = np.arange(shape[-1]) * division.shape[1] // shape[-1]
    return of_step[:, :, band].reshape(*shape[:2], *(1,) * (len(shape) - 3), shape[-1])


def _mean_picture(views: Batch, stream: str) -> np.ndarray:
    """Return the mean (H, W, C) uint8 of the first picture of each clip that has one."""
    has_one: np.ndarray = np.any(views[f"{stream}_mask"], axis=1)
    first = views[stream][np.arange(len(has_one)), views[f"{stream}_mask"].argmax(axis=1)][has_one]
    return (first.mean(axis=0) if len(first) else np.zeros(views[stream].shape[2:])).astype(np.uint8)


def _one_cell(size: int, cell: int, num_clips: int) -> np.ndarray:
    return np.tile(np.arange(size) == cell, (num_clips, 1))


def _joined(several: Sequence[Explanation]) -> Explanation:
    """Return the explanations of one division by the networks of several folds as one."""
    weights = np.array([len(one.clips) for one in several], float) / sum(len(one.clips) for one in several)
    label, importance, probability = (
        np.concatenate([getattr(one, name) for one in several]) for name in ("label", "importance", "probability")
    )
    deletion, random = (np.tensordot(weights, np.stack([getattr(one, name) for one in several]), axes=1) for name in ("deletion", "random"))
    clips = tuple(clip for one in several for clip in one.clips)
    pictures = [one.picture for one in several if one.picture is not None]
    picture = np.mean(pictures, axis=0).astype(np.uint8) if pictures else None
    return Explanation(several[0].division, clips, label, importance, probability, deletion, random, picture)
