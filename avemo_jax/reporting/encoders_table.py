"""The table of the encoders that a run uses: licence, what they were trained on, size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avemo_jax.reporting.tables import Column, Table, text_column

NOT_STATED = "not stated"


def encoders_table(encoders: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of encoders.

    Args:
      encoders: entries of run.json, see `avemo_jax.experiment.encoder_table.UsedEncoder`.
    """
    rows = [
        [
            one["name"] if one["weights"] == "published" else f"{one['name']} ({one['weights']})",
            one["licence"] or NOT_STATED,
            NOT_STATED if one["trained_on"] is None else ", ".join(one["trained_on"]) or "nothing",
            one["size_bytes"] or None,
            one["sha256"][:12] or None,
        ]
        for one in encoders
    ]
    columns = [
        text_column("encoder"),
        text_column("licence"),
        text_column("trained on"),
        Column("size", _megabytes),
        text_column("SHA-256"),
    ]
    return Table("encoders", "Encoders", columns, rows, "licence and corpora as the owner states them; the leak audit compares the corpora")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
