"""Train, evaluate and use audio-visual emotion recognition systems.

python run.py --config=configs/demo.py:audio_video
python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS [--mode=evaluate]
python run.py --config=configs/ravdess.py:gru_attention --mode=predict --input=clip.mp4
"""

import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/demo.py:audio_video", "experiment: corpus file, colon, system", lock_config=True
)
INPUT = flags.DEFINE_list("input", [], "predict: media files, separated by commas")
OUTPUT = flags.DEFINE_string("output", None, "predict: folder for predictions.json and predictions.csv (default: beside the run)")


def train(config):
    from avemo_jax.experiment import run
    from data_prep.prepare_corpus import prepare_corpus

    run.train(config, prepare_corpus(config))


def prepare(config):
    from data_prep.prepare_corpus import prepare_corpus

    prepare_corpus(config)


def audit(config):
    from avemo_jax.experiment import run
    from data_prep.prepare_corpus import prepare_corpus

    run.audit_only(config, prepare_corpus(config))


def evaluate(config):
    from avemo_jax.experiment import run
    from data_prep.prepare_corpus import prepare_corpus

    run.evaluate(config, prepare_corpus(config))


def report(config):
    from avemo_jax.experiment import run

    run.report(config)


MODES = {mode.__name__: mode for mode in (train, prepare, audit, evaluate, report)}
MODE = flags.DEFINE_enum("mode", "train", list(MODES), "what to do")


def main(argv):
    if len(argv) > 1:
        sys.exit(f"error: expected only flags, got {argv[1:]}; for example --config=configs/demo.py:audio")
    try:
        return MODES[MODE.value](CONFIG.value.to_dict())
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        logging.debug("%s", traceback.format_exc())
        sys.exit(f"error: {error}\n(--verbosity=1 shows where)")


if __name__ == "__main__":
    app.run(main)
