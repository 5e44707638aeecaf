"""How results stand: against chance and the classical baseline, and what must be said beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import FROM_CONFUSION
from avemo_jax.reporting.pages import percent


def chance(results: Mapping[str, Any]) -> dict[str, float]:
    """What always saying the most frequent class would score (its UAR is one over the number of classes)."""
    counts = np.asarray(results["confusion"]["counts"])
    constant = np.zeros_like(counts)
    constant[:, counts.sum(axis=1).argmax()] = counts.sum(axis=1)
    return {name: float(function(constant)) for name, function in FROM_CONFUSION.items()}


def speakers_are_known(results: Mapping[str, Any]) -> bool:
    """Whether the corpus says who is recorded, of any clip."""
    return any(results["per_speaker"])


def kind(results: Mapping[str, Any]) -> str:
    """In two words, what may be expected of other speakers."""
    if not speakers_are_known(results):
        return "speakers unknown"
    return "speaker-independent" if results["speaker_independent"] else "speaker-dependent"


def marks(results: Mapping[str, Any]) -> list[str]:
    """What must be said beside every number of these results."""
    found = []
    if not speakers_are_known(results):
        found.append("speakers unknown: the corpus does not say who is recorded, so the same people may be in training and test parts")
    elif not results["speaker_independent"]:
        found.append("speaker-dependent: the same speakers are in the training and test parts")
    if results["select"] != "validation":
        found.append(f"selected on the {results['select']} part: the numbers are too good")
    uar = results["metrics"]["uar"]["mean_of_folds"]
    rivals = {"chance": chance(results)["uar"]}
    if results.get("baseline"):
        rivals[results["baseline"]["system"]] = results["baseline"]["metrics"]["uar"]["mean_of_folds"]
    for name, rival in rivals.items():
        if uar <= rival:
            found.append(f"does not beat {name}: UAR {percent(uar)} against {percent(rival)}")
    return found + [f"leak: {leak if isinstance(leak, str) else leak.get('finding', leak)}" for leak in results["leaks"]]
