"""eNTERFACE'05 (Martin et al. 2006): 43 subjects, six emotions, five sentences of each: 1,287 clips with sound and picture.

    python run.py --config=configs/enterface.py:vgg19_lstm_attention --config.corpus.root=/data/eNTERFACE05

Protocol: subject5, five groups of subjects. Document B uses --config.protocol.name=loso and random10, see
docs/systems/vgg19_lstm_attention.md. Each emotion has its own sentences, so the words alone identify it; text_independent keeps them apart.
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
