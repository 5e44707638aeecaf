"""The classical baseline as a system: statistics over time of log-mel bands, standardised, into a support vector machine.

No published system; the row that stands beside every audio result, here with a report of its own.

    python run.py --config=configs/ravdess.py:functionals_svm --config.corpus.root=FOLDER
"""

from ml_collections import ConfigDict

VARIANTS = {"functionals_svm": ("audio",)}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the view and the stage."""
    config.system.name = variant
    config.system.streams = ("audio",)
    config.system.audio_view = "functionals"
    config.train.stages = ("svm",)
