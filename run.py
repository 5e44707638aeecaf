"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=predict --input=clip.mp4 [--input=folder/]
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=robustness
python run.py --config=configs/ravdess.py:gru_attention --config.search.space="('learning_rate=1e-4..1e-2 log',)"
python run.py --mode=compare --runs=runs/one,runs/another [--predictions="theirs=file.csv;kind=logits;columns=c0,c1;classes=happy,sad"]
"""

from __future__ import annotations

import json
import logging as python_logging
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags, logging
from ml_collections import config_flags

from avemo_jax import api
from avemo_jax.config import Experiment, parse, to_plain
from avemo_jax.modes.arguments import USED_BY, check_flags, has_flag, with_found_config, without_overrides
from avemo_jax.runs.preemption import Preempted
from avemo_jax.text import nearest

if TYPE_CHECKING:  # NumPy and more, which --help does not need
    from avemo_jax.evaluation.results import RunResults

ROOT = Path(__file__).resolve().parent
CONFIG = config_flags.DEFINE_config_file(
    "config",
    f"{'' if Path('configs/demo.py').is_file() else f'{ROOT}/'}configs/demo.py:audio_video",
    "experiment: config file of a corpus, a colon, and a system",
    lock_config=True,
    # With --run, overrides are of its stored config and not of this file.
    sys_argv=without_overrides(sys.argv)[0] if has_flag(sys.argv, "run") else None,
)
RUN = flags.DEFINE_string("run", None, "run directory, in place of --config: its stored config is used, with every choice of its training")
INPUT = flags.DEFINE_multi_string(
    "input", [], "predict: a media file, a folder or a pattern; audit: a third-party split list (CSV). May be repeated"
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "predict, compare, audit: folder for the results (default: a new one in the run directory; runs/compare-...; none for an audit)",
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


def code_of(results: RunResults | None) -> int:
    """Return the exit code of a run: 1 where all of its trials failed, so that none of its numbers is of a trained network."""
    return int(results is not None and results.all_failed)


# Mode -> function of the experiment, which returns the exit code, or None for success.
MODES = {
    "train": lambda experiment: code_of(api.train(experiment)),
    "search": api.search,
    "prepare": lambda experiment: api.prepare(experiment) and None,
    "audit": audit,
    "evaluate": lambda experiment: code_of(api.evaluate(experiment)),
    "robustness": lambda experiment: api.robustness(experiment) and None,
    "predict": lambda experiment: int(not all(one.segments for one in api.predict(experiment, INPUT.value, output=OUTPUT.value))),
    "compare": lambda _: api.compare(RUNS.value, PREDICTIONS.value, on=ON.value, fuse=FUSE.value, output=OUTPUT.value),
    "report": api.report,
    "doctor": lambda experiment: int(not api.doctor(experiment)),
}
OVERRIDES: dict[str, str] = {}  # config field -> text, where --run gives the config
MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do with the experiment")


def experiment_of_flags() -> Experiment:
    """Return the experiment of --run, or of --config; its unset fields (the corpus's folder) are read from its run where that exists."""
    from avemo_jax.modes.arguments import refuse_differences, stored_experiment  # late: --help does not need it
    from avemo_jax.runs.run_directory import complete

    if RUN.value is not None:
        experiment = stored_experiment(RUN.value, OVERRIDES)
        if flags.FLAGS["config"].present:
            refuse_differences(experiment.run_directory, experiment, parse(complete(CONFIG.value.to_dict(), to_plain(experiment))))
        return experiment
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
    try:
        check_flags(MODE.value, [name for name in USED_BY if flags.FLAGS[name].present])
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
        argv = with_found_config(argv, ROOT)
        if has_flag(argv, "run"):
            argv, given = without_overrides(argv)
            OVERRIDES.update(given)
        return flags.FLAGS(argv)
    except ValueError as error:  # no such config file
        sys.exit(f"error: {error}")
    except (AttributeError, KeyError) as error:
        inner = error.args[0] if isinstance(error.args[0], KeyError) else error  # ml_collections wraps one in the other
        sys.exit(f"error: the config has no field {inner.args[0]}\n(--help lists all fields)")
    except OSError as error:  # no such config file
        sys.exit(f"error: {error}")
    except flags.Error as error:
        text = str(error).strip()
        last = text.splitlines()[-1].strip()
        if choice := re.fullmatch(r"flag --\w+=(.*): value should be one of <(.*)>", text):
            text += nearest(choice[1], choice[2].split("|"))
        sys.exit(f"error: {last.removeprefix('ValueError: ') if last.startswith('ValueError: ') else text}\n(--help lists the flags)")


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
