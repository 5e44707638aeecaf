"""What makes a published system what it is, on any corpus that has its modalities.

A system is a module with VARIANTS, the names it is asked for by, and `apply(config, variant)`.
"""

from types import ModuleType

from ml_collections import ConfigDict

from configs.systems import gru_attention, small

SYSTEMS: dict[str, ModuleType] = {variant: module for module in (gru_attention, small) for variant in module.VARIANTS}


def apply(config: ConfigDict, system: str) -> None:
    """Turn the config into one of that system.

    Raises:
      ValueError: there is no such system, with those there are.
    """
    if system not in SYSTEMS:
        raise ValueError(f"unknown system {system!r} (after the colon of --config); known: {', '.join(SYSTEMS)}")
    SYSTEMS[system].apply(config, system)
