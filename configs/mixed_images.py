"""The mixed images of document C: JAFFE, CK+48 and CFE together, seven emotions. Contempt, which only CK+48 has, is left out.

    python run.py --config=configs/mixed_images.py:image_cnn \\
        --config.corpus.root=jaffe=/data/jaffe,ck48=/data/CK+48,cfe=/data/CFEE

Protocol: speaker_k, 5 folds over people. Document C uses --config.protocol.name=holdout_80_20, which has nearly equal frames of one CK+
sequence in both parts. The leak audit stops such a run without
    --config.protocol.allow_leaks="('segments_in_two_parts','near_duplicate_in_two_parts')"
Published result: docs/systems/image_cnn.md.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn"):
    config = base.get_config()
    config.corpus.name = "jaffe+ck48+cfe"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system, has=HAS)
    config.views.still.crop = "centre"  # CFE's pictures are 1000 x 750, the others square; C does not state how it cropped them
    return config
