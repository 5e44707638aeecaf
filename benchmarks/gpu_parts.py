"""The parts of `benchmarks.gpu`; each yields its rows as they are measured, and ends by itself before a deadline where it can."""

from __future__ import annotations

import dataclasses
import functools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from avemo_jax.experiment.backend import PRECISIONS
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.memory_plan import estimate_need, spread
from benchmarks import made_experiment
from benchmarks.made_experiment import SYSTEMS

A2_EPOCHS = 86
_LARGEST_DIFFERENCE = 2e-3  # of the losses of an epoch on two kinds of device, relative; rounding of float32 grows over the steps


class Row(NamedTuple):
    """One measurement.

    Attributes:
      part, what: where it belongs and what it is.
      value, unit: None where nothing was measured, for which `note` has the reason.
      goal: of the project, as text.
    """

    part: str
    what: str
    value: float | None = None
    unit: str = ""
    goal: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return "-" if self.value is None else f"{self.value:.4g} {self.unit}".strip()


Part = Callable[[bool, float], Iterator[Row]]


def about_this_machine() -> dict[str, Any]:
    """Return versions, cores and the card; JAX is asked in the processes of the parts, since a card may serve one process at a time."""
    facts: dict[str, Any] = {"jax": jax.__version__, "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        facts["card"] = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip().replace("\n", "; ")
    except (OSError, subprocess.SubprocessError):
        facts["card"] = "none (no nvidia-smi)"
    return facts


def made(system: str, is_small: bool, *, num_clips: int = 1440, num_folds: int = 0, **fields: Any) -> tuple[GridPlan, Any, Any, Any]:
    """Return the plan of a benchmark network on random arrays, its stage, and the program and lanes of all its trials."""
    own = SYSTEMS[system]
    shapes = {name: (min(shape[0], 8), *shape[1:]) for name, shape in own.shapes.items()} if is_small else own.shapes
    size = {"num_clips": 96, "num_folds": 3} if is_small else {"num_clips": num_clips, "num_folds": num_folds or own.num_folds}
    plan = made_experiment.plan(own.config, shapes, signal=0.2, **size, devices__compilation_cache=False, **fields)
    return (plan, *made_experiment.laid_out(plan, own.stage))


def epochs(plan: GridPlan, program: Any, lanes: Any, num_epochs: int, deadline_s: float) -> tuple[list[float], Any]:
    """Return the seconds of each epoch, the first of which compiles, and the metrics of the last; fewer epochs where time runs out."""
    states = made_experiment.fresh_states(plan, program, lanes)
    seconds: list[float] = []
    metrics = None
    while len(seconds) < num_epochs and (len(seconds) < 2 or time.monotonic() < deadline_s):
        start_s = time.perf_counter()
        states, metrics = program.epoch(lanes, states)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start_s)
    return seconds, program.trials(metrics, len(plan.trials))


def numbers(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """Losses after an epoch of three folds in float32; `compare_numbers` compares those of two devices."""
    jax.config.update("jax_default_matmul_precision", "float32")
    for system in SYSTEMS:
        plan, _, program, lanes = made(system, is_small, num_clips=192, num_folds=3)
        _, records = epochs(plan, program, lanes, 1, deadline_s)
        for name in ("train_loss", "val_loss"):
            yield Row("numbers", f"{system} {name}", float(np.mean([getattr(one, name) for one in records])), "nats", note=_device())


def compare_numbers(here: Sequence[Row], on_cpu: Sequence[Row]) -> list[Row]:
    """Return the relative difference of each number on this device from that on the CPU."""
    expected = {row.what: row.value for row in on_cpu}
    rows = []
    for row in here:
        other = expected.get(row.what)
        if row.value is None or other is None:
            rows.append(row)
            continue
        difference = abs(row.value - other) / max(abs(other), 1e-12)
        verdict = "" if difference <= _LARGEST_DIFFERENCE else "; MORE THAN ROUNDING"
        rows.append(
            row._replace(value=difference, unit="relative", goal=f"{_LARGEST_DIFFERENCE:g}", note=f"{row.note} against CPU{verdict}")
        )
    return rows


def a2(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """A2's fused network, ten folds x 86 epochs."""
    plan, _, program, lanes = made("a2", is_small)
    wanted = 3 if is_small else A2_EPOCHS
    seconds, _ = epochs(plan, program, lanes, wanted + 1, deadline_s)
    yield Row("a2", f"first epoch of {len(plan.trials)} folds, with compilation", seconds[0], "s", note=_device())
    yield _all_epochs("a2", f"{len(plan.trials)} folds x {wanted} epochs after compilation", seconds[1:], wanted, "3 s")


def e_audio(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """E's audio network: an epoch of 25 trials against one of a single trial."""
    medians = {}
    for num_seeds, only in ((1, 1), (2 if is_small else 5, 0)):
        plan, stage, program, lanes = made("e_audio", is_small, num_folds=5, train__seeds=tuple(range(num_seeds)))
        if only:
            plan = dataclasses.replace(plan, grid=dataclasses.replace(plan.grid, trials=plan.trials[:only]))
            stage, program, lanes = made_experiment.laid_out(plan, stage.name)
        seconds, _ = epochs(plan, program, lanes, 4 if is_small else 12, deadline_s)
        medians[len(plan.trials)] = statistics.median(seconds[1:])
        goal = "0.3 s" if len(plan.trials) > 1 else ""
        yield Row("e_audio", f"an epoch of {len(plan.trials)} trials", medians[len(plan.trials)], "s", goal, note=_device())
    one, many = medians.values()
    yield Row("e_audio", f"{max(medians)} trials / one", many / one, "times", "1.5 times")


def recurrence(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """Loss and gradients of one recurrent layer of 25 trials, by the product's scan and by each candidate in its place."""
    from benchmarks.gru_kernel import CANDIDATES, MOST_UNITS, gradients
    from benchmarks.turns import format_ratio, measure

    num_trials, num_steps, num_rows = (2, 5, 3) if is_small else (25, 64, 32)
    rng = np.random.default_rng(0)
    for units in (8,) if is_small else (64, 128, 256):
        shapes = ((num_trials, num_steps, num_rows, 3 * units), (num_trials, units, 3 * units), (num_trials, units))
        arrays = [jax.numpy.asarray(rng.normal(size=shape) / units**0.5, jax.numpy.float32) for shape in shapes]
        mask = jax.numpy.asarray(np.arange(num_steps)[:, None] < rng.integers(1, num_steps + 1, num_rows))
        expected = gradients("scan")(*arrays, mask)
        for name in CANDIDATES[1:]:
            what = f"{num_trials} trials of {units} units, {num_steps} steps: {name}"
            if name == "pallas" and units > MOST_UNITS:
                yield Row("recurrence", what, note="the weights of a trial do not fit one multiprocessor")
                continue
            if time.monotonic() > deadline_s:
                yield Row("recurrence", what, note="left out: the time of this part is spent")
                continue
            try:
                runs = {side: functools.partial(gradients(side), *arrays, mask) for side in ("scan", name)}
                sides = {side: lambda run=run: float(np.sum(run()[0])) for side, run in runs.items()}  # type: ignore[misc]
                seconds = measure(sides, 1 if is_small else 5)
                found = runs[name]()
            except Exception as error:  # a candidate that this device cannot run costs its row
                yield Row("recurrence", what, note=f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
            difference = max(float(abs(one - other).max() / abs(other).max()) for one, other in pairs)
            note = f"{name} / scan {format_ratio(seconds[name], seconds['scan'])}; largest difference {difference:.1e}; {_device()}"
            yield Row("recurrence", what, 1000 * statistics.median(seconds[name]), "ms", note=note)


def sweep(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """Ten trials against 160, by the epoch."""
    medians = []
    for num_settings in (1, 2 if is_small else 16):
        rates = tuple(float(rate) for rate in np.geomspace(1e-3, 1e-2, num_settings))
        fields = {"sweep__learning_rate": rates} if num_settings > 1 else {}
        plan, _, program, lanes = made("a2", is_small, **fields)
        seconds, _ = epochs(plan, program, lanes, 4 if is_small else 8, deadline_s)
        medians.append(statistics.median(seconds[1:]))
        yield Row("sweep", f"an epoch of {len(plan.trials)} trials of A2", medians[-1], "s", note=f"first {seconds[0]:.3g} s")
    yield Row("sweep", "160 trials / 10" if not is_small else "many trials / few", medians[1] / medians[0], "times", "4 times")


def precision(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """E's audio network in each precision of products: seconds of an epoch, and UAR of the selection parts after some epochs."""
    num_epochs = 3 if is_small else 12
    names = [name for name in PRECISIONS if name != "default"]
    for number, name in enumerate(names):
        jax.config.update("jax_default_matmul_precision", PRECISIONS[name])
        jax.clear_caches()
        plan, _, program, lanes = made("e_audio", is_small, num_folds=5)
        left_s = (deadline_s - time.monotonic()) / (len(names) - number)
        seconds, records = epochs(plan, program, lanes, num_epochs, time.monotonic() + left_s)
        uar = float(np.mean([one.val_uar for one in records]))
        note = f"UAR {100 * uar:.1f} % after {len(seconds)} epochs; {_device()}"
        yield Row(
            "precision", f"an epoch of {len(plan.trials)} trials of E's audio in {name}", statistics.median(seconds[1:]), "s", note=note
        )


def memory(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """The estimate of a group's memory against the compiler's report and the peak of the device."""
    for system, fields in (("a2", {}), ("e_audio", {"train__seeds": (0, 1) if is_small else tuple(range(5))})):
        plan, stage, program, lanes = made(system, is_small, execution="vmap_scan", **fields)
        estimated = estimate_need(plan, stage, plan.trials[0]).of_batch(len(plan.trials), **spread(plan, stage))
        states = made_experiment.fresh_states(plan, program, lanes)
        stated = program.lower_epoch(lanes, states).compile().memory_analysis()
        used = stated.argument_size_in_bytes + stated.output_size_in_bytes - stated.alias_size_in_bytes + stated.temp_size_in_bytes
        jax.block_until_ready(program.epoch(lanes, states))
        peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
        what = f"{system}, {len(plan.trials)} trials"
        yield Row("memory", f"{what}: estimate", estimated / 2**20, "MiB", note=_device())
        yield Row("memory", f"{what}: compiler's report", used / 2**20, "MiB", note=f"estimate / report {estimated / used:.2f}")
        if peak is None:
            yield Row("memory", f"{what}: peak of the device", note="this device does not say")
        else:
            yield Row("memory", f"{what}: peak of the device so far", peak / 2**20, "MiB", note=f"estimate / peak {estimated / peak:.2f}")


def start(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """A new process to the end of its first epoch, with an empty and with a full compilation cache."""
    from benchmarks.start import PHASES, measured

    system, num_clips = ("small_audio", 80) if is_small else ("gru_attention", 240)
    with tempfile.TemporaryDirectory() as cache:
        for kind in ("fresh", "cached"):
            phases = measured(system, num_clips, cache)
            to_first = sum(phases[phase] for phase in PHASES[:3])
            parts = ", ".join(f"{phase} {phases[phase]:.2f}" for phase in PHASES[:3])
            yield Row("start", f"{system}, {kind}: to the end of the first epoch", to_first, "s", note=parts)


def encoders(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """Whisper-base and InceptionV3 in float32 with random weights, from a batch on the host to its features on the host."""
    from avemo_jax.experiment.encoder_weights import random_variables
    from avemo_jax.experiment.frozen_encoder import FrozenEncoder
    from avemo_jax.models.encoders.spec import EncoderSpec

    jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    rng = np.random.default_rng(0)
    if not is_small:  # traced and compiled in seconds on an accelerator, in a minute on a CPU
        spec = EncoderSpec("inception_v3")
        batch = rng.uniform(-1, 1, (64, 299, 299, 3)).astype(np.float32)
        encode = FrozenEncoder(spec, random_variables(spec, batch.shape[1:], "float32"), batch.shape[1:], "float32").compiled
        yield _rate("encoders", "InceptionV3 at 299 px, ours", lambda: np.asarray(encode(batch)), len(batch), "pictures/s")
        if find_spec("torchvision"):
            import torch
            from torchvision.models import inception_v3

            device = _torch_device()
            net = inception_v3(weights=None, init_weights=False, aux_logits=False).eval().to(device)

            def in_torch() -> Any:
                with torch.inference_mode():
                    return net(torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)).cpu().numpy()

            yield _rate("encoders", f"InceptionV3 at 299 px, torch on {device}", in_torch, len(batch), "pictures/s")
        else:
            yield Row("encoders", "InceptionV3 at 299 px, torch", note="torchvision is not installed")
    yield from _whisper(is_small, rng)


def _whisper(is_small: bool, rng: np.random.Generator) -> Iterator[Row]:
    name, (num_clips, num_frames) = ("whisper_tiny", (1, 100)) if is_small else ("whisper_base", (16, 3000))
    if not (find_spec("torch") and find_spec("transformers")):
        yield Row("encoders", name, note="torch or transformers is not installed: its weights, and the other side, come from them")
        return
    from avemo_jax.models.encoders.whisper import SIZES
    from benchmarks.random_whisper import random_whisper
    from benchmarks.whisper import OfTransformers, of_torch, ours

    size = SIZES[name][0]
    batch = rng.normal(size=(num_clips, num_frames, size.num_mels)).astype(np.float32)
    whisper = random_whisper(size).float().eval()
    with tempfile.TemporaryDirectory() as folder:
        whisper.save_pretrained(folder)
        sides = {"ours": ours(name, Path(folder), size.num_mels)}
    sides[f"torch on {_torch_device()}"] = of_torch(OfTransformers(whisper, num_frames).eval(), _torch_device())
    outputs = {side: run(batch) for side, run in sides.items()}
    first = outputs["ours"]
    for side, run in sides.items():
        difference = float(np.abs(outputs[side] - first).max() / np.abs(first).max())
        row = _rate("encoders", f"{name}, clips of {num_frames / 100:g} s, {side}", lambda run=run: run(batch), num_clips, "clips/s")  # type: ignore[misc]
        yield row._replace(note=f"largest difference from ours {difference:.1e}; {row.note}")


def feed(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """InceptionV3 trained from disk: the share of an epoch in which it waits for batches."""
    if missing := [name for name in ("tensorflow", "array_record", "cv2") if not find_spec(name)]:
        yield Row("feed", "InceptionV3 trained from disk", note=f"{', '.join(missing)} is not installed")
        return
    from benchmarks.stream import drawn_corpus, epochs, plans_on

    size: dict[str, Any] = {"encoder": "mini_xception", "end_point": "stem", "batch_size": 16}
    pictures: dict[str, Any] = {"num_examples": 32, "size_px": 16, "gray": True}
    if not is_small:
        size = {"encoder": "inception_v3", "end_point": "", "batch_size": 32}
        pictures = {"num_examples": 512, "size_px": 299, "gray": False}
    with tempfile.TemporaryDirectory() as temporary:
        plans = plans_on(drawn_corpus(Path(temporary), **pictures), Path(temporary), **size)
        for name, plan in plans.items():
            rounds = list(epochs(plan, 1 if is_small else 2))
            stall = statistics.median(one.waited_s / one.seconds for one in rounds)
            rate = statistics.median(one.num_pictures / one.seconds for one in rounds)
            yield Row("feed", f"{size['encoder']}, {name}: waiting for batches", 100 * stall, "%", "5 %", f"{rate:.0f} pictures/s")


def torch_sides(is_small: bool, deadline_s: float) -> Iterator[Row]:
    """The networks in torch on the same card, in turns with ours."""
    if not find_spec("torch"):
        yield Row("torch", "all sides", note="torch is not installed")
        return
    from benchmarks.turns import format_ratio, measure
    from benchmarks.twins_torch import fold_after_fold
    from benchmarks.twins_torch_folds import folds_at_once

    device = _torch_device()
    for system in ("a2", "e_audio"):
        plan, stage, program, lanes = made(system, is_small)
        twin = SYSTEMS[system].twin
        makers: dict[str, Callable[[], Callable[[], float]]] = {
            "fold after fold": lambda: fold_after_fold(twin, plan, stage, device),  # noqa: B023
            "all folds by torch.func": lambda: folds_at_once(twin, plan, stage, device),  # noqa: B023
            "all folds as a CUDA graph": lambda: folds_at_once(twin, plan, stage, device, as_graph=True),  # noqa: B023
        }
        for name, make in makers.items():
            what = f"{system}, {len(plan.trials)} folds: torch on {device}, {name}"
            if "graph" in name and device == "cpu":
                yield Row("torch", what, note="needs a GPU: torch has no CUDA here")
                continue
            if time.monotonic() > deadline_s:
                yield Row("torch", what, note="left out: the time of this part is spent")
                continue
            try:
                sides = {"ours": made_experiment.one_more_epoch(plan, program, lanes), name: make()}
                seconds = measure(sides, 1 if is_small else 3)
            except Exception as error:  # a side that this torch cannot run costs its row
                yield Row("torch", what, note=f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            yield Row(
                "torch",
                what,
                statistics.median(seconds[name]),
                "s/epoch",
                "20 times ours" if (system, name) == ("a2", "fold after fold") else "",
                f"torch / ours {format_ratio(seconds[name], seconds['ours'])}",
            )


def _all_epochs(part: str, what: str, seconds: Sequence[float], wanted: int, goal: str) -> Row:
    """Return the time of all epochs, extrapolated from the median where fewer were trained."""
    median = statistics.median(seconds)
    note = f"median {1000 * median:.3g} ms an epoch"
    if len(seconds) < wanted:
        return Row(part, what, wanted * median, "s", goal, f"{note}; extrapolated from {len(seconds)}")
    return Row(part, what, sum(seconds), "s", goal, note)


def _rate(part: str, what: str, run: Callable[[], Any], count: int, unit: str) -> Row:
    run()
    seconds = []
    for _ in range(5):
        start_s = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start_s)
    return Row(part, what, count / statistics.median(seconds), unit, note=f"batch of {count}, {1000 * statistics.median(seconds):.3g} ms")


def _torch_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _device() -> str:
    return str(jax.devices()[0].device_kind)


PARTS: dict[str, Part] = {
    "numbers": numbers,
    "a2": a2,
    "e_audio": e_audio,
    "recurrence": recurrence,
    "sweep": sweep,
    "precision": precision,
    "encoders": encoders,
    "memory": memory,
    "torch": torch_sides,
    "start": start,
    "feed": feed,
}
