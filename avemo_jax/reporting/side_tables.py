"""Tables beside the main one: protocols and the gaps between them, a run's stages, settings that a sweep tried or a search chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

METRIC_NAMES = {"uar": "UAR", "war": "WAR", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "ece": "ECE"}


def side_tables(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables as text, in percent: {"title", "note", "header": [...], "rows": [[...], ...]} each; none where there is nothing to say."""
    tables = _protocol_tables(results)
    if stages := results.get("stages"):
        rows = [[entry["stage"], f"{entry['num_params']:,}", *_percents(entry)] for entry in stages]
        tables.append(
            {
                "title": "Stages",
                "note": "mean over folds and seeds of each stage's own predictions of the test parts, in %",
                "header": ["stage", "parameters", *METRIC_NAMES.values()],
                "rows": rows,
            }
        )
    if settings := results.get("settings"):
        names = list(settings[0]["tried"])
        rows = [[*(_value(entry["tried"][name]) for name in names), _score(entry["validation"]), *_percents(entry)] for entry in settings]
        tables.append(
            {
                "title": "Settings",
                "note": "mean over folds and seeds, in %; the run chooses by the validation column, fold by fold, and never by the others",
                "header": [*(name.rpartition(".")[2] for name in names), "validation", *METRIC_NAMES.values()],
                "rows": rows,
            }
        )
    if searched := results.get("search"):
        tables.append(_search_table(searched))
    return tables


def _search_table(searched: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each fold's search chose: numbers of the validation part alone, which no test clip has a part in."""
    names = list(searched[0]["tried"])
    rows = [
        [
            entry["fold"],
            *(_rounded(entry["tried"][name]) for name in names),
            _score(entry["validation"]),
            _score(entry["median_validation"]),
            f"{entry['num_settings']}" + (f", {entry['num_failed']} failed" if entry["num_failed"] else ""),
        ]
        for entry in searched
    ]
    return {
        "title": "Search",
        "note": "what each fold's search chose by its own validation part; beside it the median of all that it tried, in search.json",
        "header": ["fold", *(name.rpartition(".")[2] for name in names), "validation", "median", "settings"],
        "rows": rows,
    }


def _protocol_tables(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each of several protocols measured, and the gaps between them."""
    if not results.get("protocols"):
        return []
    rows = []
    for entry in results["protocols"]:
        for name, metrics in ((results["system"], entry["metrics"]), ("classical baseline", entry["baseline"])):
            if metrics is None:
                continue
            kind = "speakers apart" if entry["speaker_independent"] else "speakers shared"
            cells = [_mean_and_interval(metrics[metric]) for metric in ("uar", "war")]
            rows.append([entry["protocol"], name, kind, *cells, ", ".join(entry["leaks"]) or "-"])
    gaps = []
    for gap in results["gaps"]:
        interval = "-" if gap["ci95"] is None else f"[{100 * gap['ci95'][0]:.1f}, {100 * gap['ci95'][1]:.1f}]"
        p = "-" if gap["p"] is None else f"{gap['p']:.2g}"
        gaps.append([f"{gap['first']} - {gap['second']}", METRIC_NAMES[gap["metric"]], f"{100 * gap['difference']:+.1f}", interval, p])
    return [
        {
            "title": "Protocols",
            "note": "the same system on several divisions of the corpus, in %: mean of folds, then pooled [95 % interval over speakers]",
            "header": ["protocol", "system", "test speakers", "UAR", "WAR", "leaks"],
            "rows": rows,
        },
        {
            "title": "Gaps",
            "note": "of pooled metrics between protocols, in points, with a 95 % interval over speakers",
            "header": ["between", "metric", "gap", "interval", "p"],
            "rows": gaps,
        },
    ]


def _mean_and_interval(metric: Mapping[str, Any]) -> str:
    interval = "" if metric["ci95"] is None else f" [{100 * metric['ci95'][0]:.1f}, {100 * metric['ci95'][1]:.1f}]"
    return f"{100 * metric['mean_of_folds']:.1f}, {100 * metric['pooled']:.1f}{interval}"


def format_side_tables(results: Mapping[str, Any]) -> str:
    """The tables for the terminal, columns aligned; empty where there are none."""
    blocks = []
    for table in side_tables(results):
        lines = [table["header"], *table["rows"]]
        widths = [max(len(line[column]) for line in lines) for column in range(len(table["header"]))]
        blocks.append(f"{table['title']} ({table['note']})")
        blocks += ["  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(blocks)


def _percents(entry: Mapping[str, Any]) -> list[str]:
    return [f"{100 * entry[metric]:.1f}" for metric in METRIC_NAMES]


def _score(value: float | None) -> str:
    return "failed" if value is None else f"{value:.3f}"


def _rounded(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _value(value: Any) -> str:
    return "(" + ", ".join(map(str, value)) + ")" if isinstance(value, list) else str(value)
