"""What a comparison shows: its tables as text, in percent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avemo_jax.reporting.tables import Table

NAMES = {"uar": "UAR", "war": "WAR", "macro_f1": "macro F1"}
RULES = {"mean": "mean", "product": "product", "weighted_product": "weighted product", "logistic": "stacking (logistic)"}


def comparison_tables(found: Mapping[str, Any]) -> list[Table]:
    """Tables of the content of compare.json: systems, pairs, folds, agreement, fusions, by class."""
    tables = [_systems(found), _pairs(found), _folds(found), _agreement(found), _by_class(found)]
    if found["fusions"]:
        tables.append(_fusions(found))
    if any(fusion["rule"] == "weighted_product" for fusion in found["fusions"]):
        tables.append(_weights(found))
    return tables


def interval(value: Mapping[str, Any], key: str = "pooled", *, sign: str = "") -> str:
    """A value with its interval: 61.5 [58.0, 64.9]."""
    text = f"{100 * value[key]:{sign}.1f}"
    return text if value["ci95"] is None else f"{text} [{100 * value['ci95'][0]:{sign}.1f}, {100 * value['ci95'][1]:{sign}.1f}]"


def p_text(p: float | None) -> str:
    """A p-value as papers print it."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _tested(one: Mapping[str, Any], several: bool) -> list[str]:
    """Difference, p, and p by Holm where there are several tests."""
    return [interval(one, "difference", sign="+"), p_text(one["p"]), *([p_text(one["p_holm"])] if several else [])]


def _systems(found: Mapping[str, Any]) -> Table:
    rows = [
        [
            entry["name"],
            *(interval(entry["metrics"][name]) for name in NAMES),
            "-" if entry["metrics"]["ece"] is None else interval(entry["metrics"]["ece"]),
            entry["protocol"],
            "; ".join(entry["marks"]) or "none",
        ]
        for entry in found["entries"]
    ]
    chance = found["chance"]
    rows.append(["chance", f"{100 * chance['uar']:.1f}", f"{100 * chance['war']:.1f}", "-", "-", "-", "-"])
    several = any(len(entry["seeds"]) > 1 for entry in found["entries"])
    note = (
        f"in %, pooled over all clips{' and seeds' if several else ''}, {found['sentence']} of {found['num_speakers']} speakers; in "
        "brackets 95 % intervals by bootstrap over speakers; chance always says the most frequent class"
    )
    return Table("systems", "Systems on the same clips", ("system", *NAMES.values(), "ECE", "protocol", "marks"), rows, note)


def _pairs(found: Mapping[str, Any]) -> Table:
    several = len(found["pairs"]) > 1
    holm = ("p (Holm)",) if several else ()
    rows = []
    for pair in found["pairs"]:
        counted = pair["mcnemar"]
        rows.append(
            [
                f"{pair['first']} - {pair['second']}",
                *_tested(pair["uar"], several),
                *_tested(pair["war"], several),
                f"{counted['first_alone']} : {counted['second_alone']}",
                p_text(counted["p"]),
                *([p_text(counted["p_holm"])] if several else []),
            ]
        )
    header = ("first - second", "Δ UAR", "p", *holm, "Δ WAR", "p", *holm, "right alone", "McNemar p", *holm)
    note = (
        "differences in points with 95 % intervals and p of the paired bootstrap over speakers; right alone: clips that the first, and "
        "that the second alone has right, lowest seed of each, with the exact McNemar test, which counts clips as independent"
        + ("; Holm: adjusted for the number of pairs" if several else "")
    )
    return Table("pairs", "Paired tests", header, rows, note)


def _folds(found: Mapping[str, Any]) -> Table:
    several = len(found["pairs"]) > 1
    rows, why = [], []
    for pair in found["pairs"]:
        folds = pair["folds"]
        name = f"{pair['first']} - {pair['second']}"
        if "why_not" in folds:
            why.append(f"{name}: {folds['why_not']}")
            rows.append([name, *["-"] * (5 if not several else 7)])
            continue
        rows.append([name, str(folds["num_folds"]), *_tested(folds["uar"], several), *_tested(folds["war"], several)])
    holm = ("p (Holm)",) if several else ()
    known = all(pair["folds"].get("num_train_is_known", True) for pair in found["pairs"])
    note = "corrected resampled t-test (Nadeau and Bengio 2003) over folds, each a mean over seeds" + (
        "" if known else "; all that a fold did not test counts as its training part"
    )
    return Table(
        "folds",
        "The same over folds",
        ("first - second", "folds", "Δ UAR", "p", *holm, "Δ WAR", "p", *holm),
        rows,
        "; ".join([note, *why]),
    )


def _agreement(found: Mapping[str, Any]) -> Table:
    rows = []
    for pair in found["pairs"]:
        one, counted = pair["agreement"], pair["mcnemar"]
        kappa = "-" if one["kappa"] is None else f"{one['kappa']:.2f}"
        counts = (one["both_right"], counted["first_alone"], counted["second_alone"], one["neither_right"])
        rows.append([f"{pair['first']} - {pair['second']}", f"{100 * one['share']:.1f}", kappa, *map(str, counts)])
    header = ("first - second", "same class, %", "κ", "both right", "first alone", "second alone", "neither")
    return Table("agreement", "Agreement", header, rows, "clips, lowest seed of each; κ is Cohen's")


def _by_class(found: Mapping[str, Any]) -> Table:
    pairs = found["pairs"]
    header = ("class", "clips", *(f"{pair['first']} : {pair['second']}" for pair in pairs))
    classes = [name for name in found["classes"] if name in pairs[0]["by_class"]]
    rows = []
    for name in classes:
        cells = [pair["by_class"][name] for pair in pairs]
        rows.append([name, str(cells[0]["num_clips"]), *(f"{one['first_alone']} : {one['second_alone']}" for one in cells)])
    return Table("by_class", "Where they differ, by class", header, rows, "clips that the first, and that the second alone has right")


def _fusions(found: Mapping[str, Any]) -> Table:
    rows = []
    for fusion in found["fusions"]:
        best = max(
            fusion["against"], key=lambda one: next(e for e in found["entries"] if e["name"] == one["entry"])["metrics"]["uar"]["pooled"]
        )
        rows.append(
            [
                RULES[fusion["rule"]],
                " + ".join(fusion["members"]),
                *(interval(fusion["metrics"][name]) for name in ("uar", "war")),
                best["entry"],
                interval(best["uar"], "difference", sign="+"),
                p_text(best["uar"]["p"]),
                p_text(best["uar"]["p_holm"]),
            ]
        )
    meta = found["meta_folds"]
    note = "Δ UAR against the best member, by the paired bootstrap over speakers; Holm over all fusions and members" + (
        f"; what is fitted for a clip has seen other speakers' clips alone: meta folds are {meta['note']}"
        if meta
        else "; one speaker alone: nothing is fitted"
    )
    header = ("rule", "members", "UAR", "WAR", "best member", "Δ UAR", "p", "p (Holm)")
    return Table("fusions", "Fused", header, rows, note)


def _weights(found: Mapping[str, Any]) -> Table:
    rows = []
    for fusion in found["fusions"]:
        if fusion["rule"] != "weighted_product":
            continue
        weights = [one["weights"] for one in fusion["fitted"]]
        for index, member in enumerate(fusion["members"]):
            own = [one[index] for one in weights]
            rows.append([" + ".join(fusion["members"]), member, f"{sum(own) / len(own):.2f}", f"{min(own):.2f}", f"{max(own):.2f}"])
    return Table(
        "weights", "Weights of the weighted product", ("fusion", "member", "mean", "least", "most"), rows, "over meta folds and rounds"
    )
