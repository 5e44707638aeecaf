"""eNTERFACE'05 (Martin et al. 2006): 43 subjects, six emotions, five sentences of each: 1,287 films.

    python run.py --config=configs/enterface.py:vgg19_lstm_attention --config.corpus.root=/data/eNTERFACE05

Protocol: subject5, five groups of subjects. B's own are --config.protocol.name=loso, claim 78.49, and random10, claim 97.75. Ours: none
yet, the corpus was not at hand. Each emotion has sentences of its own, so that the words alone tell it: text_independent holds them apart.
"""

from configs import base, systems

HAS = systems.FILM
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "enterface"
    config.corpus.label_set = "basic6"
    config.protocol.name = "subject5"
    systems.apply(config, system, has=HAS)
    # Films last up to 5 s, and RAVDESS's limit would cut most of them.
    config.views.mfcc.max_frames = 0
    config.views.logmel_frames.max_frames = 0
    return config
