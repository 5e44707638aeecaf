"""The command `avemo`, which `pip install` makes: it is run.py."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process."""
    from avemo_jax.runs.preemption import stop_on_signals

    stop_on_signals(at_once=True)  # before the slow imports of run.py, as run.py itself does
    import run

    run.run_command()
