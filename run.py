"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --mode=predict --input=clip.mp4
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=predict --input=clip.mp4 [--input=folder/]
python run.py --mode=serve [--run=runs/ravdess-gru_attention-luna5]
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=robustness
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=export --output=FOLDER
python run.py --config=configs/ravdess.py:gru_attention --config.search.space="('learning_rate=1e-4..1e-2 log',)"
python run.py --mode=board --runs='runs/*'
python run.py --mode=compare --runs=runs/one,runs/another [--predictions="theirs=file.csv;kind=logits;columns=c0,c1;classes=happy,sad"]
"""

from __future__ import annotations

import sys

from avemo_jax.runs.preemption import signal_of, stop_on_signals, stopped

if __name__ == "__main__":
    stop_on_signals(at_once=True)  # from here on, because a signal during the imports below is lost or crashes the process

import traceback
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from avemo_jax import api
from avemo_jax.cache_folders import set_up_caches
from avemo_jax.config import Experiment
from avemo_jax.config.paths import expanded
from avemo_jax.failures import describe_failure
from avemo_jax.modes.arguments import (
    SHIPPED_MODELS,
    USED_BY,
    check_flags,
    describe_flag_error,
    of_run,
    takes_stored_config,
    uses_shipped,
    with_found_config,
)
from avemo_jax.runs.time_spent import counted, process_age_s
from avemo_jax.terminal import set_up_logging, set_up_output

ROOT = Path(__file__).resolve().parent
_DEMO = f"{'' if Path('configs/demo.py').is_file() else f'{ROOT}/'}configs/demo.py:audio_video"
CONFIG = config_flags.DEFINE_config_file(
    "config",
    None if takes_stored_config(sys.argv) else _DEMO,  # reading one takes a fifth of a second
    "experiment: config file of a corpus, a colon, and a system",
    lock_config=True,
    sys_argv=of_run(sys.argv)[0],
)
RUN = flags.DEFINE_string("run", None, "run directory or model folder, in place of --config: its stored config is used")
INPUT = flags.DEFINE_multi_string(
    "input", [], "predict: a media file, a folder or a pattern; audit: a third-party split list, a table. May be repeated"
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "predict, compare, board, explore, audit: folder for the results (default: a new one in the run directory; below runs/; none); "
    "export: the model folder",
)
FORMATS = flags.DEFINE_list(
    "formats", ["json", "csv"], "predict: json, csv, eaf, textgrid, vtt, srt, audformat, parquet, png, svg, html, overlay; some of them"
)
WINDOW_S = flags.DEFINE_float(
    "window_s", None, "predict, serve: length of the windows in s; 0: segments as in training. Default: 3", lower_bound=0
)
HOP_S = flags.DEFINE_float("hop_s", None, "predict, serve: distance of the starts of two windows in s. Default: 1", lower_bound=0)
HOST = flags.DEFINE_string("host", "127.0.0.1", "serve: address to listen at; the default is reached from this machine alone")
PORT = flags.DEFINE_integer("port", 8600, "serve: port to listen at, 0 for a free one", lower_bound=0, upper_bound=65535)
UPLOAD_MB = flags.DEFINE_float("upload_mb", 500, "serve: largest recording in MB", lower_bound=0)
PEOPLE = flags.DEFINE_bool("people", False, "predict: also a timeline for each person of a film, of systems that take faces")
COLUMNS = flags.DEFINE_list("columns", [], "audit: role=column, for columns of a split list with other names, e.g. speaker=actor")
VERIFY = flags.DEFINE_bool("verify", False, "prepare: read all examples of the prepared sets again, and make damaged sets anew")
RUNS = flags.DEFINE_list("runs", [], "compare: run directories, each FOLDER or NAME=FOLDER, separated by commas; board: patterns, 'runs/*'")
PREDICTIONS = flags.DEFINE_multi_string("predictions", [], "compare: third-party predictions, NAME=FILE;key=value;... (may be repeated)")
ON = flags.DEFINE_enum("on", "all", ["all", "common"], "compare: require the same clips of all systems, or use the clips that all have")
CLIPS_PER_CLASS = flags.DEFINE_integer("clips_per_class", 10, "explain: test clips of each class to explain")
HALF_PRECISION = flags.DEFINE_bool("half_precision", False, "export: store weights in float16, which rounds them")
PROGRAMS = flags.DEFINE_list("programs", [], "export: also write the networks for other runtimes: stablehlo, onnx; one or both")
FUSE = flags.DEFINE_list("fuse", [], "compare: systems to fuse late, NAME+NAME,...; default: all systems with probabilities, together")


def audit(experiment: Experiment) -> int:
    lists = expanded(INPUT)
    findings = api.audit_lists(experiment, lists, COLUMNS.value, output=expanded(OUTPUT)) if lists else api.audit(experiment)
    return int(any(finding.stops for finding in findings))


def start_decoding_ahead() -> None:
    """Start the worker process that decodes, which imports its libraries on another core while this process imports JAX."""
    from data_prep.workers.lone_worker import start_ahead  # late: only this mode needs it

    start_ahead("data_prep.live_worker", "data_prep.live_segments")


def predict(experiment: Experiment) -> int:
    lengths = {"window_s": WINDOW_S.value, "hop_s": HOP_S.value}
    where = expanded(OUTPUT)
    found = api.predict(experiment, expanded(INPUT), output=where, formats=FORMATS.value, people=PEOPLE.value, **lengths)
    return int(not all(one.segments for one in found))


def serve(experiment: Experiment) -> None:
    lengths = {"window_s": WINDOW_S.value, "hop_s": HOP_S.value}
    api.serve(experiment, host=HOST.value, port=PORT.value, upload_mb=UPLOAD_MB.value, **lengths)


# Mode -> function of the experiment, which returns the exit code, or None for success; 1 also where all trials failed.
MODES = {
    "train": lambda experiment: int((results := api.train(experiment)) is not None and results.all_failed),
    "search": api.search,
    "explore": lambda experiment: api.explore(experiment, output=expanded(OUTPUT)) and None,
    "prepare": lambda experiment: api.prepare(experiment, verify=VERIFY.value) and None,
    "audit": audit,
    "evaluate": lambda experiment: int(api.evaluate(experiment).all_failed),
    "robustness": lambda experiment: api.robustness(experiment) and None,
    "adapt": lambda experiment: api.adapt(experiment) and None,
    "ablate": lambda experiment: api.ablate(experiment) and None,
    "explain": lambda experiment: api.explain(experiment, clips_per_class=CLIPS_PER_CLASS.value) and None,
    "predict": predict,
    "serve": serve,
    "export": lambda experiment: (
        api.export(experiment, output=expanded(OUTPUT), half_precision=HALF_PRECISION.value, programs=PROGRAMS.value) and None
    ),
    "compare": lambda _: api.compare(expanded(RUNS), expanded(PREDICTIONS), on=ON.value, fuse=FUSE.value, output=expanded(OUTPUT)),
    "board": lambda _: api.board(expanded(RUNS), output=expanded(OUTPUT)) and None,
    "report": api.report,
    "doctor": lambda experiment: int(not api.doctor(experiment)),
}
MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do with the experiment")


def main(argv: list[str]) -> Any:
    if len(argv) > 1:
        sys.exit(f"error: expected only flags, got {argv[1:]}; for example --config=configs/demo.py:audio")
    stop_on_signals(at_once=False)
    if is_quiet := logging.get_verbosity() <= logging.INFO:
        logging.set_verbosity(logging.WARNING)
    set_up_logging(logging.get_absl_handler(), own_messages=is_quiet)
    run_directory: Path | None = None
    try:
        check_flags(MODE.value, [name for name in USED_BY if flags.FLAGS[name].present])
        if MODE.value == "predict":
            start_decoding_ahead()
        from avemo_jax.modes.shipped import choose_shipped  # late: --help does not need it
        from avemo_jax.modes.stored import experiment_of

        overrides = of_run(sys.argv)[1]
        run = str(choose_shipped(SHIPPED_MODELS, overrides).folder) if uses_shipped(sys.argv) else RUN.value
        config = CONFIG.value.to_dict() if CONFIG.value is not None else {}
        experiment = experiment_of(config, run, overrides, is_given=bool(flags.FLAGS["config"].present))
        set_up_caches(experiment.prepared_dir)
        run_directory = experiment.run_directory
        with counted(import_s=process_age_s()):
            return MODES[MODE.value](experiment)
    except (Exception, KeyboardInterrupt) as error:
        if (number := signal_of(error)) is not None:
            return stopped(number)
        logging.debug("%s", traceback.format_exc())
        sys.exit(describe_failure(error, run_directory))


def parse_flags(argv: list[str]) -> list[str]:
    """Parse the flags; for an unknown field of the config, or a value of a wrong type, exit with a message and no traceback."""
    if {"-h", "--help"} & set(argv[1:]):
        of_this_file = flags.FLAGS.module_help(sys.argv[0] if __name__ == "__main__" else __name__)
        print(f"{__doc__}\n{of_this_file}\n\nFields of the config:\n{api.help_on_fields()}")
        sys.exit(0)
    try:
        return flags.FLAGS(of_run(with_found_config(argv, ROOT))[0])
    except (ValueError, OSError, AttributeError, KeyError, flags.Error) as error:
        sys.exit(describe_flag_error(error))


def run_command() -> None:
    """Run the command line and end the process."""
    set_up_output()
    app.run(main, flags_parser=parse_flags)


if __name__ == "__main__":
    run_command()
