"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --config=configs/ravdess.py:gru_attention --mode=predict --input=clip.mp4
python run.py --config=configs/ravdess.py:gru_attention --mode=robustness
python run.py --config=configs/ravdess.py:gru_attention --config.search.space="('learning_rate=1e-4..1e-2 log',)"
python run.py --mode=compare --runs=runs/one,runs/another [--predictions="theirs=file.csv;kind=logits;columns=c0,c1;classes=happy,sad"]
"""

import io
import json
import logging as python_logging
import os
import signal
import sys
import traceback
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from avemo_jax import api
from avemo_jax.config import Experiment, parse
from avemo_jax.runs.preemption import Preempted

CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/demo.py:audio_video", "experiment: config file of a corpus, a colon, and a system", lock_config=True
)
INPUT = flags.DEFINE_list("input", [], "predict: media files, separated by commas; audit: third-party split lists (CSV)")
OUTPUT = flags.DEFINE_string(
    "output", None, "predict, compare, audit: folder for the results (default: in the run directory; runs/compare-...; none for an audit)"
)
COLUMNS = flags.DEFINE_list("columns", [], "audit: role=column, for columns of a split list with other names, e.g. speaker=actor")
RUNS = flags.DEFINE_list("runs", [], "compare: run directories, each FOLDER or NAME=FOLDER, separated by commas")
PREDICTIONS = flags.DEFINE_multi_string("predictions", [], "compare: third-party predictions, NAME=FILE;key=value;... (may be repeated)")
ON = flags.DEFINE_enum("on", "all", ["all", "common"], "compare: require the same clips of all systems, or use the clips that all have")
FUSE = flags.DEFINE_list("fuse", [], "compare: systems to fuse late, NAME+NAME,...; default: all systems with probabilities, together")


def audit(experiment: Experiment) -> int:
    lists = INPUT.value
    findings = api.audit_lists(experiment, lists, COLUMNS.value, output=OUTPUT.value) if lists else api.audit(experiment)
    return int(any(finding.stops for finding in findings))


# Mode -> function of the experiment, which returns the exit code, or None for success.
MODES = {
    "train": lambda experiment: api.train(experiment) and None,
    "search": api.search,
    "prepare": lambda experiment: api.prepare(experiment) and None,
    "audit": audit,
    "evaluate": lambda experiment: api.evaluate(experiment) and None,
    "robustness": lambda experiment: api.robustness(experiment) and None,
    "predict": lambda experiment: int(not all(one.segments for one in api.predict(experiment, INPUT.value, output=OUTPUT.value))),
    "compare": lambda _: api.compare(RUNS.value, PREDICTIONS.value, on=ON.value, fuse=FUSE.value, output=OUTPUT.value),
    "report": api.report,
    "doctor": lambda experiment: int(not api.doctor(experiment)),
}
MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do with the experiment")


def experiment_of_flags() -> Experiment:
    """Return the experiment of --config; fields that are unset (the corpus's folder) are read from its run where that exists."""
    from avemo_jax.runs.run_directory import complete  # late: --help does not need it

    plain = CONFIG.value.to_dict()
    experiment = parse(plain)
    path = experiment.run_directory / "config.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    return parse(complete(plain, stored)) if stored.get("corpus", {}).get("name") == experiment.corpus.name else experiment


def quiet_libraries() -> None:
    """Log this project's messages, and only warnings of its libraries; --verbosity=1 logs everything."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if logging.get_verbosity() <= logging.INFO:
        logging.set_verbosity(logging.WARNING)
        for name in ("avemo_jax", "data_prep"):
            python_logging.getLogger(name).setLevel(python_logging.INFO)
    logging.get_absl_handler().setFormatter(python_logging.Formatter("%(message)s"))


def main(argv: list[str]) -> Any:
    if len(argv) > 1:
        sys.exit(f"error: expected only flags, got {argv[1:]}; for example --config=configs/demo.py:audio")
    quiet_libraries()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name that is no UTF-8, or a terminal of ASCII, must not cost finished work
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return MODES[MODE.value](experiment_of_flags())
    except (Preempted, KeyboardInterrupt) as stop:
        number = stop.signal_number if isinstance(stop, Preempted) else signal.SIGINT
        print(f"stopped by {signal.Signals(number).name}; the same command continues from the newest checkpoint", file=sys.stderr)
        return 128 + number
    except (ValueError, OSError, RuntimeError) as error:
        logging.debug("%s", traceback.format_exc())
        sys.exit(f"error: {error}\n(--verbosity=1 shows the traceback)")


def parse_flags(argv: list[str]) -> list[str]:
    """Parse the flags; for an unknown field of the config, or a value of a wrong type, exit with a message and no traceback."""
    if {"-h", "--help"} & set(argv[1:]):
        print(f"{__doc__}\n{flags.FLAGS.main_module_help()}\n\nFields of the config:\n{api.help_on_fields()}")
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except (AttributeError, KeyError) as error:
        inner = error.args[0] if isinstance(error.args[0], KeyError) else error  # ml_collections wraps one in the other
        sys.exit(f"error: the config has no field {inner.args[0]}\n(--help lists all fields)")
    except OSError as error:  # no such config file
        sys.exit(f"error: {error}")
    except flags.Error as error:
        text = str(error).strip()
        last = text.splitlines()[-1].strip()
        sys.exit(f"error: {last.removeprefix('ValueError: ') if last.startswith('ValueError: ') else text}\n(--help lists the flags)")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
