"""Adaptation of a finished run to each test speaker: by his unlabelled clips (own statistics), and by a few labelled ones."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from avemo_jax.config import Adaptation
from avemo_jax.evaluation.metrics import confusion, metric_named
from avemo_jax.experiment.classical_stage import counted_metric
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.speaker_models import AdaptableSpeaker, SpeakerSource
from avemo_jax.protocols.enrolment import Enrolment, draw_enrolments
from avemo_jax.training.adaptation import FIXED_WEIGHT, WEIGHTS, best_weight


@dataclasses.dataclass(frozen=True)
class Condition:
    """What is given of a test speaker.

    Attributes:
      num_labelled: labelled clips of each class.
      own_statistics: whether the statistics of all his clips, without labels, normalise his features.
      other_sentences: whether the tested clips say other sentences than the labelled ones.
    """

    num_labelled: int
    own_statistics: bool
    other_sentences: bool = False

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings of the leak audit that every number under this condition carries; none where nothing of the speaker is given."""
        return (("transductive",) if self.own_statistics else ()) + (("adapted_to_speaker",) if self.num_labelled else ())

    def protocol(self, name: str) -> str:
        """Return the name of the protocol that a protocol becomes, such as "luna5+own_statistics+labelled3+other_sentences"."""
        statistics = ["own_statistics"] if self.own_statistics else []
        return "+".join([name, *statistics, f"labelled{self.num_labelled}", *(["other_sentences"] if self.other_sentences else [])])


@dataclasses.dataclass(frozen=True)
class AdaptedRows:
    """Predictions under one condition: N rows, one for each fold, seed, draw and tested clip of the draw.

    Attributes:
      clip: (N,) position in the plan's clips.
      fold, seed, draw: (N,) int.
      probabilities: (N, K).
      num_labelled: (M,) number of labelled clips of each enrolment.
      weights: fold and seed -> weight of a labelled clip, and whether it was chosen (else it is FIXED_WEIGHT).
    """

    clip: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    draw: np.ndarray
    probabilities: np.ndarray
    num_labelled: np.ndarray
    weights: Mapping[tuple[int, int], tuple[float, bool]]


def adapt(
    plan: GridPlan,
    sources: Iterable[tuple[bool, SpeakerSource]],
    positions: Sequence[int],
    settings: Adaptation,
    *,
    always_tested: frozenset[str] = frozenset(),
    other_sentences: bool = False,
) -> Iterator[tuple[Condition, AdaptedRows]]:
    """Yield predictions of the test parts under each condition.

    The weight of a labelled clip is chosen for each fold and number of labelled clips: the one with the best selection metric when the
    speakers of `SpeakerSource.to_choose_on`, none of whom is in the test part, are adapted in the same way.

    Args:
      sources: for each whether features are normalised by a speaker's own statistics.
      positions: of the trials.
      always_tested: ids of clips that are never labelled.
      other_sentences: test only sentences that no labelled clip of the draw says.
    """
    draw = functools.partial(enrolments_of, plan, settings=settings, always_tested=always_tested, other_sentences=other_sentences)
    for own_statistics, source in sources:
        found: dict[int, list[tuple[int, list[tuple[int, np.ndarray, np.ndarray]], list[int]]]] = {}
        weights: dict[int, dict[tuple[int, int], tuple[float, bool]]] = {number: {} for number in settings.num_labelled}
        for position in positions:
            trial = plan.trials[position]
            chosen = choose_weights(plan, source.to_choose_on(position), settings.num_labelled, draw)
            tests = source.of_tests(position)
            draws = draw(tests)
            for number in settings.num_labelled:
                weights[number][trial.fold, trial.seed] = chosen[number]
                rows = [
                    (one.draw, *_predict(plan, speaker, one, number, chosen[number][0]))
                    for speaker in tests
                    for one in draws[speaker.speaker]
                ]
                counts = [len(one.labelled(number)) for speaker in tests for one in draws[speaker.speaker]]
                found.setdefault(number, []).append((position, rows, counts))
        for number in settings.num_labelled:
            yield Condition(number, own_statistics, other_sentences), _joined(plan, found[number], weights[number])


def choose_weights(
    plan: GridPlan,
    speakers: Iterable[AdaptableSpeaker],
    num_labelled: Sequence[int],
    draw: Callable[[Sequence[AdaptableSpeaker]], Mapping[str, list[Enrolment]]],
) -> dict[int, tuple[float, bool]]:
    """Return the weight of a labelled clip for each number of labelled clips, and whether it was chosen.

    It is the smallest of those with the best selection metric; FIXED_WEIGHT where there is no speaker to choose on.

    Args:
      draw: speakers to the enrolments of each.
    """
    metric = metric_named(counted_metric(plan.experiment.protocol.metric))
    num_classes = plan.blueprint.num_classes
    counts = {number: np.zeros((len(WEIGHTS), num_classes, num_classes), int) for number in num_labelled if number}
    is_chosen = False
    for speaker in speakers:
        is_chosen = True
        for one in draw([speaker])[speaker.speaker]:
            for number, own in counts.items():
                for place, weight in enumerate(WEIGHTS):
                    clip, probabilities = _predict(plan, speaker, one, number, weight)
                    own[place] += confusion(np.asarray(plan.classes)[clip], probabilities.argmax(axis=1), num_classes)
    scores = {number: [float(metric.score(metric.value(each))) for each in own] for number, own in counts.items()}
    return {0: (0.0, is_chosen)} | {number: (best_weight(own) if is_chosen else FIXED_WEIGHT, is_chosen) for number, own in scores.items()}


def enrolments_of(
    plan: GridPlan,
    speakers: Sequence[AdaptableSpeaker],
    *,
    settings: Adaptation,
    always_tested: frozenset[str],
    other_sentences: bool,
) -> dict[str, list[Enrolment]]:
    """Return the enrolments of each of these speakers; arguments as `adapt` has them."""
    clips = [clip for speaker in speakers for clip in np.unique(speaker.clip)]
    draws = draw_enrolments(
        [plan.clips[clip].clip_id for clip in clips],
        [plan.clips[clip].speaker for clip in clips],
        [plan.classes[clip] for clip in clips],
        num_labelled=max(settings.num_labelled),
        num_tested=settings.num_tested,
        num_draws=settings.num_draws,
        seed=settings.seed,
        always_tested=always_tested,
        sentences=[plan.clips[clip].sentence for clip in clips] if other_sentences else None,
    )
    return {speaker.speaker: [one for one in draws if one.speaker == speaker.speaker] for speaker in speakers}


def _predict(
    plan: GridPlan, speaker: AdaptableSpeaker, enrolment: Enrolment, num_labelled: int, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tested clips (N,) of an enrolment and their probabilities (N, K)."""
    row_of = {plan.clips[clip].clip_id: int(clip) for clip in speaker.clip}
    tested = np.asarray([row_of[clip_id] for clip_id in enrolment.tested], dtype=int)
    labelled = [row_of[clip_id] for clip_id in enrolment.labelled(num_labelled)]
    return tested, speaker.predict(plan, tested, labelled, weight, plan.experiment.system.segment_rule)


def _joined(
    plan: GridPlan,
    found: Sequence[tuple[int, list[tuple[int, np.ndarray, np.ndarray]], list[int]]],
    weights: Mapping[tuple[int, int], tuple[float, bool]],
) -> AdaptedRows:
    rows = [(plan.trials[position], draw, clip, own) for position, several, _ in found for draw, clip, own in several]
    sizes = [len(clip) for _, _, clip, _ in rows]
    return AdaptedRows(
        clip=np.concatenate([clip for _, _, clip, _ in rows]),
        fold=np.repeat([trial.fold for trial, *_ in rows], sizes),
        seed=np.repeat([trial.seed for trial, *_ in rows], sizes),
        draw=np.repeat([draw for _, draw, *_ in rows], sizes),
        probabilities=np.concatenate([own for *_, own in rows]),
        num_labelled=np.concatenate([counts for *_, counts in found]),
        weights=weights,
    )
