"""What is installed and found for an experiment, and how to install what is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from avemo_jax.config import Experiment
from avemo_jax.system_views import check_copies, view_steps, views_in_use, views_of_streams


def doctor(experiment: Experiment) -> bool:
    """Print what is installed and found, and how to install what is missing; return whether nothing is missing."""
    from avemo_jax.config.listing import format_fields, list_changes
    from data_prep.doctor import doctor
    from data_prep.views import VIEWS

    corpus, tables = experiment.corpus, []

    def weights() -> dict[str, tuple[str, str | None]]:
        tables.append(_encoders_text(experiment))  # it imports JAX, as all that the doctor calls here
        return _weights(experiment)

    text, is_whole = doctor(
        corpus=corpus.name,
        corpus_root=corpus.root,
        corpus_options=dataclasses.asdict(corpus),
        views={name: experiment.views[name] for name in views_in_use(experiment)},
        weights=weights,
        prepared_dir=experiment.prepared_dir,
        written=(experiment.run_directory, Path(experiment.prepared_dir)),
        checks={"config": lambda: _check_config(experiment), "plan": lambda: _check_plan(experiment)},
    )
    print(text)
    print("".join(tables), end="")
    print("Fields that this config sets (--help lists all):")
    print(format_fields(list_changes(experiment, VIEWS)))
    return is_whole


def _check_config(experiment: Experiment) -> None:
    """Raise ValueError or RuntimeError where `train` would before it reads the corpus."""
    from avemo_jax.experiment.grid_plan import check_experiment
    from avemo_jax.experiment.needed_packages import check_packages

    check_experiment(experiment)
    check_packages(experiment)
    check_copies(experiment)


def _check_plan(experiment: Experiment) -> str:
    """Return a description of the folds over the clips of the corpus; raise ValueError where `train` would before it decodes a medium."""
    from avemo_jax.experiment.grid_plan import plan_clips
    from avemo_jax.text import count_of
    from data_prep.prepare_corpus import read_corpus

    own, plans = experiment.corpus, []
    read_corpus(
        own.name,
        own.root,
        label_target=own.label_target,
        label_set=own.label_set,
        views=views_of_streams(experiment),
        options=dataclasses.asdict(own),
        check=lambda clips: plans.append(plan_clips(experiment, clips)),
    )
    (plan,) = plans
    return f"{count_of(len(plan.folds.folds), 'fold')} of {plan.folds.protocol} over {len(plan.clips)} labelled clips"


def _weights(experiment: Experiment) -> dict[str, tuple[str, str | None]]:
    """Return encoder -> (state of its weights, how to fix it or None); nothing where a view cannot be made."""
    from avemo_jax.experiment.encoder_weights import find_weights

    try:
        steps = view_steps(experiment)
    except (ValueError, OSError):
        return {}  # the doctor reports that view itself
    return find_weights(experiment, steps)


def _encoders_text(experiment: Experiment) -> str:
    """Return the table of the encoders that the streams use, as text; "" where they use none."""
    from avemo_jax.experiment.encoder_table import encoder_table
    from avemo_jax.reporting.encoders_table import encoders_table
    from avemo_jax.reporting.tables import table_text

    encoders = [one.as_dict() for one in encoder_table(experiment)]
    return f"{table_text(encoders_table(encoders))}\n" if encoders else ""
