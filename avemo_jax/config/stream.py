"""The config of one stream: its view, its encoder, its branch of the network, its augmentation."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from avemo_jax.bounds import COUNT_OR_NONE, SHARE, Bounds

UNITS = Bounds(least=1, most=65536)  # of a layer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Augmentation of a stream in training: sequences (B, T, D), spectrogram patches (B, T, F, M) or pictures (B, T, H, W, C).

    With all fields at 0 the stream is not augmented.

    Attributes:
      max_stretch: largest change of tempo; the logarithm of the factor is uniform in [-max_stretch, max_stretch]. 0 is off.
      max_warp: largest relative shift of the bands of a mel spectrum, which imitates another vocal tract; band k is read at
        k (1 + max_warp u) + 20 max_warp v with u, v uniform in [-1, 1]. Only for views of mel bands; 0 is off.
      shift_deviation: standard deviation of a random offset of each feature, one offset a clip (a patch where the view has patches), in
        units of the feature's standard deviation; it imitates another voice or microphone. 0 is off.
      noise_deviation: standard deviation of Gaussian noise added to every value, in units of the feature's standard deviation; 0 is off.
      num_time_masks: number of time masks of SpecAugment; 0 is off.
      max_time_mask: length of the longest time mask, as a share of the clip.
      num_feature_masks: number of feature masks of SpecAugment; 0 is off.
      max_feature_mask: width of the widest feature mask, as a share of the features.
      max_rotate_deg: largest rotation of pictures in degrees, the same for all pictures of a clip; edge pixels fill what is uncovered. 0
        is off.
      max_zoom: largest zoom of pictures; the factor is between 1 / (1 + max_zoom) and 1 + max_zoom. 0 is off.
      max_shift: largest shift of pictures, as a share of their height and width; 0 is off.
      flip: mirror pictures left to right, with a probability of one half.
      flip_vertically: mirror pictures top to bottom, with a probability of one half.

    Source: Park et al. 2019, SpecAugment, section 2 (masks); Jaitly and Hinton 2013, Vocal tract length perturbation, section 3.
    Differs: the warp is linear over the whole band and has an offset.
    """

    max_stretch: Annotated[float, Bounds(least=0, most=2)] = 0.0
    max_warp: Annotated[float, SHARE] = 0.0
    shift_deviation: Annotated[float, Bounds(least=0, most=100)] = 0.0
    noise_deviation: Annotated[float, Bounds(least=0, most=100)] = 0.0
    num_time_masks: Annotated[int, Bounds(least=0, most=1000)] = 0
    max_time_mask: Annotated[float, SHARE] = 0.1
    num_feature_masks: Annotated[int, Bounds(least=0, most=1000)] = 0
    max_feature_mask: Annotated[float, SHARE] = 0.1
    max_rotate_deg: Annotated[float, Bounds(least=0, most=180)] = 0.0
    max_zoom: Annotated[float, Bounds(least=0, most=10)] = 0.0
    max_shift: Annotated[float, SHARE] = 0.0
    flip: bool = False
    flip_vertically: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Branch:
    """The part of the network that belongs to one stream: from the steps of its view to one vector a clip.

    Attributes:
      encoder: encoder, which turns each step of the view into a vector: "none", "mlp", "cnn" (small, trained from scratch), "conv_pool"
        (system C), or the name of an encoder with published weights in `config.encoders`.
      layers: how the features of several layers of an encoder (encoders.<name>.layers) are joined: "concatenated", or "weighted", a
        learned weighted mean.
      encoder_units: widths of the layers of the encoder "mlp", or channels of the blocks of "cnn" and "conv_pool".
      frame_context: recurrent layer over the frames of each step, for views with several frames a step (system B): "none", "gru" or
        "lstm".
      frame_units: units of the recurrent layer `frame_context`.
      time_conv_channels: channels of a convolution over time before the context, with batch norm and ReLU; 0 leaves it out.
      time_conv_width_steps: width in steps of the convolution over time.
      time_conv_stride_steps: number of neighbouring steps that are averaged into one after the convolution over time; 2 halves the number
        of recurrent steps.
      context: layers that model temporal context: "gru", "lstm", "conv" (2-D over steps x features, system A1) or "none".
      context_units: size of each context layer: recurrent units of "gru" and "lstm", channels of "conv".
      context_activation: activation of the context layers: of "lstm" "tanh" or "linear" (system C); of "conv" "relu", or "relu_elu", which
        alternates (system A1).
      bidirectional: run recurrent layers in both directions.
      reset_after: apply the GRU's reset gate after the recurrent product, as cuDNN, Keras and torch do; False applies it before, as Cho et
        al. 2014.
      context_batch_norm: batch norm between recurrent layers; three layers of 256 units learn faster with it.
      context_dropout: dropout also before, between and after the context layers, at `train.dropout_rate`.
      pooling: how the steps are pooled into one vector: "attention" (system E), "mean", "last", "mean_std", "attention_mean_std" or
        "flatten" (system D's MFCC).
      pooling_steps: number of steps that the pooling "flatten" concatenates; shorter clips are padded with zeros, longer ones are cut.
      attention_units: width of the hidden layer of attention scores (Bahdanau); 0 computes each score without one (system E).
      dense_units: widths of the ReLU layers after pooling, with dropout between them; () leaves them out.
      batch_norm: batch norm before the layer of classes, in networks of this stream alone.
    """

    encoder: str = "none"
    layers: str = "concatenated"
    encoder_units: Annotated[tuple[int, ...], UNITS] = (64,)
    frame_context: str = "none"
    frame_units: Annotated[int, UNITS] = 256
    time_conv_channels: Annotated[int, Bounds(least=0, most=65536)] = 0
    time_conv_width_steps: Annotated[int, Bounds(least=1, most=1000)] = 5
    time_conv_stride_steps: Annotated[int, Bounds(least=1, most=1000)] = 1
    context: str = "gru"
    context_units: Annotated[tuple[int, ...], UNITS] = (256,)
    context_activation: str = "tanh"
    bidirectional: bool = False
    reset_after: bool = True
    context_batch_norm: bool = False
    context_dropout: bool = False
    pooling: str = "attention"
    pooling_steps: Annotated[int, COUNT_OR_NONE] = 0
    attention_units: Annotated[int, Bounds(least=0, most=65536)] = 0
    dense_units: Annotated[tuple[int, ...], UNITS] = (128,)
    batch_norm: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream(Branch):
    """One named input of a system: its view, its encoder, its branch of the network, its augmentation.

    Attributes:
      view: name of the view that the stream is made of; its parameters are `views.<view>`.
      view_beside: name of a second view, which is concatenated with the first: to each step of the first, the second's step nearest in
        time; "" for none.
      per_speaker: z-score the features of each speaker with all clips of that speaker, test clips included; every result is then
        flagged as transductive.
      num_cepstra: number of cepstral coefficients computed from a view of log-mel frames in the training step, after augmentation; 0
        leaves the view unchanged.
      augmentation: augmentation of the stream in training.
      standardize: z-scoring with statistics of the fold's training part alone: "features", one mean and deviation a feature; "steps", one
        a feature and step (system C, where the steps are coefficients); "none". Without effect where the encoder is trained with the
        network.
      encoder_trained_from: which part of an encoder with published weights is trained with the network: "" none (the encoder is frozen, it
        runs once and its features are stored), "all", or the layers after an end point on, which is named here.
      encoder_lora_rank: rank of the matrices that are trained beside the projections to queries and values in each attention of the encoder
        (LoRA), which is then part of the network; of its own weights those are trained that `encoder_trained_from` names. 0 adds none.
      encoder_beside: frozen encoder that `view_beside` goes through; "none" leaves that view unchanged.
    """

    view: str = ""
    view_beside: str = ""
    per_speaker: bool = False
    num_cepstra: Annotated[int, Bounds(least=0, most=1000)] = 0
    augmentation: Augmentation = Augmentation()
    standardize: str = "features"
    encoder_trained_from: str = ""
    encoder_lora_rank: Annotated[int, Bounds(least=0, most=1024)] = 0
    encoder_beside: str = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion:
    """How the streams are joined, see `avemo_jax.models.fusion`.

    Attributes:
      kind: fusion layer: "concat" (systems C, D, E), "tanh_gru" (A2), "dot_attention" (A3), "token_attention" (B), or of no document
        "gated" (gated multimodal unit), "bottleneck" (attention bottlenecks), "cross_modal" (cross-modal transformer); see docs/fusion.md.
      width: width that all streams are brought to, or width of the hidden layer of scores of "token_attention"; unused by "concat".
      num_units: units of the GRU of the fusion "tanh_gru".
      num_layers: layers of the transformer of "bottleneck", or of each pair of streams of "cross_modal".
      num_heads: heads of each attention of "bottleneck" and "cross_modal", which share the width equally.
      num_bottlenecks: tokens through which the streams of "bottleneck" see each other.
      batch_norm: batch norm after the fusion "concat".
      tokens: what the fusion "token_attention" attends over: the "modalities" (streams) of each segment, or the "segments" of a clip.
      dense_units: widths of the ReLU layers between fusion and classes (system D: 256); () leaves them out.
      fallback: a clip that lacks streams is answered by the earlier stage that was trained on exactly the streams that it has, where there
        is one, and not by the network of all streams.
    """

    kind: str = "concat"
    width: Annotated[int, UNITS] = 128
    num_units: Annotated[int, UNITS] = 256
    num_layers: Annotated[int, Bounds(least=1, most=100)] = 2
    num_heads: Annotated[int, Bounds(least=1, most=1000)] = 4
    num_bottlenecks: Annotated[int, Bounds(least=1, most=10_000)] = 4
    batch_norm: bool = True
    tokens: str = "modalities"
    dense_units: Annotated[tuple[int, ...], UNITS] = ()
    fallback: bool = False
