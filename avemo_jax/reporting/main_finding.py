"""What a run found, in a sentence or two: against chance, the classical baseline, and the best published result that is comparable."""

from __future__ import annotations

from collections.abc import Sequence

from avemo_jax.evaluation.results import RunResults
from avemo_jax.reporting.caveats import chance, speakers_are_known
from avemo_jax.reporting.published import PublishedResult, best_published
from avemo_jax.text import format_percent


def main_finding(results: RunResults, published: Sequence[PublishedResult]) -> str:
    """Return the sentences; all numbers are pooled over the test clips. "" for a run without classes."""
    if not results.has_classes:
        return ""
    uar = results.metrics["uar"]
    interval = "" if uar.ci95 is None else f" (95 % interval {format_percent(uar.ci95[0])} to {format_percent(uar.ci95[1])})"
    found = f"{results.system} reaches UAR {format_percent(uar.pooled)} %{interval} on {_speakers(results)}"
    found += f"; chance is {format_percent(chance(results)['uar'])} %"
    if results.baseline is not None:
        baseline = results.baseline.metrics["uar"].pooled
        found += f", the classical baseline reaches {format_percent(baseline)} %, {_points(uar.pooled - baseline)}"
    best = best_published(published, results.protocol)
    if best is None:
        return f"{found}."
    caveats = "" if best.caveats == "none" else f" ({best.caveats})"
    own = format_percent(results.metrics[best.metric].pooled)
    return (
        f"{found}. The best published result for this protocol and these media is {best.metric.upper()} {format_percent(best.value)} % by "
        f"{best.source}{caveats}; this run has {own} %."
    )


def _speakers(results: RunResults) -> str:
    if not speakers_are_known(results):
        return "clips whose speakers are unknown"
    return "speakers who are new to it" if results.speaker_independent else "speakers whom it knows from training"


def _points(difference: float) -> str:
    size = format_percent(abs(difference))
    if float(size) == 0:
        return "as much as this system"
    return f"{size} points {'less' if difference > 0 else 'more'} than this system"
