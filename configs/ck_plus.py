"""CK+ (Lucey et al. 2010): 118 subjects, the peak frames of 327 sequences, six emotions and contempt; stills.

    python run.py --config=configs/ck_plus.py --config.corpus.root=/data/CK+

Protocol: subject10, subjects dealt out to ten folds. No claim on the sequences; C uses the 48 x 48 copy, see configs/ck48.py. With the
first frames as neutral faces: --config.corpus.first_frames=True --config.corpus.label_set=ck_plus8.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn"):
    config = base.get_config()
    config.corpus.name = "ck_plus"
    config.corpus.label_set = "ck_plus7"
    config.protocol.name = "subject10"
    systems.apply(config, system, has=HAS)
    config.views.still.crop = "face"  # the owner's pictures are 640 x 490
    return config
