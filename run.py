"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=predict --input=clip.mp4 [--input=folder/]
python run.py --run=runs/ravdess-gru_attention-luna5 --mode=robustness
python run.py --config=configs/ravdess.py:gru_attention --config.search.space="('learning_rate=1e-4..1e-2 log',)"
python run.py --mode=compare --runs=runs/one,runs/another [--predictions="theirs=file.csv;kind=logits;columns=c0,c1;classes=happy,sad"]
"""

from __future__ import annotations

import sys

from avemo_jax.runs.preemption import Preempted, Stopped, describe_stop, received_signal, stop_on_signals

if __name__ == "__main__":
    stop_on_signals(at_once=True)  # from here on, because a signal during the imports below is lost or crashes the process

import json
import logging as python_logging
import os
import re
import signal
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags, logging
from ml_collections import config_flags

from avemo_jax import api
from avemo_jax.cache_folders import set_up_caches
from avemo_jax.config import Experiment, parse, to_plain
from avemo_jax.config.paths import expand, expand_config
from avemo_jax.failures import describe_failure
from avemo_jax.modes.arguments import USED_BY, check_flags, has_flag, with_found_config, without_overrides
from avemo_jax.terminal import PlainFormatter, set_up_output
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
VERIFY = flags.DEFINE_bool("verify", False, "prepare: read all examples of the prepared sets again, and make damaged sets anew")
RUNS = flags.DEFINE_list("runs", [], "compare: run directories, each FOLDER or NAME=FOLDER, separated by commas")
PREDICTIONS = flags.DEFINE_multi_string("predictions", [], "compare: third-party predictions, NAME=FILE;key=value;... (may be repeated)")
ON = flags.DEFINE_enum("on", "all", ["all", "common"], "compare: require the same clips of all systems, or use the clips that all have")
FUSE = flags.DEFINE_list("fuse", [], "compare: systems to fuse late, NAME+NAME,...; default: all systems with probabilities, together")


def paths(flag: flags.FlagHolder[list[str]]) -> list[str]:
    """Return the values of a flag that holds paths, with ~ and variables expanded."""
    return [expand(value, f"--{flag.name}") for value in flag.value]


def path(flag: flags.FlagHolder[str | None]) -> str | None:
    """Return the value of a flag that is a path, with ~ and variables expanded."""
    return None if flag.value is None else expand(flag.value, f"--{flag.name}")


def audit(experiment: Experiment) -> int:
    lists = paths(INPUT)
    findings = api.audit_lists(experiment, lists, COLUMNS.value, output=path(OUTPUT)) if lists else api.audit(experiment)
    return int(any(finding.stops for finding in findings))


def code_of(results: RunResults | None) -> int:
    """Return the exit code of a run: 1 where all of its trials failed, so that none of its numbers is of a trained network."""
    return int(results is not None and results.all_failed)


# Mode -> function of the experiment, which returns the exit code, or None for success.
MODES = {
    "train": lambda experiment: code_of(api.train(experiment)),
    "search": api.search,
    "prepare": lambda experiment: api.prepare(experiment, verify=VERIFY.value) and None,
    "audit": audit,
    "evaluate": lambda experiment: code_of(api.evaluate(experiment)),
    "robustness": lambda experiment: api.robustness(experiment) and None,
    "predict": lambda experiment: int(not all(one.segments for one in api.predict(experiment, paths(INPUT), output=path(OUTPUT)))),
    "compare": lambda _: api.compare(paths(RUNS), paths(PREDICTIONS), on=ON.value, fuse=FUSE.value, output=path(OUTPUT)),
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
        experiment = stored_experiment(expand(RUN.value, "--run"), OVERRIDES)
        if flags.FLAGS["config"].present:
            plain = complete(expand_config(CONFIG.value.to_dict()), to_plain(experiment))
            refuse_differences(experiment.run_directory, experiment, parse(plain))
        return experiment
    plain = expand_config(CONFIG.value.to_dict())
    experiment = parse(plain)
    path = experiment.run_directory / "config.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return parse(complete(plain, stored)) if stored.get("corpus", {}).get("name") == experiment.corpus.name else experiment


def quiet_libraries() -> None:
    """Log this project's messages, and only warnings of its libraries; --verbosity=1 logs everything."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if logging.get_verbosity() <= logging.INFO:
        logging.set_verbosity(logging.WARNING)
        for name in ("avemo_jax", "data_prep"):
            python_logging.getLogger(name).setLevel(python_logging.INFO)
    logging.get_absl_handler().setFormatter(PlainFormatter("%(message)s"))


def main(argv: list[str]) -> Any:
    if len(argv) > 1:
        sys.exit(f"error: expected only flags, got {argv[1:]}; for example --config=configs/demo.py:audio")
    stop_on_signals(at_once=False)
    quiet_libraries()
    run_directory: Path | None = None
    try:
        check_flags(MODE.value, [name for name in USED_BY if flags.FLAGS[name].present])
        experiment = experiment_of_flags()
        set_up_caches(experiment.prepared_dir)
        run_directory = experiment.run_directory
        return MODES[MODE.value](experiment)
    except (Preempted, Stopped) as stop:
        return stopped(stop.signal_number)
    except KeyboardInterrupt:
        return stopped(signal.SIGINT)
    except Exception as error:
        if (number := received_signal()) is not None:  # a library has turned the stop into an error of its own
            return stopped(number)
        logging.debug("%s", traceback.format_exc())
        sys.exit(describe_failure(error, run_directory))


def stopped(signal_number: int) -> int:
    """Print the sentence for a run that a signal stopped, and return the exit code."""
    print(describe_stop(signal_number), file=sys.stderr)
    return 128 + signal_number


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
    set_up_output()
    app.run(main, flags_parser=parse_flags)
