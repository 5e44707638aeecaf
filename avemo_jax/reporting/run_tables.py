"""The tables of a run, for its page, its folder `tables` and a paper: in percent, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avemo_jax.reporting.charts import Interval
from avemo_jax.reporting.claims import Claim
from avemo_jax.reporting.pages import percent
from avemo_jax.reporting.side_tables import METRIC_NAMES, side_tables
from avemo_jax.reporting.standing import chance, marks
from avemo_jax.reporting.tables import Table

_INTERVALS = "95 % intervals by bootstrap over speakers"


def run_tables(results: Mapping[str, Any], claims: Sequence[Claim]) -> list[Table]:
    """All tables of results.json, those to show beside claims first."""
    tables = [_claims(results, claims), _results(results), _folds(results), _classes(results), _confusion(results)]
    tables += [_speakers(results), _calibration(results)]
    return tables + [Table(**one, name=side_name(one["title"])) for one in side_tables(results)]


def side_name(title: str) -> str:
    """Name of the files of a table beside the main one."""
    return title.lower().replace(" ", "_")


def claim_intervals(results: Mapping[str, Any], claims: Sequence[Claim]) -> list[Interval]:
    """The same as a figure: claims and other people's numbers as points, ours with their intervals."""

    def of(protocol: str) -> str:
        return "" if protocol == "-" else f", {protocol}"

    shown = [
        Interval(f"{percent(claim.value)}  {claim.what}{of(claim.protocol)}", "second" if claim.systems else "third", 100 * claim.value)
        for claim in claims
        if claim.metric == claim_metric(claims)
    ]
    for name, metrics in _systems(results):
        value = metrics[claim_metric(claims)]
        low, high = (100 * end for end in value["ci95"]) if value["ci95"] else (None, None)
        text = f"{_interval(value)}  {name}, {results['protocol']}"
        shown.append(Interval(text, "first", 100 * value["pooled"], low, high))
    return shown


def claim_metric(claims: Sequence[Claim]) -> str:
    """The metric of the figure: what is claimed, "uar" where nothing is."""
    return claims[0].metric if claims else "uar"


def _systems(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    baseline = results.get("baseline")
    return [(results["system"], results["metrics"]), *([(baseline["system"], baseline["metrics"])] if baseline else [])]


def _interval(value: Mapping[str, Any]) -> str:
    """The pooled value with its interval: 61.5 [58.0, 64.9]."""
    text = percent(value["pooled"])
    return text if value["ci95"] is None else f"{text} [{percent(value['ci95'][0])}, {percent(value['ci95'][1])}]"


def _mean(value: Mapping[str, Any]) -> str:
    return percent(value["mean_of_folds"]) + ("" if value["std_of_folds"] is None else f" ± {percent(value['std_of_folds'])}")


def _claims(results: Mapping[str, Any], claims: Sequence[Claim]) -> Table:
    rows = [
        [claim.what, *(percent(claim.value) if claim.metric == name else "-" for name in ("uar", "war")), claim.protocol, claim.marks]
        for claim in claims
    ]
    own = [mark for mark in marks(results) if not mark.startswith("does not beat")]
    for name, metrics in _systems(results):
        rows.append([f"{name}, ours", _interval(metrics["uar"]), _interval(metrics["war"]), results["protocol"], "; ".join(own) or "none"])
    by_chance = chance(results)
    rows.append(["chance", percent(by_chance["uar"]), percent(by_chance["war"]), "-", "none"])
    others = [claim.protocol for claim in claims if claim.systems and claim.protocol != results["protocol"]]
    note = f"in %; ours pooled over all clips, with {_INTERVALS}" + (
        f"; the claim is of another protocol, {others[0]}, and does not say what ours says" if others else ""
    )
    return Table("claims", "Claim and ours", ("", "UAR", "WAR", "protocol", "leaks and marks"), rows, note)


def _results(results: Mapping[str, Any]) -> Table:
    rows = []
    for name, metrics in _systems(results):
        rows.append([name, "mean of folds", *(_mean(metrics[metric]) for metric in METRIC_NAMES)])
        rows.append([name, "pooled", *(_interval(metrics[metric]) for metric in METRIC_NAMES)])
    by_chance = chance(results)
    rows.append(["chance", "pooled", *(percent(by_chance[name]) if name in by_chance else "-" for name in METRIC_NAMES)])
    note = f"in %; mean ± deviation over folds and seeds; pooled over all clips, with {_INTERVALS}"
    return Table("results", "Results", ("system", "over", *METRIC_NAMES.values()), rows, note)


def _folds(results: Mapping[str, Any]) -> Table:
    rows = [
        [entry["fold"], str(entry["seed"]), str(entry["num_clips"]), *(percent(entry[name]) for name in METRIC_NAMES)]
        for entry in results["per_fold"]
    ]
    return Table("folds", "Every fold", ("fold", "seed", "clips", *METRIC_NAMES.values()), rows, "in %")


def _classes(results: Mapping[str, Any]) -> Table:
    rows = [
        [name, str(one["num_clips"]), *(percent(one[key]) for key in ("precision", "recall", "f1"))]
        for name, one in results["per_class"].items()
    ]
    seeds = ", all seeds together" if len(results["per_seed"]) > 1 else ""
    return Table("classes", "By class", ("class", "clips", "precision", "recall", "F1"), rows, f"in %{seeds}")


def _confusion(results: Mapping[str, Any]) -> Table:
    classes, counts = results["confusion"]["classes"], results["confusion"]["counts"]
    rows = [[name, *map(str, row)] for name, row in zip(classes, counts, strict=True)]
    return Table("confusion", "Confusion", ("label", *classes), rows, "clips, columns are predictions")


def _speakers(results: Mapping[str, Any]) -> Table:
    rows = [[name, str(one["num_clips"]), percent(one["uar"]), percent(one["war"])] for name, one in results["per_speaker"].items()]
    spread = results["speaker_spread"]
    for what in ("mean", "std", "lowest", "highest"):
        if spread["uar"][what] is not None:
            label = {"std": "deviation"}.get(what, what)
            rows.append([f"({label})", "-", percent(spread["uar"][what]), percent(spread["war"][what])])
    return Table("speakers", "By speaker", ("speaker", "clips", "UAR", "WAR"), rows, "in %")


def _calibration(results: Mapping[str, Any]) -> Table:
    found = results["calibration"]
    rows = [_calibration_row("as said", found)]
    if found["scaled"] is not None:
        rows.append(_calibration_row("after temperature", found["scaled"]))
    note = "ECE in % (15 bins), Brier score summed over classes, negative log-likelihood in nats a clip: less is better; with " + _INTERVALS
    return Table("calibration", "Calibration", ("", "ECE", "Brier score", "NLL"), rows, note)


def _calibration_row(name: str, found: Mapping[str, Any]) -> list[str]:
    def plain(value: Mapping[str, Any]) -> str:
        text = f"{value['pooled']:.3f}"
        return text if value["ci95"] is None else f"{text} [{value['ci95'][0]:.3f}, {value['ci95'][1]:.3f}]"

    return [name, _interval(found["ece"]), plain(found["brier"]), plain(found["nll"])]
