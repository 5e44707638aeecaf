"""Where every mode that trains or measures begins: the config checked, and its corpus as prepared sets with the features of each stream."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from avemo_jax.config import Experiment
from avemo_jax.machine import check_machine
from avemo_jax.runs.time_spent import phase
from avemo_jax.system_views import check_copies, view_steps, views_of_streams

if TYPE_CHECKING:  # scipy and more, which `run.py --help` does not need
    from avemo_jax.data.prepared import PreparedCorpus
    from avemo_jax.degradation import Degradation


P = ParamSpec("P")
T = TypeVar("T")


def checked_first(mode: Callable[Concatenate[Experiment, P], T]) -> Callable[Concatenate[Experiment, P], T]:
    """Let a mode check the machine, before anything imports JAX, and the config, before anything is prepared or written."""

    @functools.wraps(mode)
    def checked(experiment: Experiment, *args: P.args, **kwargs: P.kwargs) -> T:
        check_machine()
        with phase("import"):
            from avemo_jax.experiment.grid_plan import check_experiment

        check_experiment(experiment)
        return mode(experiment, *args, **kwargs)

    return checked


@checked_first
@phase("prepare")
def prepare(experiment: Experiment, degradation: Degradation | None = None, *, verify: bool = False) -> PreparedCorpus:
    """Return the corpus with the features of each stream; missing ones are made.

    Args:
      degradation: degradation of all media before they are prepared, for the robustness panel.
      verify: read all examples of the sets that exist and make damaged sets anew; else only their small files are checked.

    Raises:
      ValueError: fields of the config contradict each other or do not fit the corpus.
      FileNotFoundError, MissingAsset: the corpus or the weights of an encoder are missing.
    """
    from avemo_jax.config.overrides import with_fields
    from avemo_jax.degradation import parse_copies
    from avemo_jax.experiment.backend import set_up_backend
    from avemo_jax.experiment.encoder_weights import fetch_used
    from avemo_jax.experiment.features import are_made, compiler_flags, with_features
    from avemo_jax.experiment.grid_plan import check_tokens
    from avemo_jax.experiment.needed_packages import check_packages
    from data_prep.prepare_corpus import shared_media
    from data_prep.workers.own_process import run_in_own_process

    check_packages(experiment)
    check_copies(experiment)
    set_up_backend(experiment)
    steps = view_steps(experiment)
    check_tokens(experiment, steps)
    fetch_used(experiment, steps)
    corpus, store = _prepared_views(experiment, degradation, verified=verify)
    if not are_made(experiment, corpus, store):
        with phase("encode"):
            run_in_own_process(make_features, experiment, degradation, compiler_flags=compiler_flags())
    root = experiment.corpus.root
    if root and degradation is None and experiment.protocol.near_duplicates:
        found = shared_media(
            experiment.corpus.name,
            root,
            corpus.clips,
            views=views_of_streams(experiment),
            prepared_dir=experiment.prepared_dir,
            num_workers=experiment.num_workers,
        )
        corpus = dataclasses.replace(corpus, shared_media=found.pairs, not_compared=found.not_compared)
    whole = with_features(experiment, corpus, store)
    if degradation is not None or not experiment.train.copies:
        return whole
    without_baseline = with_fields(experiment, {"protocol.baseline": False})
    copies = {one.text: prepare(without_baseline, one, verify=verify) for one in parse_copies(experiment.train.copies)}
    return dataclasses.replace(whole, copies=copies)


def make_features(experiment: Experiment, degradation: Degradation | None = None) -> None:
    """Run the frozen encoders over the prepared views; `prepare` calls it in a separate process with other compiler flags."""
    from avemo_jax.allocator import keep_freed_memory
    from avemo_jax.experiment.features import with_features

    keep_freed_memory()
    with_features(experiment, *_prepared_views(experiment, degradation))


def _prepared_views(experiment: Experiment, degradation: Degradation | None, *, verified: bool = False) -> tuple[PreparedCorpus, Any]:
    """Return the corpus with the views of its streams, and the store of prepared sets that are derived from them."""
    from avemo_jax.experiment.grid_plan import plan_clips
    from data_prep.prepare_corpus import prepare_corpus
    from data_prep.sets.derived import DerivedSets
    from data_prep.sets.on_beam import beam_of

    own = experiment.corpus
    corpus = prepare_corpus(
        own.name,
        own.root,
        label_target=own.label_target,
        label_set=own.label_set,
        views=views_of_streams(experiment),
        prepared_dir=experiment.prepared_dir,
        num_workers=experiment.num_workers,
        options=dataclasses.asdict(own),
        beside={
            name: (stream.view_beside, experiment.views[stream.view_beside])
            for name, stream in experiment.streams_in_use.items()
            if stream.view_beside
        },
        baseline_params=experiment.views["functionals"] if experiment.protocol.baseline else None,
        degradation=degradation,
        beam=beam_of(experiment.beam_runner, experiment.beam_options),
        check=lambda clips: plan_clips(experiment, clips),
        verified=verified,
    )
    return corpus, DerivedSets(Path(experiment.prepared_dir), own.name, corpus.clips, verified=verified)
