"""emotion2vec base: 20 ms of emotional speech to 768 numbers."""

import functools

from avemo_jax.models.encoders.emotion2vec.module import Emotion2Vec, Emotion2VecSize
from avemo_jax.models.encoders.emotion2vec.weights import layout_of
from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.wav2vec2 import CHUNK_SAMPLES, times_of_steps
from avemo_jax.models.encoders.wav2vec2.stem import SEEN_SAMPLES, STRIDES

SIZE = Emotion2VecSize()

RECORDS = (
    Encoder(
        name="emotion2vec_base",
        make=functools.partial(Emotion2Vec, size=SIZE),
        end_points=SIZE.end_points,
        features=SIZE.end_points[6],  # the middle, as of all speech transformers; the owner uses the last one
        layers=SIZE.end_points,
        input_kind="sample of sound at 16 kHz",
        input_rank=0,
        licence="FunASR Model Open Source License 1.1: its owners are to be named",
        # Pre-trained from data2vec 2.0 on LibriSpeech, then on five corpora of emotional speech: arXiv 2312.15185, section 4.1.
        trained_on=("IEMOCAP", "MELD", "CMU-MOSEI", "MEAD", "MSP-Podcast", "LibriSpeech"),
        weights=(layout_of(SIZE),),
        takes_lora=True,
        times=times_of_steps,
        chunk_steps=CHUNK_SAMPLES,
        fewest_steps=SEEN_SAMPLES,
        growth=2 * SIZE.stem_channels // STRIDES[0],
    ),
)
