"""The size of each system's training step: how many operations of each kind its trace has, before any compiler sees it.

    python -m benchmarks.step_sizes           compare with tests/training/step_sizes.json; print what has changed
    python -m benchmarks.step_sizes --write   write that file anew, so that a reviewer sees the change beside the code that made it
    python -m benchmarks.step_sizes --system whisper --system small_audio [--write]    of some systems, in seconds

Nothing is compiled or computed: shapes alone are traced (`jax.make_jaxpr`). An operation inside a loop counts once, so the numbers say how
much there is to compile and to launch, not how long it runs. A change that traces a network twice, unrolls a loop or copies its inputs
shows here before it is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from avemo_jax.config import ONNX_ENCODERS, Experiment, parse
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.grid import make_grid, stages_of
from avemo_jax.experiment.trial_groups import is_network
from avemo_jax.experiment.variation import variation_of
from avemo_jax.labels import label_set
from avemo_jax.system_views import view_steps
from avemo_jax.training.memory import step_trace, traces_inside
from avemo_jax.training.trials import make_inputs
from configs import base, systems

FILE = Path(__file__).resolve().parents[1] / "tests" / "training" / "step_sizes.json"
NUM_STEPS = 4  # the number of operations depends on it as little as on the batch
BATCH_SIZE = 2
# Kind -> beginnings of the names of JAX's primitives; what fits none is "elementwise".
KINDS: dict[str, tuple[str, ...]] = {
    "products": ("dot_general", "conv_general_dilated", "ragged_dot"),
    "loops": ("scan", "while", "cond"),
    "random": ("random_", "threefry", "shift_", "rng_"),
    "reductions": ("reduce_", "arg", "cum", "sort", "top_k"),
    "moves": (
        *("gather", "scatter", "dynamic_", "slice", "concatenate", "pad", "reshape", "transpose", "broadcast", "squeeze", "rev", "copy"),
        *("select_and", "expand_dims", "iota", "convert_element_type", "split"),
    ),
}
Sizes = dict[str, dict[str, int]]


def experiment_of(system: str) -> Experiment:
    """Return the experiment of a system on a film corpus, which has every medium."""
    config = base.get_config()
    config.corpus.name, config.corpus.root = "ravdess", "unread"
    config.corpus.label_set = "ravdess8"
    systems.apply(config, system)
    return parse(config.to_dict())


def names() -> Iterator[str]:
    """Yield the systems that need no file of a user: neither a table of features nor an ONNX network."""
    for system in systems.SYSTEMS:
        streams = experiment_of(system).streams_in_use.values()
        if not any(stream.view.startswith("table") or stream.encoder in ONNX_ENCODERS for stream in streams):
            yield system


def sizes_of(system: str) -> Sizes:
    """Return "<system> <stage>" -> kind -> number of operations, of the stages that train a network, and "all" of them."""
    experiment = experiment_of(system)
    variation, stages = variation_of(experiment), stages_of(experiment)
    views = view_steps(experiment)
    steps = {stream: feature_step(experiment, stream, views) for stream in experiment.system.streams}
    blueprint = Blueprint(experiment, variation, label_set(experiment.corpus.label_set), steps, dict.fromkeys(steps, NUM_STEPS))
    trial = make_grid(experiment, variation, stages, 1).trials[0]
    return {f"{system} {stage.name}": _counted(blueprint, stage, trial) for stage in stages if is_network(stage)}


def _counted(blueprint: Blueprint, stage: Any, trial: Any) -> dict[str, int]:
    rows = np.zeros(1, np.int32)
    (inputs,) = make_inputs([trial], [(rows, rows)], None)
    examples: dict[str, Any] = {}
    for name in stage.streams:
        shape, dtype = blueprint.steps[name]
        examples[name] = jax.ShapeDtypeStruct((NUM_STEPS, *shape), np.dtype(dtype))
        examples[f"{name}_mask"] = jax.ShapeDtypeStruct((NUM_STEPS,), np.bool_)
    recipe = blueprint.recipe(stage, trial.fields, num_clips=1)
    trace = step_trace(blueprint.net(stage, trial.fields), recipe, blueprint.state_shape(stage, trial), inputs, examples, BATCH_SIZE)
    found = count_operations(trace.jaxpr)
    return {**{kind: found[kind] for kind in (*KINDS, "elementwise")}, "all": found.total()}


def count_operations(jaxpr: Any) -> Counter[str]:
    """Return the number of operations of each kind in a program, those inside loops and calls once each; calls themselves do not count."""
    found: Counter[str] = Counter()
    for equation in jaxpr.eqns:
        inside = list(traces_inside(equation))
        if not inside or kind_of(equation.primitive.name) == "loops":
            found[kind_of(equation.primitive.name)] += 1
        for one in inside:
            found += count_operations(one)
    return found


def kind_of(primitive: str) -> str:
    """Return the kind of a primitive, by the beginning of its name."""
    return next((kind for kind, beginnings in KINDS.items() if primitive.startswith(beginnings)), "elementwise")


def changes(stored: Mapping[str, Any], found: Sizes) -> list[str]:
    """Return a sentence for each step of another size than the stored one, and for each that only one of the two has."""
    sentences = []
    for name in sorted(stored | found):
        before, now = stored.get(name), found.get(name)
        if before is None or now is None:
            sentences.append(f"{name}: {'a new step' if before is None else 'a step that is no more'}")
        elif before != now:
            kinds = ", ".join(f"{kind} {before[kind]} -> {now[kind]}" for kind in now if now[kind] != before.get(kind) and kind != "all")
            sentences.append(
                f"{name}: its step has {now['all']} operations, {now['all'] / before['all'] - 1:+.0%} from {before['all']}: {kinds}"
            )
    return sentences


def stored_sizes() -> dict[str, Any]:
    """Return the content of the file: "jax", the version that it was made with, and "steps"."""
    return json.loads(FILE.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--system", choices=list(names()), action="append", help="may be given several times; all by default")
    arguments = parser.parse_args()
    found = {name: sizes for system in arguments.system or names() for name, sizes in sizes_of(system).items()}
    if arguments.system:  # the others stay
        found = {name: sizes for name, sizes in stored_sizes()["steps"].items() if name.split()[0] not in arguments.system} | found
    if arguments.write:
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(sizes)}" for name, sizes in found.items())
        FILE.write_text(f'{{\n  "jax": {json.dumps(jax.__version__)},\n  "steps": {{\n{lines}\n  }}\n}}\n')
        print(f"wrote {FILE} ({len(found)} steps)")
        return
    stored = stored_sizes()
    print(f"jax {jax.__version__}, stored with {stored['jax']}")
    sentences = changes(stored["steps"], found)
    print("\n".join(sentences) or f"{len(found)} steps, unchanged")
    sys.exit(bool(sentences))


if __name__ == "__main__":
    main()
