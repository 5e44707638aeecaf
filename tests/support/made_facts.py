"""What is known of a made-up run without its predictions."""

from __future__ import annotations

from typing import Any

from avemo_jax.evaluation.results import RunFacts


def made_facts(**changes: Any) -> RunFacts:
    """Return the facts of a run of a network on RAVDESS by speaker, some of them changed."""
    facts = dict(
        corpus="ravdess",
        system="gru_attention",
        protocol="luna5",
        label_set="ravdess8",
        label_target="acted",
        fold_hash="abc",
        select="validation",
        num_undecodable=0,
        num_without_face=0,
        num_params=10,
        leaks=(),
        seconds=1.5,
        num_trials=10,
        num_failed=0,
        speaker_independent=True,
    )
    return RunFacts(**facts | changes)
