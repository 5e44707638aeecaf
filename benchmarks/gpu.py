"""Everything that is measured on an accelerator, in one go: under eight minutes, as JSON and as a Markdown table.

    python -m benchmarks.gpu --output FOLDER               all parts
    python -m benchmarks.gpu --output FOLDER --part a2     some of them; may be given several times
    python -m benchmarks.gpu --output FOLDER --small       at toy size, on any device, to see that it works

Examples are random arrays with a pattern of each class, and weights of encoders are random, so no corpus, download or prepared set is
needed, and TensorFlow only for the part "feed". Each part runs in a process of its own with a time limit: one that hangs or fails costs its
own rows, and both files are written after each part. The sides of torch are left out, with a sentence, where torch is missing or has no
CUDA.

    numbers    losses of an epoch of each network on this device against those of its CPU, in float32
    a2         A2's fused network, ten folds x 86 epochs after compilation
    e_audio    E's audio network: 25 trials against one
    recurrence one recurrent layer by a Pallas kernel, an unrolled scan and bfloat16 products against the scan (gru_kernel.py)
    sweep      10 trials against 160
    precision  bfloat16, tensorfloat32 and float32: time of an epoch and UAR
    encoders   Whisper-base and InceptionV3, inputs a second, against torch on the same card
    feed       InceptionV3 trained from disk: the share of an epoch in which it waits for batches
    memory     the estimate of a trial group against the compiler's report and the peak that the device has seen
    start      time to the end of the first epoch in a new process, without and with compiled programs on disk
    torch      the same networks in torch: fold after fold, all folds at once by torch.func, and as a CUDA graph
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import PARTS, Row, about_this_machine, compare_numbers

BUDGET_S = 460.0  # of all parts together
# Part -> its time limit in s, starting and compiling included; in this order.
LIMITS_S = {
    "numbers": 60,
    "a2": 60,
    "e_audio": 50,
    "recurrence": 50,
    "sweep": 70,
    "precision": 60,
    "encoders": 60,
    "memory": 40,
    "torch": 60,
    "start": 60,
    "feed": 60,
}
SMALL_TIMES = 10.0  # toy size is for CPUs that do other things too
_ROW = "benchmark row: "
_ROOT = Path(__file__).resolve().parents[1]


def run_part(name: str, *, is_small: bool, limit_s: float, platforms: str = "") -> list[Row]:
    """Return the rows of a part from a new process; where it fails or takes too long, the last row has the reason."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"} | ({"JAX_PLATFORMS": platforms} if platforms else {})
    command = [sys.executable, "-m", "benchmarks.gpu", "--one", name, "--limit_s", str(limit_s), *(["--small"] if is_small else [])]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reason = ""
    try:
        out, error = process.communicate(timeout=limit_s)
        if process.returncode:
            lines = [line for line in error.splitlines() if line.strip()]
            reason = f"failed: {lines[-1] if lines else f'exit code {process.returncode}'}"
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        reason = f"stopped after its limit of {limit_s:.0f} s"
    rows = [Row(**json.loads(line.removeprefix(_ROW))) for line in out.splitlines() if line.startswith(_ROW)]
    if reason:
        rows.append(Row(name, "the rest of this part", note=reason))
    print(f"{name}: {len(rows)} rows in {time.perf_counter() - started_s:.0f} s{f'; {reason}' if reason else ''}", flush=True)
    return rows


def measure(names: Sequence[str], *, is_small: bool, budget_s: float, output: Path) -> list[Row]:
    """Measure the parts, write gpu.json and gpu.md after each, and return all rows."""
    started_s = time.monotonic()
    facts = {"date": datetime.date.today().isoformat(), "is_small": is_small} | about_this_machine()
    rows: list[Row] = []
    for name in names:
        left_s = budget_s - (time.monotonic() - started_s)
        if left_s < 5:
            rows.append(Row(name, "all of this part", note=f"left out: the {budget_s:.0f} s of all parts are spent"))
            continue
        limit_s = min(LIMITS_S[name] * (SMALL_TIMES if is_small else 1.0), left_s)
        found = run_part(name, is_small=is_small, limit_s=limit_s)
        if name == "numbers":
            found = compare_numbers(found, run_part(name, is_small=is_small, limit_s=limit_s, platforms="cpu"))
        rows += found
        write(output, facts | {"seconds": round(time.monotonic() - started_s, 1)}, rows)
    return rows


def write(output: Path, facts: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write gpu.json and gpu.md."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "gpu.json").write_text(json.dumps({**facts, "rows": [row._asdict() for row in rows]}, indent=2) + "\n")
    lines = [f"{', '.join(f'{name} {value}' for name, value in facts.items() if name != 'is_small')}.", ""]
    if facts["is_small"]:
        lines[:0] = ["At toy size: these numbers say only that the parts work.", ""]
    lines += ["| part | measured | value | goal | note |", "|---|---|---|---|---|"]
    lines += [f"| {row.part} | {row.what} | {row.text} | {row.goal} | {row.note} |" for row in rows]
    (output / "gpu.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu"), help="folder for gpu.json and gpu.md")
    parser.add_argument("--part", choices=PARTS, action="append", help="may be given several times; all by default")
    parser.add_argument("--small", action="store_true", help="toy size")
    parser.add_argument(
        "--budget_s", type=float, help=f"seconds of all parts together; default: {BUDGET_S:g}, ten times as long at toy size"
    )
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--limit_s", type=float, default=60.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        for row in PARTS[arguments.one](arguments.small, time.monotonic() + 0.7 * arguments.limit_s):
            print(_ROW + json.dumps(row._asdict()), flush=True)
        return
    budget_s = arguments.budget_s or BUDGET_S * (SMALL_TIMES if arguments.small else 1.0)
    rows = measure(arguments.part or list(PARTS), is_small=arguments.small, budget_s=budget_s, output=arguments.output)
    print((arguments.output / "gpu.md").read_text())
    sys.exit(not rows)


if __name__ == "__main__":
    main()
