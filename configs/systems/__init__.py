"""The systems; each changes the config of a corpus with the necessary media into the config of that system on the corpus.

A system is a module with VARIANTS (name -> media that it needs) and `apply(config, variant)`. A name is the system's own, or with a colon
the system's and one of its variants: `stacking`, `stacking:audio`. Media are "audio", "video" (moving pictures) and "still" (an image; a
film has them too).
"""

from collections.abc import Collection
from types import ModuleType

from ml_collections import ConfigDict

from avemo_jax.text import nearest
from configs.systems import (
    contextual_temporal,
    functionals,
    gru_attention,
    handcrafted_late_fusion,
    image_audio_fusion,
    image_cnn,
    mfcc_lstm,
    small,
    smart_turn,
    speech_transformer,
    stacking,
    vgg19_lstm_attention,
    vision_transformer,
)

MODULES = (
    contextual_temporal,
    handcrafted_late_fusion,
    vgg19_lstm_attention,
    image_cnn,
    mfcc_lstm,
    image_audio_fusion,
    stacking,
    gru_attention,
    speech_transformer,
    smart_turn,
    vision_transformer,
    functionals,
    small,
)
SYSTEMS: dict[str, ModuleType] = {variant: module for module in MODULES for variant in module.VARIANTS}
NEEDS: dict[str, tuple[str, ...]] = {variant: needs for module in MODULES for variant, needs in module.VARIANTS.items()}
_WORDS = {"audio": "sound", "video": "moving pictures", "still": "pictures"}

FILM = ("audio", "video", "still")
SOUND = ("audio",)
STILLS = ("still",)


def fitting(has: Collection[str]) -> tuple[str, ...]:
    """Return the names of the systems for a corpus with these media."""
    return tuple(name for name, needs in NEEDS.items() if set(needs) <= set(has))


def apply(config: ConfigDict, system: str, *, has: Collection[str] = FILM) -> None:
    """Change the config of a corpus, which has the media `has`, into the config of that system.

    Raises:
      ValueError: there is no such system, or the corpus lacks media that it needs; the message lists the possible systems.
    """
    if system not in SYSTEMS:
        raise ValueError(f"unknown system {system!r}{nearest(system, SYSTEMS)} (after the colon of --config); known: {', '.join(SYSTEMS)}")
    if missing := [name for name in NEEDS[system] if name not in has]:
        raise ValueError(
            f"system {system} needs {_listed(NEEDS[system])}, and {config.corpus.name} has {_listed(has)} and no {_listed(missing)}; "
            f"systems that fit it: {', '.join(fitting(has))}"
        )
    SYSTEMS[system].apply(config, system)


def _listed(modalities: Collection[str]) -> str:
    named = [_WORDS[name] for name in modalities if name != "still" or "video" not in modalities]
    return " and ".join(named)
