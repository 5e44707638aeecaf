"""Every fusion on a corpus, with and without stream dropout, with all streams and without each of them, beside each stream's own system.

    python -m benchmarks.fusions --corpus corpora/synthetic

The branches of the streams are trained once, and every fusion starts from them, as the stages of a run do. Each fusion is trained without
stream dropout, with it, and with it on frozen branches (`train.freeze_earlier`). `validation` is the mean of the UAR on the validation
parts over the conditions: all streams, and each stream missing. A recipe is chosen by it alone; the test parts are then read once, for
the table. Fusions that need the same segments in all streams are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax import api
from avemo_jax.config import Experiment, parse
from avemo_jax.config.overrides import with_fields
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.metrics import metric_named
from avemo_jax.evaluation.predictions import speaker_sums
from avemo_jax.evaluation.summary import pooled_with_interval
from configs import demo

KINDS = ("gated", "concat", "bottleneck", "cross_modal", "dot_attention", "tanh_gru")
ALL, ALONE = "all streams", " alone"


@dataclasses.dataclass(frozen=True)
class Row:
    """One trained system: its name, what it scores on validation parts, and its test predictions under each condition."""

    kind: str
    recipe: str
    validation: Mapping[str, float]
    test: Mapping[str, Any]

    @property
    def score(self) -> float:
        return float(np.mean(list(self.validation.values())))


def trained(plan: Any, stage: Any, earlier: Mapping[str, Any]) -> Any:
    """Return the outcome of a stage of a plan, trained from branches of earlier stages, which know the fold and seed of a trial alone."""
    from avemo_jax.experiment.outcomes import NetworkOutcome, TrainedGroup
    from avemo_jax.experiment.stages import program_of
    from avemo_jax.training.stage import warm_start

    trials = plan.grid.trials_of(stage)
    inputs = plan.inputs(stage, trials)
    program = program_of(plan, stage, trials, inputs)
    branches = {name: [states[one.fold, one.seed] for one in trials] for name, states in earlier.items()}
    lanes = program.lanes(inputs)
    states = program.init(lanes, program.lanes(warm_start(stage, branches, len(trials), {})))
    for _ in range(plan.blueprint.experiment_of(stage).train.num_epochs):
        states, _ = program.epoch(lanes, states)
    positions = range(len(trials))
    return NetworkOutcome(stage, [TrainedGroup(program, positions, program.trials(states, len(trials)))])


def on_data(own: Any, plan: Any, outcome: Any) -> Any:
    """Return a stage of a plan that predicts the examples of another plan of the same clips."""
    from avemo_jax.experiment.stages import program_of

    (group,) = outcome.groups
    trials = own.grid.trials_of(outcome.stage)
    program = program_of(plan, outcome.stage, trials, own.inputs(outcome.stage, trials))
    return dataclasses.replace(outcome, groups=[dataclasses.replace(group, program=program)])


def measured(kind: str, recipe: str, plans: Mapping[str, Any], outcomes: Mapping[str, Any], positions: Sequence[int]) -> Row:
    """Return the row of the trials at some positions.

    Args:
      plans, outcomes: condition -> plan with its examples, and the stage that predicts them.
    """
    from avemo_jax.experiment.predictions import predict_parts

    uar, validation, test = metric_named("uar"), {}, {}
    for condition, outcome in outcomes.items():
        plan = plans[condition]
        trials = [plan.trials[position] for position in positions]
        select = [plan.data.examples_of(plan.validation_clips(outcome.stage, one)) for one in trials]
        found = speaker_sums(predict_parts(plan, outcome, positions, select))
        validation[condition] = pooled_with_interval(uar, found).pooled
        test[condition] = speaker_sums(predict_parts(plan, outcome, positions, [plan.test_rows(one) for one in trials]))
    return Row(kind, recipe, validation, test)


def rows_of(experiment: Experiment, prepared: PreparedCorpus, kinds: Sequence[str], rate: float) -> Iterator[Row]:
    """Train and measure everything; yield the rows of the streams alone, then those of the fusions."""
    from avemo_jax.experiment.grid_plan import make_plan

    streams = experiment.system.streams
    conditions = {ALL: None} | {f"without {name}": name for name in streams}

    def each(plan: Any) -> dict[str, Any]:
        return {
            condition: plan if name is None else dataclasses.replace(plan, data=plan.data.without(name))
            for condition, name in conditions.items()
        }

    plan, branches = make_plan(experiment, prepared), {}
    for stage in plan.stages[:-1]:
        outcome = trained(plan, stage, {})
        branches[stage.name] = {(trial.fold, trial.seed): outcome.state_of[position] for position, trial in enumerate(plan.trials)}
        yield measured(f"{stage.name}{ALONE}", "", {ALL: plan}, {ALL: outcome}, range(len(plan.trials)))
    for kind in kinds:
        for frozen, rates in ((False, (0.0, rate)), (True, (rate,))):
            fields = {"fusion.kind": kind, "train.freeze_earlier": frozen, "sweep.stream_dropout_rate": rates}
            plan = make_plan(with_fields(experiment, fields), prepared)
            plans, outcome = each(plan), trained(plan, plan.stages[-1], branches)
            outcomes = {condition: on_data(plan, other, outcome) for condition, other in plans.items()}
            for one in rates:
                own = [position for position, trial in enumerate(plan.trials) if trial.hyper["stream_dropout_rate"] == one]
                yield measured(kind, f"dropout {one:g}{', frozen branches' if frozen else ''}", plans, outcomes, own)


def lines(rows: Iterable[Row], streams: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a Markdown table: UAR in %, pooled over test clips, and in points the difference from the stream's own system.

    Args:
      rows: those of the streams alone first; each line follows as soon as its row is known, so that nothing of a stopped run is lost.
    """
    from avemo_jax.evaluation.paired import paired_bootstrap

    uar, own = metric_named("uar"), {}
    conditions = {ALL: "", **{f"without {name}": next(one for one in streams if one != name) for name in streams}}
    yield f"| fusion | recipe | validation: {', '.join(conditions)} | mean | {' | '.join(conditions)} |"
    yield "|" + "---|" * (4 + len(conditions))
    for row in rows:
        if row.kind.endswith(ALONE):
            own[row.kind.removesuffix(ALONE)] = row.test[ALL]
        cells = [row.kind, row.recipe, ", ".join(f"{100 * one:.1f}" for one in row.validation.values()), f"{100 * row.score:.1f}"]
        for condition, left in conditions.items():
            shown = f"{100 * pooled_with_interval(uar, row.test[condition]).pooled:.1f}" if condition in row.test else ""
            if shown and left and len(streams) == 2:
                found = paired_bootstrap(row.test[condition], own[left], uar.value)
                low, high = found.ci95 or (np.nan, np.nan)
                shown += f" ({100 * found.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}])"
            cells.append(shown)
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="folder of the demo corpus")
    parser.add_argument("--prepared", default="prepared", help="folder of prepared sets")
    parser.add_argument("--system", default="audio_video", help="system of configs/demo.py, of two streams or more")
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--rate", type=float, default=0.5, help="of stream dropout")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0,))
    parser.add_argument("--epochs", type=int, default=25, help="of each stage")
    arguments = parser.parse_args()
    config = demo.get_config(arguments.system)
    config.corpus.root, config.prepared_dir = str(Path(arguments.corpus)), arguments.prepared
    config.train.seeds, config.train.num_epochs = tuple(arguments.seeds), arguments.epochs
    config.train.tensorboard = config.protocol.baseline = False
    experiment = parse(config.to_dict())
    prepared = api.prepare(experiment)
    from avemo_jax.experiment.backend import set_up_backend  # late: brings JAX

    set_up_backend(experiment)
    for line in lines(rows_of(experiment, prepared, arguments.kinds, arguments.rate), experiment.system.streams):
        print(line, flush=True)


if __name__ == "__main__":
    main()
