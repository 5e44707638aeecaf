"""RML (Wang and Guan 2008): eight speakers of six languages, six emotions, 720 clips with sound and picture.

    python run.py --config=configs/rml.py:vgg19_lstm_attention --config.corpus.root=/data/RML

Protocol: loso, one speaker held out, as in document B; its k-fold result is --config.protocol.name=random10. See
docs/systems/vgg19_lstm_attention.md.
"""

from configs import base, systems

HAS = systems.FILM
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "rml"
    config.corpus.label_set = "basic6"
    config.protocol.name = "loso"
    systems.apply(config, system, has=HAS)
    # Films last 3 to 6 s, and RAVDESS's limit would cut most of them.
    config.views.mfcc.max_frames = 0
    config.views.logmel_frames.max_frames = 0
    return config
