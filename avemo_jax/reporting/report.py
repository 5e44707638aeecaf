"""The report of a run: one HTML page that needs nothing else, and the same table for the terminal.

Everything on the page comes from the files of the run directory, so it can be written again years later.

`attention.npz` is what training leaves for a few clips, written by `write_attention` and read without pickle:

    clip               (N,) str        clip ids
    fold, seed         (N,) str, int   whose weights these are: the rows of predictions.csv to show beside
    audio_weights      (N, T) float32  attention over the audio steps, mean over heads; each row sums to 1 over its real steps
    audio_times_s      (N, T) float32  middle of each step in s from the clip's beginning; NaN where a step is padding
    video_weights      (N, U) float32  the same for the video steps
    video_times_s      (N, U) float32
    keyframes          (N, U, H, W, 3) uint8, RGB, the picture of each video step

A run of one stream leaves the other's arrays out; `keyframes` may be absent where the video view has no pictures.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from avemo_jax.atomic import atomic_binary_file, atomic_file
from avemo_jax.evaluation.metrics import METRICS
from avemo_jax.evaluation.results import Predictions, read_predictions_csv
from avemo_jax.json_lines import read_rows
from avemo_jax.reporting.charts import Line, interval_chart, line_chart, reliability_chart, weight_chart
from avemo_jax.reporting.claims import Claim, claims_beside
from avemo_jax.reporting.pages import page_environment, percent
from avemo_jax.reporting.robustness_panel import panel_charts, panel_table
from avemo_jax.reporting.run_tables import claim_intervals, claim_metric, run_tables, side_name
from avemo_jax.reporting.side_tables import METRIC_NAMES, format_side_tables, side_tables
from avemo_jax.reporting.standing import chance, kind, marks
from avemo_jax.reporting.tables import write_tables

assert set(METRIC_NAMES) == set(METRICS)
_FRAME_SIZE_PX = 112  # key frames are shown small; full size would make a page of many MB


def write_report(run_directory: Path) -> Path:
    """Write report.html, and each of its tables as CSV and LaTeX below `tables`, from the files of a run directory; return its path.

    Raises:
      FileNotFoundError: results.json is not there: the run has not finished.
      ValueError: it was written by an earlier version.
    """
    run_directory = Path(run_directory)
    if not (run_directory / "results.json").is_file():
        raise FileNotFoundError(f"{run_directory} has no results.json: the run has not finished; run the same config with --mode=train")
    results = json.loads((run_directory / "results.json").read_text())
    if "calibration" not in results:
        raise ValueError(f"{run_directory / 'results.json'} was written by an earlier version; --mode=evaluate writes it anew")
    predictions = None
    if (run_directory / "predictions.csv").is_file():
        predictions = read_predictions_csv(run_directory / "predictions.csv")
    run = _read_json(run_directory / "run.json") or {}
    config = _read_json(run_directory / "config.json")
    claims = claims_beside(results, tuple(config["system"]["streams"]) if config and "system" in config else None)
    panel = _read_json(run_directory / "robustness.json")
    tables = run_tables(results, claims) + ([panel_table(panel)] if panel else [])
    write_tables(run_directory / "tables", tables)
    page = (
        page_environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            metric_names=METRIC_NAMES,
            rows=table_rows(results),
            kind=kind(results),
            marks=marks(results),
            findings=_findings(results, _read_json(run_directory / "audit.json")),
            confusion=_confusion_rows(results),
            robustness=panel_charts(panel, chance(results)["uar"]) if panel else [],
            curves=_curves(run_directory / "metrics.jsonl", chance(results)["uar"]),
            attention=_attention(run_directory / "attention.npz", predictions),
            num_folds=len({entry["fold"] for entry in results["per_fold"]}),
            num_seeds=len(results["per_seed"]),
            seeds_line=seeds_line(results),
            side_tables=[table for table in tables if table.name in {side_name(one["title"]) for one in side_tables(results)}],
            tables={table.name: table for table in tables},
            beside_claims=_claim_chart(results, claims),
            reliability=_reliability(results["calibration"]),
            command=shlex.join(["python", *run["command"]]) if run.get("command") else None,
            run=run,
            config=config,
            as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        )
    )
    path = run_directory / "report.html"
    with atomic_file(path) as stream:
        stream.write(page)
    return path


def format_table(results: Mapping[str, Any]) -> str:
    """The result table as text, in percent: every system's mean over folds with its deviation, and the pooled value with its interval."""
    num_classes = len(results["confusion"]["classes"])
    num_folds = len({entry["fold"] for entry in results["per_fold"]})
    lines = [
        f"{results['system']} on {results['corpus']}, protocol {results['protocol']} ({kind(results)}), {results['num_clips']} clips, "
        f"{num_classes} classes ({results['label_target']}), {_times(num_folds, 'fold')} x {_times(len(results['per_seed']), 'seed')}",
        *(f"  ! {mark}" for mark in marks(results)),
    ]
    header = ["", *METRIC_NAMES.values()]
    body = []
    for row in table_rows(results):
        body.append([row["name"], *(row["cells"][name]["main"] for name in METRIC_NAMES)])
        if row["has_detail"]:
            body.append(["  pooled [95 % interval]", *(row["cells"][name]["detail"] for name in METRIC_NAMES)])
    widths = [max(len(line[column]) for line in [header, *body]) for column in range(len(header))]
    lines += [
        "  ".join(
            text.ljust(width) if index == 0 else text.rjust(width) for index, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [header, *body]
    ]
    lines.append("  in %; mean ± deviation over folds and seeds; intervals by bootstrap over speakers")
    if seeds := seeds_line(results):
        lines.append(f"  {seeds}")
    lines.append(
        f"  undecodable {results['num_undecodable']}, without a face {results['num_without_face']}; all of them are in the numbers"
    )
    if beside := format_side_tables(results):
        lines.append(beside)
    return "\n".join(lines)


def table_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the result table, as text in percent: the system, the classical baseline where there is one, chance."""
    rows = [_table_row(results["system"], results["metrics"])]
    if results.get("baseline"):
        rows.append(_table_row(results["baseline"]["system"], results["baseline"]["metrics"]))
    by_chance = chance(results)
    cells = {name: {"main": percent(by_chance[name]) if name in by_chance else "-", "detail": ""} for name in METRIC_NAMES}
    rows.append({"name": "chance", "has_detail": False, "cells": cells})
    return rows


def seeds_line(results: Mapping[str, Any]) -> str | None:
    """UAR over seeds in a sentence, None for one seed."""
    values = [entry["uar"]["mean_of_folds"] for entry in results["per_seed"]]
    if len(values) < 2:
        return None
    return (
        f"UAR over {len(values)} seeds (each a mean of folds): {percent(np.mean(values))} ± {percent(np.std(values, ddof=1))}, "
        f"{percent(min(values))} to {percent(max(values))}"
    )


def write_attention(path: Path, **arrays: np.ndarray) -> None:
    """Write attention.npz in the format of this module's docstring.

    Raises:
      ValueError: `clip`, `fold` or `seed` is absent, a name is unknown, or the arrays do not agree on N or on the number of steps.
    """
    known = {"clip", "fold", "seed", "audio_weights", "audio_times_s", "video_weights", "video_times_s", "keyframes"}
    if unknown := sorted(arrays.keys() - known):
        raise ValueError(f"unknown arrays {unknown}; attention.npz knows {sorted(known)}")
    if missing := sorted({"clip", "fold", "seed"} - arrays.keys()):
        raise ValueError(f"attention.npz needs the arrays {missing}")
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    num_clips = len(arrays["clip"])
    for stream in ("audio", "video"):
        names = [name for name in (f"{stream}_weights", f"{stream}_times_s", *(["keyframes"] * (stream == "video"))) if name in arrays]
        shapes = {name: arrays[name].shape[:2] for name in names}
        pair = {f"{stream}_weights", f"{stream}_times_s"} & set(names)
        if len(pair) == 1 or len(set(shapes.values())) > 1 or any(shape[0] != num_clips for shape in shapes.values()):
            raise ValueError(f"expected {stream}_weights and {stream}_times_s of one shape ({num_clips}, T), got {shapes}")
    if "keyframes" in arrays and (arrays["keyframes"].dtype != np.uint8 or arrays["keyframes"].ndim != 5):
        raise ValueError(f"expected keyframes (N, U, H, W, 3) uint8, got {arrays['keyframes'].shape} {arrays['keyframes'].dtype}")
    for name in ("clip", "fold"):
        arrays[name] = arrays[name].astype(str)
    with atomic_binary_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _table_row(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    cells = {}
    for key in METRIC_NAMES:
        value = metrics[key]
        deviation = "" if value["std_of_folds"] is None else f" ± {percent(value['std_of_folds'])}"
        interval = "" if value["ci95"] is None else f" [{percent(value['ci95'][0])}, {percent(value['ci95'][1])}]"
        cells[key] = {"main": percent(value["mean_of_folds"]) + deviation, "detail": percent(value["pooled"]) + interval}
    return {"name": name, "has_detail": True, "cells": cells}


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else None


def _claim_chart(results: Mapping[str, Any], claims: Sequence[Claim]) -> Markup:
    metric = claim_metric(claims)
    name = METRIC_NAMES[metric]
    return interval_chart(
        claim_intervals(results, claims),
        title=f"{name}: claims, and ours with 95 % intervals",
        x_name=f"{name}, %",
        x_range=(0, 100),
        level=("chance", 100 * chance(results)[metric]),
    )


def _reliability(calibration: Mapping[str, Any]) -> Markup:
    diagrams = [("first", calibration["reliability"])]
    if calibration["scaled"] is not None:
        diagrams.append(("second", calibration["scaled"]["reliability"]))
    return reliability_chart(diagrams, title="reliability diagram: how often right by how sure")


def _findings(results: Mapping[str, Any], audit: Any) -> list[dict[str, Any]]:
    """Findings with their details from audit.json, or the bare names that results.json keeps."""
    found = [{"finding": entry} if isinstance(entry, str) else entry for entry in (audit if audit is not None else results["leaks"])]
    return [
        {
            "finding": entry["finding"],
            "detail": entry.get("detail", ""),
            "is_note": entry.get("severity") == "notes",
            "allowed_by": entry.get("allowed_by", ""),
        }
        for entry in found
    ]


def _confusion_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = np.asarray(results["confusion"]["counts"])
    rows = []
    for index, name in enumerate(results["confusion"]["classes"]):
        total = int(counts[index].sum())
        shares = counts[index] / max(total, 1)
        cells = [
            {"count": int(count), "share": round(float(share), 3), "right": column == index}
            for column, (count, share) in enumerate(zip(counts[index], shares, strict=True))
        ]
        rows.append({"name": name, "total": total, "cells": cells, "recall": float(shares[index])})
    return rows


def _curves(path: Path, chance_uar: float) -> list[dict[str, Any]]:
    """Learning curves of each stage: mean over trials, band from the lowest to the highest."""
    if not path.is_file():
        return []
    rows = read_rows(path)
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    curves = []
    for stage in stages:
        own = [row for row in rows if row["stage"] == stage]
        losses = [_line(own, "train_loss", "training", "first"), _line(own, "val_loss", "validation", "second")]
        recalls = [_line(own, "val_uar", "UAR", "second"), _line(own, "val_war", "WAR", "third")]
        charts = []
        if losses := [line for line in losses if line is not None]:
            charts.append({"lines": losses, "svg": line_chart(losses, title=f"{stage}: loss by epoch", x_name="epoch", y_name="loss")})
        if recalls := [line for line in recalls if line is not None]:
            svg = line_chart(
                recalls,
                title=f"{stage}: recall on the validation part by epoch",
                x_name="epoch",
                y_name="validation, %",
                y_range=(0, 100),
                level=("chance", 100 * chance_uar),
            )
            charts.append({"lines": recalls, "svg": svg})
        num_trials = len({row["trial"] for row in own})
        num_failed = len({row["trial"] for row in own if row.get("failed")})
        curves.append({"stage": stage, "num_trials": num_trials, "num_failed": num_failed, "charts": charts})
    return curves


def _line(rows: Sequence[Mapping[str, Any]], field: str, name: str, style: str) -> Line | None:
    by_epoch: dict[int, list[float]] = {}
    for row in rows:
        value = row.get(field)
        if value is not None and np.isfinite(value):
            by_epoch.setdefault(int(row["epoch"]), []).append(float(value))
    if not by_epoch:
        return None
    scale = 100 if field in ("val_uar", "val_war") else 1
    epochs = sorted(by_epoch)
    columns = [scale * np.array([function(by_epoch[epoch]) for epoch in epochs]) for function in (np.mean, np.min, np.max)]
    return Line(name, style, np.array(epochs), *columns)


def _attention(path: Path, predictions: Predictions | None) -> list[dict[str, Any]]:
    """What the page shows of each clip of attention.npz."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    clips = []
    for row, clip_id in enumerate(arrays["clip"].tolist()):
        weights, times_s = {}, {}
        for stream in ("audio", "video"):
            if f"{stream}_weights" in arrays:
                real = np.isfinite(arrays[f"{stream}_times_s"][row])
                if real.any():
                    weights[stream], times_s[stream] = arrays[f"{stream}_weights"][row][real], arrays[f"{stream}_times_s"][row][real]
        end_s = max((float(times.max()) for times in times_s.values()), default=0.0)
        charts = [
            {
                "stream": stream,
                "svg": weight_chart(
                    times_s[stream],
                    weights[stream],
                    title=f"attention of {clip_id} over {stream}",
                    style={"audio": "first", "video": "second"}[stream],
                    end_s=end_s,
                ),
            }
            for stream in weights
        ]
        frames = []
        if "keyframes" in arrays and "video" in weights:
            pictures = arrays["keyframes"][row][np.isfinite(arrays["video_times_s"][row])]
            for picture, time_s, weight in zip(pictures, times_s["video"], weights["video"], strict=True):
                frames.append({"source": _picture_address(picture), "time_s": float(time_s), "weight": float(weight)})
        said = _said(predictions, clip_id, str(arrays["fold"][row]), int(arrays["seed"][row]))
        clips.append({"clip": clip_id, "charts": charts, "frames": _evenly(frames, 16), "said": said})
    return clips


def _evenly(items: list, count: int) -> list:
    """At most `count` of the items, evenly spaced, both ends kept."""
    if len(items) <= count:
        return items
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


def _said(predictions: Predictions | None, clip_id: str, fold: str, seed: int) -> dict[str, Any] | None:
    """What predictions.csv says of a clip: label, prediction, the three most probable classes."""
    if predictions is None:
        return None
    rows = np.flatnonzero((predictions.clip == clip_id) & (predictions.fold == fold) & (predictions.seed == seed))
    if not len(rows):
        return None
    probabilities = predictions.probabilities[rows[0]]
    top = np.argsort(-probabilities, kind="stable")[:3]
    label, predicted = predictions.label[rows[0]], predictions.predicted[rows[0]]
    return {
        "label": predictions.classes[label],
        "predicted": predictions.classes[predicted],
        "right": bool(label == predicted),
        "fold": fold,
        "seed": seed,
        "top": [(predictions.classes[index], float(probabilities[index])) for index in top],
    }


def _picture_address(picture: np.ndarray) -> Markup:
    """A picture (H, W, 3) uint8 as a data address, made small."""
    from PIL import Image  # comes with matplotlib

    image = Image.fromarray(picture)
    image.thumbnail((_FRAME_SIZE_PX, _FRAME_SIZE_PX))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return Markup(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}")
