"""The classical system: statistics over time of descriptors of speech, and a linear, a kernel or a support vector machine.

No published system. functionals_linear is the baseline of every result with sound; as a system it has its own report. See
docs/systems/functionals.md.

functionals_linear               ridge regression of the classes, its penalty selected in inner folds that share no speaker
functionals_kernel               kernel ridge regression, trained on copies at other speeds too; its penalty likewise
functionals_kernel:action_units  the same, with a table of action units (views.table.path)
functionals_svm                  a support vector machine with RBF kernel, its C selected on the validation part

    python run.py --config=configs/ravdess.py:functionals_linear --config.corpus.root=FOLDER
    python run.py --config=configs/ravdess.py:functionals_linear --config.corpus.root=FOLDER --config.streams.audio.view=compare_2016
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "functionals_linear": ("audio",),
    "functionals_kernel": ("audio",),
    "functionals_kernel:action_units": ("audio",),  # and a feature table
    "functionals_svm": ("audio",),
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams and the stage."""
    audio = base.stream(view="functionals", pooling="mean")
    action_units = base.stream(view="table", pooling="mean")
    name, _, second = variant.partition(":")
    base.use(config, variant, ("audio", second) if second else ("audio",), audio=audio, action_units=action_units)
    config.train.stages = (name.removeprefix("functionals_"),)
    if name == "functionals_kernel":
        config.train.copies = ("speed:0.93", "speed:1.07")
