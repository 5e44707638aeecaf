"""The modes of `run.py` as Python functions, which take an Experiment and connect the modes with `data_prep`.

from avemo_jax import api
from avemo_jax.config import parse
from configs import demo

results = api.train(parse(demo.get_config("audio").to_dict()))
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from avemo_jax.config import Experiment
from avemo_jax.machine import check_machine

if TYPE_CHECKING:  # scipy and more, which `run.py --help` does not need
    from avemo_jax.data.prepared import PreparedCorpus
    from avemo_jax.degradation import Degradation
    from avemo_jax.evaluation.results import RunResults
    from avemo_jax.inference.recording import RecordingPrediction
    from avemo_jax.model import Model


P = ParamSpec("P")
T = TypeVar("T")
WINDOW_S, HOP_S = 3.0, 1.0  # of predictions: about as long as the clips of most corpora


def _checked_first(mode: Callable[Concatenate[Experiment, P], T]) -> Callable[Concatenate[Experiment, P], T]:
    """Let a mode check the machine, before anything imports JAX, and the config, before anything is prepared or written."""

    @functools.wraps(mode)
    def checked(experiment: Experiment, *args: P.args, **kwargs: P.kwargs) -> T:
        check_machine()
        from avemo_jax.experiment.grid_plan import check_experiment

        check_experiment(experiment)
        return mode(experiment, *args, **kwargs)

    return checked


@_checked_first
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
    from avemo_jax.experiment.needed_packages import check_packages
    from data_prep.prepare_corpus import shared_media
    from data_prep.workers.own_process import run_in_own_process

    check_packages(experiment)
    _check_copies(experiment)
    set_up_backend(experiment)
    fetch_used(experiment, view_steps(experiment))
    corpus, store = _prepared_views(experiment, degradation, verified=verify)
    if not are_made(experiment, corpus, store):
        run_in_own_process(make_features, experiment, degradation, compiler_flags=compiler_flags())
    root = experiment.corpus.root
    if root and degradation is None and experiment.protocol.near_duplicates:
        found = shared_media(
            experiment.corpus.name,
            root,
            corpus.clips,
            views=_views_of_streams(experiment),
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


@_checked_first
def train(experiment: Experiment) -> RunResults | None:
    """Prepare the corpus, audit the folds, train the grid, evaluate and report; return the results.

    A stopped run continues from its checkpoints. With several processes, only the primary one returns results, the others None.
    """
    from avemo_jax.modes.train import train
    from avemo_jax.runs.processes import join

    processes = join(experiment.devices)
    with processes.as_one():
        return train(experiment, processes.run_on_primary_first(lambda: prepare(experiment)), processes)


@_checked_first
def evaluate(experiment: Experiment) -> RunResults:
    """Restore a trained grid, predict the test parts again and report; return the results."""
    from avemo_jax.modes.evaluate import evaluate

    return evaluate(experiment, prepare(experiment))


@_checked_first
def search(experiment: Experiment) -> None:
    """Join the search of a run, in addition to the process that trains the run."""
    from avemo_jax.experiment.searching import check_shared
    from avemo_jax.modes.search import join_search

    check_shared(experiment)  # before preparing, which may take hours
    join_search(experiment, prepare(experiment))


@_checked_first
def audit(experiment: Experiment) -> list[Any]:
    """Print and return the findings of the leak audit in the folds of an experiment, and in existing predictions."""
    from avemo_jax.modes.audit import audit_run

    return audit_run(experiment, prepare(experiment))


def audit_lists(experiment: Experiment, paths: Sequence[str], columns: Sequence[str] = (), *, output: str | None = None) -> list[Any]:
    """Print and return the findings of the leak audit in third-party split lists (CSV)."""
    from avemo_jax.modes import audit_lists as mode
    from data_prep.corpora.known_names import read_known_names
    from data_prep.duplicates.near_duplicates import compare_media
    from data_prep.inputs import find_inputs

    def compare(clips, root):
        return compare_media(clips, root, prepared_dir=Path(experiment.prepared_dir), num_workers=experiment.num_workers)

    return mode.audit_lists(
        experiment, find_inputs(paths, keep_folders=True), columns, compare, known_names=read_known_names, output=output
    )


@_checked_first
def robustness(experiment: Experiment) -> dict[str, Any]:
    """Measure a finished run on degraded test clips; return the content of robustness.json."""
    from avemo_jax.modes.robustness import conditions_of, measure_robustness

    conditions_of(experiment)  # before preparing, which may take hours
    return measure_robustness(experiment, prepare(experiment), lambda degradation: prepare(experiment, degradation))


@_checked_first
def explain(experiment: Experiment, *, clips_per_class: int = 10) -> Path:
    """Show on which parts of the test clips the answers of a finished run rest; return the path of the page."""
    from avemo_jax.modes.explain import explain

    return explain(experiment, prepare(experiment), clips_per_class=clips_per_class)


@_checked_first
def predict(
    experiment: Experiment,
    files: Sequence[str],
    *,
    output: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    formats: Sequence[str] = ("json", "csv"),
) -> list[RecordingPrediction]:
    """Predict media with all models of a finished run or of a model folder; return one `RecordingPrediction` a file.

    Args:
      files: files, folders and patterns, see `data_prep.inputs.find_inputs`.
      output: folder for the results; default: a new one in the run directory.
      window_s, hop_s: length of the windows that are predicted, and distance of their starts; see `windows`.
      formats: "json", "csv", and names of `avemo_jax.timelines.FORMATS`.
    """
    from avemo_jax.modes.predict import predict
    from avemo_jax.timelines import check_formats
    from data_prep.inputs import find_inputs
    from data_prep.live import LiveViews
    from data_prep.live_worker import IsolatedViews
    from data_prep.timeline_media import TimelineMedia

    inputs = find_inputs(files)
    check_formats(formats)  # before checkpoints are read
    live = LiveViews(views_in_use(experiment), windows(experiment, window_s, hop_s))
    with IsolatedViews(live) as recordings, TimelineMedia(**_face_detector(experiment)) as media:
        return predict(experiment, inputs, recordings, output=None if output is None else Path(output), formats=formats, media=media)


def load(folder: str | Path, *, window_s: float | None = None, hop_s: float | None = None) -> Model:
    """Return the trained system of a run directory as an object with `predict`; see `avemo_jax.model`.

    Args:
      folder: run directory.
      window_s, hop_s: see `windows`.

    Raises:
      FileNotFoundError, ConfigMismatch: the folder holds no finished run, or one of an earlier version.
    """
    check_machine()
    from avemo_jax.model import Model
    from avemo_jax.modes.stored import stored_experiment
    from data_prep.live import LiveViews

    experiment = stored_experiment(str(folder), {})
    return Model(experiment, LiveViews(views_in_use(experiment), windows(experiment, window_s, hop_s)))


def windows(experiment: Experiment, window_s: float | None = None, hop_s: float | None = None) -> tuple[float, float] | None:
    """Return length and distance of the windows in s that a system predicts, or None for segments as in training.

    Args:
      window_s: 0 for segments of the views' `segment_s`; None: 3 s, or such segments where the config has another `segment_s` than the
        run, or where the system cannot take another length, which is printed.
      hop_s: None: 1 s, or the length of a window where that is less.

    Raises:
      ValueError: a distance without windows.
    """
    from data_prep.live import why_no_windows

    if window_s == 0:
        if hop_s is not None:
            raise ValueError(f"--window_s=0 predicts segments as in training, which have no --hop_s, got {hop_s:g}; leave one of them out")
        return None
    if window_s is None and hop_s is None and _has_other_segments(experiment):
        return None
    if window_s is None and hop_s is None and (reason := why_no_windows(views_in_use(experiment))):
        print(f"predicting segments as in training and no windows of {WINDOW_S:g} s, because {reason}")
        return None
    length_s = WINDOW_S if window_s is None else window_s
    return length_s, min(HOP_S, length_s) if hop_s is None else hop_s


def _face_detector(experiment: Experiment) -> dict[str, Any]:
    """Return the face detector of the first view that has one, so that an overlay boxes what the system sees; {} for the default."""
    found = (params for _, params in views_in_use(experiment).values() if "detector" in params)
    return {name: params[name] for params in itertools.islice(found, 1) for name in ("detector", "detector_path")}


def _has_other_segments(experiment: Experiment) -> bool:
    """Return whether the config asks for segments of another length than those of its run."""
    from avemo_jax.atomic import read_json

    path = experiment.run_directory / "config.json"
    stored = read_json(path).get("views", {}) if path.is_file() else {}
    views = {name: params.get("segment_s") for name, (_, params) in views_in_use(experiment).items()}
    return any(segment_s != stored.get(name, {}).get("segment_s", segment_s) for name, segment_s in views.items())


@_checked_first
def export(experiment: Experiment, *, output: str, half_precision: bool = False, stablehlo: bool = False) -> dict[str, Any]:
    """Write a finished run as a model folder, which predicts without the run; return the content of its model.json.

    Args:
      output: the folder, new or empty.
      half_precision: store the weights of networks in float16.
      stablehlo: also write the networks as one program, see `avemo_jax.experiment.stablehlo`.

    Raises:
      ValueError: nothing could predict new media with it, because a stream is read from a table of its corpus.
      FileExistsError, FileNotFoundError: see `avemo_jax.modes.export.export`.
    """
    from avemo_jax.modes.export import export
    from data_prep.live import LiveViews
    from data_prep.views import VIEWS

    if not output:
        raise ValueError("name the folder of the model with --output=FOLDER")
    views = views_in_use(experiment)
    live = LiveViews(views)  # refuses what cannot predict new media
    modalities = {name: VIEWS[name].modality for name in views}
    return export(
        experiment,
        live.views,
        Path(output),
        modalities=modalities,
        segment_s=live.segment_s,
        half_precision=half_precision,
        stablehlo=stablehlo,
    )


def compare(
    runs: Sequence[str],
    predictions: Sequence[str] = (),
    *,
    on: str = "all",
    fuse: Sequence[str] = (),
    output: str | None = None,
) -> None:
    """Compare runs and third-party predictions on the same clips: paired tests, agreement, late fusion."""
    from avemo_jax.comparison.compare import compare
    from data_prep.corpora import CORPORA

    def clip_of(corpus, stem):
        return CORPORA[corpus].clip_id(stem) if corpus in CORPORA else None

    compare(runs, predictions, on=on, fuse_only=fuse, output=output, clip_of=clip_of)


def board(runs: Sequence[str], *, output: str | None = None) -> Path:
    """Write a page and tables of all finished runs that folders and patterns name; return the path of the page."""
    from avemo_jax.modes.board import board

    return board(runs, output=output)


def explore(experiment: Experiment, *, output: str | None = None) -> Path:
    """Measure the clips of a corpus before anything is trained on it; write a page and tables, and return the path of the page.

    Raises:
      CorpusNotFound: no folder is given, or the corpus is not there.
    """
    from avemo_jax.modes.explore import write_exploration
    from avemo_jax.reporting.exploration import clips_to_show
    from data_prep.duplicates.near_duplicates import compare_media
    from data_prep.measuring import measure_clips
    from data_prep.prepare_corpus import clips_of_corpus

    own = experiment.corpus
    clips = clips_of_corpus(own.name, own.root, dataclasses.asdict(own))
    root = Path("" if "+" in own.name else own.root or "")  # media of joined corpora are absolute
    measures = measure_clips(clips, root, num_workers=experiment.num_workers, shown=clips_to_show(clips))
    found = compare_media(clips, root, prepared_dir=Path(experiment.prepared_dir), num_workers=experiment.num_workers)
    folder = Path(output) if output else Path("runs") / f"explore-{own.name}"
    return write_exploration(own.name, clips, measures, found.pairs, found.not_compared, folder)


def report(experiment: Experiment) -> None:
    """Write report.html of a finished run again."""
    from avemo_jax.modes.report import report

    report(experiment)


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


def help_on_fields() -> str:
    """Return every field of the config with its default and meaning."""
    from avemo_jax.config.listing import format_fields, list_fields
    from data_prep.views import VIEWS

    return format_fields(list_fields(VIEWS))


def views_in_use(experiment: Experiment) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return name -> (view, its parameters), for all views of the system's streams."""
    from avemo_jax.experiment.live_features import views_of
    from avemo_jax.text import nearest

    for name in views_of(experiment):
        if name not in experiment.views:
            raise ValueError(f"a stream names the view {name!r}, which does not exist{nearest(name, experiment.views)}")
    return {name: (name, experiment.views[name]) for name in views_of(experiment)}


def view_steps(experiment: Experiment) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name -> (step shape, dtype), for all views of the system's streams."""
    from data_prep.views import make_view

    views = {name: make_view(name, **params) for name, (_, params) in views_in_use(experiment).items()}
    return {name: (tuple(view.step_shape), view.dtype) for name, view in views.items()}


def _check_copies(experiment: Experiment) -> None:
    """Raise ValueError where a copy of the training clips would be the clips themselves, since no stream has its medium."""
    from avemo_jax.degradation import parse_copies
    from data_prep.sets.prepare import is_degraded
    from data_prep.views import make_view

    views = [make_view(name, **params) for name, params in views_in_use(experiment).values()]
    for copy in parse_copies(experiment.train.copies):
        if not any(is_degraded(view, copy) for view in views):
            raise ValueError(
                f"train.copies holds {copy.text!r}, which changes {copy.modality}, and no stream of {experiment.system.name} is made from "
                f"{copy.modality}: the copies would be the clips themselves; leave it out of --config.train.copies"
            )


def _check_config(experiment: Experiment) -> None:
    """Raise ValueError or RuntimeError where `train` would before it reads the corpus."""
    from avemo_jax.experiment.grid_plan import check_experiment
    from avemo_jax.experiment.needed_packages import check_packages

    check_experiment(experiment)
    check_packages(experiment)
    _check_copies(experiment)


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
        views=_views_of_streams(experiment),
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
        views=_views_of_streams(experiment),
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


def _views_of_streams(experiment: Experiment) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return stream -> (its view, the view's parameters)."""
    return {name: (stream.view, experiment.views[stream.view]) for name, stream in experiment.streams_in_use.items()}
