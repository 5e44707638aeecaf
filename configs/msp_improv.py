"""MSP-IMPROV (Busso et al. 2017): twelve actors in six sessions, 8,438 turns, four emotions.

    python run.py --config=configs/msp_improv.py:gru_attention --config.corpus.root=/data/msp_improv

Protocol: session6, one session held out, validation on the next. Turns without agreement and of other emotions are in no class.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "gru_attention"):
    config = base.get_config()
    config.corpus.name = "msp_improv"
    config.corpus.label_set = "iemocap4"
    config.corpus.label_target = "crowd"
    config.corpus.dimension_bounds = (1.0, 5.0)
    config.protocol.name = "session6"
    systems.apply(config, system)
    return config
