"""The classical baseline as a system: statistics over time of log-mel bands, standardised, into a support vector machine.

No published system. It stands beside every audio result; here it has a report of its own. See docs/systems/functionals_svm.md.

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
