"""The classical system: statistics over time of descriptors of speech, and a linear machine or a support vector machine.

No published system. functionals_linear is the baseline of every result with sound; as a system it has its own report. See
docs/systems/functionals.md.

functionals_linear   ridge regression of the classes, its penalty selected in inner folds that share no speaker
functionals_svm      a support vector machine with RBF kernel, its C selected on the validation part

    python run.py --config=configs/ravdess.py:functionals_linear --config.corpus.root=FOLDER
    python run.py --config=configs/ravdess.py:functionals_linear --config.corpus.root=FOLDER --config.streams.audio.view=compare_2016
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {"functionals_linear": ("audio",), "functionals_svm": ("audio",)}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the stream and the stage."""
    base.use(config, variant, VARIANTS[variant], audio=base.stream(view="functionals", pooling="mean"))
    config.train.stages = (variant.removeprefix("functionals_"),)
