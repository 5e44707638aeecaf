"""A published ONNX file as an encoder: the Whisper-tiny inside smart-turn, frozen, with a linear layer on two of its layers.

No published system: it shows how a file that no library of this project knows becomes an encoder. The file (8.7 MB, 8 bits) was trained to
hear whether a speaker's turn has ended. Result: docs/systems/smart_turn.md; other files: docs/onnx.md.

    python run.py --config=configs/ravdess.py:smart_turn --config.corpus.root=FOLDER --config.encoders.onnx.weights=FILE
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {"smart_turn": ("audio",)}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the file's input and layer, the stream and the recipe."""
    own = config.encoders.onnx
    own.sha256 = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
    own.axes = "NFT"
    own.layers = "add_146,add_268"  # behind the first and the second of four blocks
    own.pad_with = "least"
    own.licence = "BSD-2-Clause"
    config.views.logmel_whisper.normalize = True  # as its owner feeds it
    config.views.logmel_whisper.segment_s = 8.0  # the file takes 800 frames
    audio = base.stream(view="logmel_whisper", encoder="onnx", context="none", pooling="mean_std", dense_units=())
    base.use(config, variant, ("audio",), audio=audio)
    config.train.stages = ("audio",)
    base.train_on_frozen_features(config)
