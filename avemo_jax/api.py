"""The modes of `run.py` as Python functions, which take an Experiment and connect the modes with `data_prep`.

from avemo_jax import api
from avemo_jax.config import parse
from configs import demo

results = api.train(parse(demo.get_config("audio").to_dict()))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemo_jax.config import Experiment
from avemo_jax.machine import check_machine
from avemo_jax.preparing import checked_first
from avemo_jax.preparing import make_features as make_features  # names of this module too
from avemo_jax.preparing import prepare as prepare
from avemo_jax.runs.time_spent import counted, phase
from avemo_jax.system_views import views_in_use
from avemo_jax.windows import face_detector, has_faces, windows

if TYPE_CHECKING:  # scipy and more, which `run.py --help` does not need
    from avemo_jax.evaluation.results import RunResults
    from avemo_jax.inference.recording import RecordingPrediction
    from avemo_jax.model import Model


@checked_first
def train(experiment: Experiment) -> RunResults | None:
    """Prepare the corpus, audit the folds, train the grid, evaluate and report; return the results.

    A stopped run continues from its checkpoints. With several processes, only the primary one returns results, the others None.
    """
    with counted():
        with phase("import"):
            from avemo_jax.modes.train import train
            from avemo_jax.runs.processes import join
            from avemo_jax.runs.run_directory import check_config

        check_config(experiment.run_directory, experiment)
        processes = join(experiment.devices)
        with processes.as_one():
            return train(experiment, processes.run_on_primary_first(lambda: prepare(experiment)), processes)


@checked_first
def evaluate(experiment: Experiment) -> RunResults:
    """Restore a trained grid, predict the test parts again and report; return the results."""
    from avemo_jax.modes.evaluate import evaluate

    return evaluate(experiment, prepare(experiment))


@checked_first
def search(experiment: Experiment) -> None:
    """Join the search of a run, in addition to the process that trains the run."""
    from avemo_jax.experiment.searching import check_shared
    from avemo_jax.modes.search import join_search

    check_shared(experiment)  # before preparing, which may take hours
    join_search(experiment, prepare(experiment))


@checked_first
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


@checked_first
def robustness(experiment: Experiment) -> dict[str, Any]:
    """Measure a finished run on degraded test clips; return the content of robustness.json."""
    from avemo_jax.modes.robustness import conditions_of, measure_robustness

    conditions_of(experiment)  # before preparing, which may take hours
    return measure_robustness(experiment, prepare(experiment), lambda degradation: prepare(experiment, degradation))


@checked_first
def adapt(experiment: Experiment) -> dict[str, Any]:
    """Measure a finished run with unlabelled and labelled clips of each test speaker; return the content of adaptation.json."""
    from avemo_jax.modes.adapt import adapt_run

    return adapt_run(experiment, prepare(experiment))


@checked_first
def ablate(experiment: Experiment) -> list[dict[str, Any]]:
    """Measure a finished classical system without each of its parts in turn, on training speakers; return the entries of ablation.json."""
    from avemo_jax.modes.ablate import ablate_run
    from data_prep.views import VIEWS

    views = {name: VIEWS[stream.view] for name, stream in experiment.streams_in_use.items() if stream.encoder == "none"}
    parts = {name: view.parts() for name, view in views.items() if hasattr(view, "parts")}
    return ablate_run(experiment, prepare(experiment), parts)


@checked_first
def explain(experiment: Experiment, *, clips_per_class: int = 10) -> Path:
    """Show on which parts of the test clips the answers of a finished run rest; return the path of the page."""
    from avemo_jax.modes.explain import explain

    return explain(experiment, prepare(experiment), clips_per_class=clips_per_class)


def predict(
    experiment: Experiment,
    files: Sequence[str],
    *,
    output: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    formats: Sequence[str] = ("json", "csv"),
    people: bool = False,
) -> list[RecordingPrediction]:
    """Predict media with all models of a finished run or of a model folder; return one `RecordingPrediction` a file.

    Args:
      files: files, folders and patterns, see `data_prep.inputs.find_inputs`.
      output: folder for the results; default: a new one in the run directory.
      window_s, hop_s: length of the windows that are predicted, and distance of their starts; see `windows`.
      formats: "json", "csv", and names of `avemo_jax.timelines.FORMATS`.
      people: also predict each person of a film by itself, where several faces can be followed; of systems that take faces.
    """
    # The config was checked before its run was trained, and is compared with that of the run.
    from avemo_jax.experiment.live_features import uses_jax

    if uses_jax(experiment):
        check_machine()
    from avemo_jax.modes.predict import predict
    from avemo_jax.timelines import check_formats
    from data_prep.inputs import find_inputs
    from data_prep.live import LiveViews
    from data_prep.live_worker import IsolatedViews
    from data_prep.timeline_media import TimelineMedia

    inputs = find_inputs(files)
    if people and not has_faces(experiment):
        raise ValueError(f"--people needs a system that takes faces, and {experiment.system.name} does not; leave --people out")
    check_formats(formats)  # before checkpoints are read
    live = LiveViews(views_in_use(experiment), windows(experiment, window_s, hop_s))
    with IsolatedViews(live) as recordings, TimelineMedia(**face_detector(experiment)) as media:
        folder = None if output is None else Path(output)
        return predict(experiment, inputs, recordings, output=folder, formats=formats, media=media, people=people)


def load(folder: str | Path, *, window_s: float | None = None, hop_s: float | None = None) -> Model:
    """Return the trained system of a run directory or a model folder as an object with `predict`; see `avemo_jax.model`.

    Args:
      folder: run directory, or model folder of `export`.
      window_s, hop_s: see `windows`.

    Raises:
      FileNotFoundError, ConfigMismatch: the folder holds no finished run, or one of an earlier version.
    """
    from avemo_jax.experiment.live_features import uses_jax
    from avemo_jax.modes.stored import stored_experiment
    from data_prep.live import LiveViews

    experiment = stored_experiment(str(folder), {})
    if uses_jax(experiment):
        check_machine()
    from avemo_jax.model import Model  # late: the networks bring JAX

    return Model(experiment, LiveViews(views_in_use(experiment), windows(experiment, window_s, hop_s)))


@checked_first
def serve(
    experiment: Experiment,
    *,
    host: str = "127.0.0.1",
    port: int = 8600,
    upload_mb: float = 500,
    window_s: float | None = None,
    hop_s: float | None = None,
) -> None:
    """Serve a page that predicts recordings, camera and microphone with a finished run or a model folder, until the process is stopped.

    Args:
      host, port, upload_mb: see `avemo_jax.modes.serve.serve`.
      window_s, hop_s: see `windows`.
    """
    from avemo_jax.model import Model
    from avemo_jax.modes.serve import check_packages, serve
    from data_prep.live import LiveViews
    from data_prep.timeline_media import TimelineMedia

    check_packages()
    detector = face_detector(experiment)
    with Model(experiment, LiveViews(views_in_use(experiment), windows(experiment, window_s, hop_s))) as model:
        serve(experiment, model, lambda: TimelineMedia(**detector), host=host, port=port, upload_mb=upload_mb)


@checked_first
def export(experiment: Experiment, *, output: str, half_precision: bool = False, programs: Sequence[str] = ()) -> dict[str, Any]:
    """Write a finished run as a model folder, which predicts without the run; return the content of its model.json.

    Args:
      output: the folder, new or empty.
      half_precision: store the weights of networks in float16.
      programs: formats in which the networks are also written as one program: stablehlo, onnx; see `avemo_jax.experiment.programs`.

    Raises:
      ValueError: nothing could predict new media with it, because a stream is read from a table of its corpus.
      FileExistsError, FileNotFoundError: see `avemo_jax.modes.export.export`.
    """
    from avemo_jax.modes.export import export
    from data_prep.live import LiveViews
    from data_prep.views import VIEWS, make_view

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
        programs=programs,
        arithmetic={name: make_view(name, **params).arithmetic() for name, params in views.values() if hasattr(VIEWS[name], "arithmetic")},
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
    """Write a page and tables of all finished runs that folders and patterns name, and of what is missing; return the path of the page."""
    from avemo_jax.modes.board import board
    from avemo_jax.wanted import places_of, wanted_systems

    return board(runs, output=output, wanted=lambda configs: wanted_systems(places_of(configs)))


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
    from avemo_jax.doctor import doctor

    return doctor(experiment)


def help_on_fields() -> str:
    """Return every field of the config with its default and meaning."""
    from avemo_jax.config.listing import format_fields, list_fields
    from data_prep.views import VIEWS

    return format_fields(list_fields(VIEWS))
