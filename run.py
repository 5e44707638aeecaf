"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --config=configs/ravdess.py:gru_attention --mode=predict --input=clip.mp4
python run.py --config=configs/ravdess.py:gru_attention --mode=robustness
python run.py --config=configs/ravdess.py:gru_attention --config.search.space="('learning_rate=1e-4..1e-2 log',)"
python run.py --mode=compare --runs=runs/one,runs/another [--predictions="theirs=file.csv;kind=logits;columns=c0,c1;classes=happy,sad"]
"""

import dataclasses
import json
import logging as python_logging
import os
import signal
import sys
import traceback
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from avemo_jax.runs.preemption import Preempted

CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/demo.py:audio_video", "experiment: corpus file, colon, system", lock_config=True
)
INPUT = flags.DEFINE_list("input", [], "predict: media files, separated by commas; audit: split lists (CSV) of anybody's")
OUTPUT = flags.DEFINE_string(
    "output", None, "predict, compare, audit: folder for what they find (default: beside the run; runs/compare-...; none for an audit)"
)
COLUMNS = flags.DEFINE_list("columns", [], "audit: role=column of a split list whose columns have names of their own, e.g. speaker=actor")
RUNS = flags.DEFINE_list("runs", [], "compare: run directories, each FOLDER or NAME=FOLDER, separated by commas")
PREDICTIONS = flags.DEFINE_multi_string("predictions", [], "compare: somebody's CSV, NAME=FILE;key=value;... (may be repeated)")
ON = flags.DEFINE_enum("on", "all", ["all", "common"], "compare: all systems have the same clips, or compare those that all have")
FUSE = flags.DEFINE_list("fuse", [], "compare: what to fuse, NAME+NAME,...; default: all that have probabilities, together")


def train(config):
    from avemo_jax.experiment import run
    from avemo_jax.runs.processes import join

    processes = join(config["devices"])
    with processes.as_one():
        run.train(config, processes.leader_first(lambda: prepared(config)), processes)


def search(config):
    from avemo_jax.experiment import run, searching

    searching.check_shared(config)  # before hours go into preparing
    run.join_search(config, prepared(config))


def prepare(config):
    prepared(config)


def audit(config):
    if INPUT.value:
        return audit_lists(config)
    from avemo_jax.experiment import run

    return int(any(finding.stops for finding in run.audit_only(config, prepared(config))))


def audit_lists(config):
    from avemo_jax.modes import audit_lists as list_audit
    from data_prep.duplicates.near_duplicates import compare_media

    def compare(clips, root):
        return compare_media(clips, root, prepared_dir=Path(config["prepared_dir"]), num_workers=config["num_workers"])

    findings = list_audit.audit_lists(config, INPUT.value, COLUMNS.value, compare, output=OUTPUT.value)
    return int(any(finding.stops for finding in findings))


def evaluate(config):
    from avemo_jax.experiment import run

    run.evaluate(config, prepared(config))


def report(config):
    from avemo_jax.experiment import run

    run.report(config)


def predict(config):
    from avemo_jax.modes import predict
    from data_prep.live import LiveViews

    found = predict.predict(
        config, INPUT.value, LiveViews({name: (name, params) for name, params in views_of(config).items()}), output=OUTPUT.value
    )
    return int(not all(one.segments for one in found))


def compare(config):
    from avemo_jax.comparison.compare import compare
    from data_prep.corpora import CORPORA

    def clip_of(corpus, stem):
        return CORPORA[corpus].clip_id(stem) if corpus in CORPORA else None

    compare(RUNS.value, PREDICTIONS.value, on=ON.value, fuse_only=FUSE.value, output=OUTPUT.value, clip_of=clip_of)


def doctor(config):
    from data_prep.doctor import doctor

    corpus = config["corpus"]
    report, is_whole = doctor(
        corpus=corpus["name"],
        corpus_root=corpus["root"],
        corpus_options=corpus,
        views=views_of(config),
        weights=weights_of(config),
        prepared_dir=config["prepared_dir"],
    )
    print(report)
    return int(not is_whole)


def robustness(config):
    from avemo_jax.modes.robustness import measure_robustness

    measure_robustness(config, prepared(config), lambda degradation: prepared(config, degradation))


def prepared(config, degradation=None):
    """The corpus with the features of each stream, made where they are missing; for the robustness panel of degraded media."""
    from avemo_jax.experiment.encoder_weights import fetch_used
    from avemo_jax.experiment.features import are_made, compiler_flags, with_features
    from avemo_jax.experiment.plan import check_grid
    from avemo_jax.experiment.run import set_up_backend
    from data_prep.prepare_corpus import shared_media
    from data_prep.sets.derived import DerivedSets
    from data_prep.workers.own_process import run_in_own_process

    check_grid(config)
    set_up_backend(config)
    fetch_used(config, view_steps(config))
    corpus = corpus_of(config, degradation)
    store = DerivedSets(config["prepared_dir"], config["corpus"]["name"], corpus.clips)
    if not are_made(config, corpus, store):
        run_in_own_process(make_features, config | {"degradation": degradation}, compiler_flags=compiler_flags())
    pairs = None
    if config["protocol"]["near_duplicates"] and not degradation:
        name, root = config["corpus"]["name"], config["corpus"]["root"]
        views, prepared_dir, num_workers = views_of_streams(config), config["prepared_dir"], config["num_workers"]
        pairs = shared_media(name, root, corpus.clips, views=views, prepared_dir=prepared_dir, num_workers=num_workers)
    return with_features(config, dataclasses.replace(corpus, shared_media=pairs), store)


def corpus_of(config, degradation=None):
    """The clips of the corpus and the prepared views of the streams."""
    from data_prep.prepare_corpus import prepare_corpus
    from data_prep.sets.on_beam import beam_of

    corpus = config["corpus"]
    return prepare_corpus(
        corpus["name"],
        corpus["root"],
        label_target=corpus["label_target"],
        options=corpus,
        views=views_of_streams(config),
        beside=views_of_streams(config, "_beside"),
        prepared_dir=config["prepared_dir"],
        num_workers=config["num_workers"],
        baseline_params=config["views"]["functionals"] if config["protocol"]["baseline"] else None,
        degradation=degradation,
        beam=beam_of(config["beam_runner"], config["beam_options"]),
    )


def views_of_streams(config, suffix=""):
    """Stream -> (view, its parameters); with the suffix "_beside" the second views of the streams that have one."""
    names = {stream: config["system"][f"{stream}_view{suffix}"] for stream in config["system"]["streams"]}
    return {stream: (view, config["views"][view]) for stream, view in names.items() if view}


def make_features(config):
    """Run the frozen encoders over the prepared views; in a process of its own, whose compiler flags suit large convolutions."""
    from avemo_jax.allocator import keep_freed_memory
    from avemo_jax.experiment.features import with_features
    from data_prep.sets.derived import DerivedSets

    keep_freed_memory()
    corpus = corpus_of(config, config.get("degradation"))
    with_features(config, corpus, DerivedSets(config["prepared_dir"], config["corpus"]["name"], corpus.clips))


def resolved():
    """The config as plain dicts; a run that exists knows where its corpus and tables lie and need not be told again."""
    from avemo_jax.runs.run_directory import complete, default_workdir

    config = CONFIG.value.to_dict()
    path = default_workdir(config) / "config.json"
    stored = json.loads(path.read_text()) if path.is_file() else config
    return complete(config, stored) if stored["corpus"]["name"] == config["corpus"]["name"] else config


def views_of(config):
    """Name -> parameters of the views that the system's streams are made of."""
    from avemo_jax.experiment import live_features

    return {name: config["views"][name] for name in live_features.views_of(config)}


def view_steps(config):
    """Name -> shape and type of a step of the views that the system's streams are made of."""
    from data_prep.views import make_view

    views = {name: make_view(name, **params) for name, params in views_of(config).items()}
    return {name: (tuple(view.step_shape), view.dtype) for name, view in views.items()}


def weights_of(config):
    """Encoder -> what is found of its weights, as far as its view can be made."""
    from avemo_jax.experiment.encoder_weights import find_weights

    try:
        steps = view_steps(config)
    except (ValueError, OSError):
        return {}  # which is said of the view
    return find_weights(config, steps)


MODES = {mode.__name__: mode for mode in (train, search, prepare, audit, evaluate, robustness, predict, compare, report, doctor)}
MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do")


def quiet_libraries():
    """Show what this project says, and of its libraries what they warn of; --verbosity=1 shows everything."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if logging.get_verbosity() <= logging.INFO:
        logging.set_verbosity(logging.WARNING)
        for name in ("avemo_jax", "data_prep"):
            python_logging.getLogger(name).setLevel(python_logging.INFO)
    logging.get_absl_handler().setFormatter(python_logging.Formatter("%(message)s"))


def main(argv):
    if len(argv) > 1:
        sys.exit(f"error: expected only flags, got {argv[1:]}; for example --config=configs/demo.py:audio")
    quiet_libraries()
    try:
        return MODES[MODE.value](resolved())
    except (Preempted, KeyboardInterrupt) as stop:
        number = stop.signal_number if isinstance(stop, Preempted) else signal.SIGINT
        print(f"stopped by {signal.Signals(number).name}; the same command goes on from what is saved", file=sys.stderr)
        return 128 + number
    except (ValueError, OSError, RuntimeError) as error:
        logging.debug("%s", traceback.format_exc())
        sys.exit(f"error: {error}\n(--verbosity=1 shows where)")


def parse_flags(argv):
    """Read the flags; an unknown field of the config, or a value it refuses, is a sentence and no traceback."""
    try:
        return flags.FLAGS(argv)
    except (AttributeError, KeyError) as error:
        inner = error.args[0] if isinstance(error.args[0], KeyError) else error  # ml_collections wraps one in the other
        sys.exit(f"error: the config has no field {inner.args[0]}\n(configs/base.py has them all)")
    except OSError as error:  # no such config file
        sys.exit(f"error: {error}")
    except flags.Error as error:
        text = str(error).strip()
        last = text.splitlines()[-1].strip()
        sys.exit(f"error: {last.removeprefix('ValueError: ') if last.startswith('ValueError: ') else text}\n(--help lists the flags)")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
