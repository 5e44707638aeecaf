"""CK+ (Lucey et al. 2010): 118 subjects, the peak frames of 327 sequences, six emotions and contempt; images.

    python run.py --config=configs/ck_plus.py --config.corpus.root=/data/CK+

Protocol: subject10, ten groups of subjects. With the first frame of each sequence as a neutral face:
--config.corpus.first_frames=True --config.corpus.label_set=ck_plus8. Document C uses the 48 x 48 copy, see configs/ck48.py.
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
