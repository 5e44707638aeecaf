"""Optimisers and learning-rate schedules with hyper-parameters that may differ from trial to trial.

An optax transformation is built inside the step from the trial's own hyper-parameters, which are traced: a sweep over them is an
array axis and never a recompilation.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from avemo_jax.text import nearest

OPTIMIZERS = ("adam", "adamax", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")


@flax.struct.dataclass
class Hyper:
    """Hyper-parameters of a trial: float32 scalars, or (R,) arrays over trials; the seed is int32."""

    learning_rate: jax.Array
    momentum: jax.Array
    weight_decay: jax.Array
    dropout_rate: jax.Array
    label_smoothing: jax.Array
    mixup_alpha: jax.Array
    stream_dropout_rate: jax.Array
    seed: jax.Array


def check_optimizer(name: str) -> None:
    """Raise ValueError where no optimiser has that name."""
    if name not in OPTIMIZERS:
        raise ValueError(f"train.optimizer must be one of {OPTIMIZERS}, got {name!r}{nearest(name, OPTIMIZERS)}")


def check_schedule(name: str) -> None:
    """Raise ValueError where no schedule has that name."""
    if name not in SCHEDULES:
        raise ValueError(f"train.schedule must be one of {SCHEDULES}, got {name!r}{nearest(name, SCHEDULES)}")


def make_optimizer(name: str, hyper: Hyper, learning_rate: jax.Array, *, clip_norm: float) -> optax.GradientTransformation:
    """Return the optimiser of one trial at one step.

    "adam" decays weights apart from the gradient (Loshchilov and Hutter 2019, Algorithm 2); "adamax" is Kingma and Ba 2015, section
    7.1; "sgd" has heavy-ball momentum. `hyper.momentum` is the momentum of SGD and the first decay of the Adam family.

    Raises:
      ValueError: `name` is not one of OPTIMIZERS.
    """
    check_optimizer(name)
    scale = {
        "adam": lambda: optax.scale_by_adam(b1=hyper.momentum),
        "adamax": lambda: optax.scale_by_adamax(b1=hyper.momentum),
        "sgd": lambda: optax.trace(decay=hyper.momentum),
    }[name]
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        scale(),
        optax.add_decayed_weights(hyper.weight_decay, mask=_decayed),
        optax.scale(-learning_rate),
    )


def _decayed(params: Any) -> Any:
    # Biases and the scales of normalisation have one axis and are not decayed: that would shift the function instead of regularising it.
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@flax.struct.dataclass
class Plateau:
    """State of the plateau schedule: the factor on the learning rate, the best loss, and the number of epochs since it."""

    factor: jax.Array
    best_loss: jax.Array
    bad_epochs: jax.Array

    @classmethod
    def start(cls) -> Plateau:
        return cls(factor=jnp.float32(1), best_loss=jnp.float32(jnp.inf), bad_epochs=jnp.int32(0))

    def after_epoch(self, loss: jax.Array, *, patience_epochs: int, factor: float) -> Plateau:
        """Return the state after an epoch; the factor falls when the loss has not improved for more than `patience_epochs` epochs."""
        improved = loss < self.best_loss
        bad_epochs = jnp.where(improved, 0, self.bad_epochs + 1)
        cut = bad_epochs > patience_epochs
        return Plateau(
            factor=jnp.where(cut, self.factor * factor, self.factor),
            best_loss=jnp.minimum(self.best_loss, loss),
            bad_epochs=jnp.where(cut, 0, bad_epochs),
        )


def learning_rate_at(
    schedule: str, base: jax.Array, step: jax.Array, *, total_steps: jax.Array, warmup_steps: jax.Array, plateau: Plateau
) -> jax.Array:
    """Return the learning rate of a step: a linear warm-up, then the schedule. All numbers may be traced.

    Raises:
      ValueError: `schedule` is not one of SCHEDULES.
    """
    check_schedule(schedule)
    warmup = jnp.minimum(1.0, (step + 1) / jnp.maximum(warmup_steps, 1))
    if schedule == "cosine":
        progress = jnp.clip((step - warmup_steps) / jnp.maximum(total_steps - warmup_steps, 1), 0.0, 1.0)
        return base * warmup * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    if schedule == "plateau":
        return base * warmup * plateau.factor
    return base * warmup
