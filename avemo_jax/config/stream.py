"""The config of one stream: its view, its encoder, its branch of the network, its augmentation."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How a stream is disturbed in training: sequences (B, T, D), spectrogram patches (B, T, F, M) or pictures (B, T, H, W, C).

    Zeros leave it as it is.

    Attributes:
      max_stretch: largest change of tempo: the logarithm of the factor is uniform in [-max_stretch, max_stretch].
      max_warp: largest relative shift of the bands of a mel spectrum, which imitates another vocal tract; band k is read at
        k (1 + max_warp u) + 20 max_warp v with u, v uniform in [-1, 1]. Only for views whose features are mel bands.
      shift_deviation: deviation of one random offset a clip (of patches: a patch) and feature, which imitates another voice or
        microphone, in units of the feature's own deviation.
      noise_deviation: deviation of Gaussian noise added to every value, in the same units.
      num_time_masks: SpecAugment: number of time masks.
      max_time_mask: the longest of them, as a share of the clip.
      num_feature_masks: SpecAugment: number of feature masks.
      max_feature_mask: the widest of them, as a share of the features.
      max_rotate_deg: pictures are rotated by up to so many degrees; all pictures of a clip alike, and the edge is repeated outside.
      max_zoom: pictures are enlarged or reduced by a factor of up to 1 + max_zoom.
      max_shift: pictures are moved by up to so large a share of their side.
      flip: pictures are mirrored left to right half of the time.

    Source: Park et al. 2019, SpecAugment, section 2 (masks); Jaitly and Hinton 2013, Vocal tract length perturbation, section 3.
    Differs: the warp is linear over the whole band and has an offset.
    """

    max_stretch: float = 0.0
    max_warp: float = 0.0
    shift_deviation: float = 0.0
    noise_deviation: float = 0.0
    num_time_masks: int = 0
    max_time_mask: float = 0.1
    num_feature_masks: int = 0
    max_feature_mask: float = 0.1
    max_rotate_deg: float = 0.0
    max_zoom: float = 0.0
    max_shift: float = 0.0
    flip: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Branch:
    """The part of the network that belongs to one stream: from the steps of its view to one vector a clip.

    Attributes:
      encoder: what turns a step of the view into a vector: "none", "mlp", "cnn" (ours), "conv_pool" (system C), or a name in
        `config.encoders`.
      layers: features of an encoder with several layers (encoders.<name>.layers): "concatenated", or "weighted", their learned weighted mean.
      encoder_units: "mlp": widths of its layers; "cnn", "conv_pool": channels of its blocks.
      frame_context: recurrent layer over the frames of a step that has several (system B): "none", "gru" or "lstm".
      frame_units: units of that layer.
      time_conv_channels: channels of a convolution over time before the context, with batch norm and ReLU; 0 leaves it out.
      time_conv_width_steps: width of that convolution.
      time_conv_stride_steps: neighbouring steps averaged into one; 2 halves the number of recurrent steps.
      context: temporal context: "gru", "lstm", "conv" (2-D over steps x features, system A1) or "none".
      context_units: of its layers: recurrent units, or channels.
      context_activation: LSTM: "tanh" or "linear" (system C); "conv": "relu" or "relu_elu", in alternate layers (system A1).
      bidirectional: recurrent layers run in both directions.
      reset_after: reset gate after the recurrent product (cuDNN, Keras, torch); False is Cho et al. 2014.
      context_batch_norm: batch norm between recurrent layers; three layers of 256 units learn faster with it.
      context_dropout: dropout around and between recurrent layers too, at `train.dropout_rate`.
      pooling: over steps: "attention" (system E), "mean", "last", "mean_std", "attention_mean_std" or "flatten" (system D's MFCC).
      pooling_steps: "flatten": number of steps laid side by side; shorter clips are padded with zeros, longer ones cut.
      attention_units: 0: a score is one number (system E); n: a learned sum of n (Bahdanau).
      dense_units: ReLU layers after pooling, dropout between them; () leaves them out.
      batch_norm: batch norm before the classes of a network of this stream alone.
    """

    encoder: str = "none"
    layers: str = "concatenated"
    encoder_units: tuple[int, ...] = (64,)
    frame_context: str = "none"
    frame_units: int = 256
    time_conv_channels: int = 0
    time_conv_width_steps: int = 5
    time_conv_stride_steps: int = 1
    context: str = "gru"
    context_units: tuple[int, ...] = (256,)
    context_activation: str = "tanh"
    bidirectional: bool = False
    reset_after: bool = True
    context_batch_norm: bool = False
    context_dropout: bool = False
    pooling: str = "attention"
    pooling_steps: int = 0
    attention_units: int = 0
    dense_units: tuple[int, ...] = (128,)
    batch_norm: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream(Branch):
    """One named input of a system: its view, its encoder, its branch of the network, its augmentation.

    Attributes:
      view: the view that the stream is made of; its parameters are `views.<view>`.
      view_beside: a second view whose features stand beside those of the first, step by step, nearest in time; "" for none.
      per_speaker: z-score the features speaker by speaker with all clips of a speaker, test clips included. Worth 7 to 15 points of UAR
        on acted corpora; every result is then marked transductive.
      num_cepstra: cepstral coefficients that the training step takes of a view of log-mel frames, after augmentation; 0 uses the view
        as it is.
      augmentation: how the stream is disturbed in training.
      standardize: z-score with statistics of the fold's training part alone: each of the "features", each feature at each of the "steps"
        (system C, where the steps are coefficients), or "none". An encoder that is trained with the network takes its view as it is.
      encoder_trained_from: of an encoder in `config.encoders`: "" leaves it frozen (it runs once and its features are stored); "all", or
        the end point from which on it is trained with the network.
      encoder_beside: frozen encoder of `view_beside`; "none" takes that view as it is.
    """

    view: str = ""
    view_beside: str = ""
    per_speaker: bool = False
    num_cepstra: int = 0
    augmentation: Augmentation = Augmentation()
    standardize: str = "features"
    encoder_trained_from: str = ""
    encoder_beside: str = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion:
    """How the streams become one, see `avemo_jax.models.fusion`.

    Attributes:
      kind: "concat" (systems C, D, E), "tanh_gru" (A2), "dot_attention" (A3) or "token_attention" (B).
      width: common width of the streams in A2 and A3; width of the layer of scores in B; unused by "concat".
      num_units: units of the GRU of "tanh_gru".
      batch_norm: "concat": batch norm between concatenation and classes.
      tokens: what "token_attention" attends over: the "modalities" of a segment, or the "segments" of a clip.
      dense_units: ReLU layers between fusion and classes (system D: 256).
    """

    kind: str = "concat"
    width: int = 128
    num_units: int = 256
    batch_norm: bool = True
    tokens: str = "modalities"
    dense_units: tuple[int, ...] = ()
