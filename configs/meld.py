"""MELD (Poria et al. 2019): 13,708 utterances of the series Friends, seven emotions.

    python run.py --config=configs/meld.py:gru_attention --config.corpus.root=/data/meld

Protocol: official, the owner's parts train, dev (validation) and test. The main characters are in all parts, so it is speaker-dependent.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "gru_attention"):
    config = base.get_config()
    config.corpus.name = "meld"
    config.corpus.label_set = "basic7"
    config.corpus.label_target = "crowd"
    config.protocol.name = "official"
    systems.apply(config, system)
    return config
