"""The classical baseline as a system: an SVM on standardised statistics over time of log-mel bands.

No published system. It is the baseline of every result with sound; as a system it has its own report. See docs/systems/functionals_svm.md.

    python run.py --config=configs/ravdess.py:functionals_svm --config.corpus.root=FOLDER
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {"functionals_svm": ("audio",)}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the stream and the stage."""
    base.use(config, variant, VARIANTS[variant], audio=base.stream(view="functionals"))
    config.train.stages = ("svm",)
