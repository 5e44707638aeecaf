"""The default experiment as a ConfigDict, which `configs/<corpus>.py` and `configs/systems/<system>.py` change.

The fields, their defaults and their meaning stand in `avemo_jax/config` (and those of views in `data_prep/views`); --help lists them all.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from avemo_jax.config import Experiment, Stream


def get_config() -> ConfigDict:
    """Return the default experiment, with every field that exists but for the streams, which a system adds."""
    config = to_config_dict(Experiment())
    config.views = views()
    config.encoders = encoders()
    return config


def stream(**fields: Any) -> ConfigDict:
    """Return a stream with these fields; the others have their defaults.

    Raises:
      AttributeError: a field that a stream does not have.
    """
    config = to_config_dict(Stream())
    with config.ignore_type():
        config.lock()
        for name, value in fields.items():
            config[name] = value
    return config.unlock()


def use(config: ConfigDict, variant: str, names: tuple[str, ...], **streams: ConfigDict) -> None:
    """Name the system after its variant and give it the streams `names`, in the order in which the fusion takes them.

    Args:
      streams: streams by name; those that are not in `names` are left out.
    """
    config.system.name = variant.replace(":", "_")
    config.system.streams = names
    config.streams = ConfigDict({name: streams[name] for name in names})


def to_config_dict(value: Any) -> ConfigDict:
    """Return a dataclass as a ConfigDict; None stands there as a placeholder of the field's type."""
    hints = typing.get_type_hints(type(value))
    config = ConfigDict()
    for field in dataclasses.fields(value):
        held, hint = getattr(value, field.name), hints[field.name]
        if dataclasses.is_dataclass(held):
            config[field.name] = to_config_dict(held)
        elif held is None:
            assert typing.get_origin(hint) is types.UnionType, f"{field.name} is None and has the type {hint}"
            config[field.name] = placeholder(typing.get_args(hint)[0])
        else:
            config[field.name] = ConfigDict(held) if isinstance(held, Mapping) else held
    return config


ENCODERS = (
    *("vggish", "inception_v3", "vgg16", "vgg19", "i3d_rgb", "i3d_flow"),
    *("mini_xception", "face_landmarks", "face_expressions"),
)


def views() -> ConfigDict:
    """Parameters of every view; the system names those it uses. Keys equal the view's own keyword arguments."""
    speech_cut = _speech_cut()
    return ConfigDict(
        dict(
            logmel_patches=dict(num_patches=5, segment_s=5.0),
            logmel_496=dict(segment_s=5.0),
            mfcc=dict(
                num_coefficients=13,
                num_deltas=0,  # 1 appends the first derivative, 2 the second as well
                sample_rate_hz=48000,
                window_ms=85.333,  # 4096 samples at 48 kHz
                hop_ms=42.667,  # 2048 samples at 48 kHz
                num_mels=128,
                min_hz=0.0,
                max_hz=0.0,  # 0 stands for half the sample rate
                range_db=80.0,  # levels further below the loudest of the segment are raised to that; 0 leaves them
                trim_db=0.0,  # silent ends further below the loudest frame are cut off; 0 keeps them
                padded_s=0.0,  # shorter segments are padded with silence to this length (D: 5.0); 0 leaves them
                max_frames=0,  # frames from this one on are cut off; 0 keeps them
                segment_s=30.0,  # longer clips are cut and their posteriors averaged
            ),
            logmel_frames=dict(  # what mfcc is taken of, for networks that disturb it before they take cepstra themselves
                num_deltas=0,
                sample_rate_hz=48000,
                window_ms=85.333,
                hop_ms=42.667,
                num_mels=64,
                min_hz=50.0,
                max_hz=8000.0,
                range_db=0.0,
                trim_db=30.0,
                padded_s=0.0,
                max_frames=0,
                segment_s=30.0,
            ),
            functionals=dict(segment_s=30.0),
            mfcc_mean=dict(  # C: one vector a clip, its coefficients are the steps; all but their number are librosa's defaults
                num_coefficients=40,
                sample_rate_hz=22050,
                window_ms=92.88,  # 2048 samples
                hop_ms=23.22,  # 512 samples
                num_mels=128,
                segment_s=30.0,
            ),
            handcrafted=dict(  # A1: the features of its Table 2.1, frame by frame
                sample_rate_hz=16000,
                window_ms=25.0,
                hop_ms=10.0,
                pre_emphasis=0.97,
                num_cepstra=12,  # and the log energy, and both derivatives: the 39 of the thesis
                num_mels=26,
                f0_min_hz=65.0,
                f0_max_hz=650.0,
                f0_window_ms=64.0,  # at least two periods of f0_min_hz
                f0_step_semitones=0.2,  # librosa's 0.1 takes three times as long; so RAVDESS takes two and a half minutes on two cores
                num_formants=3,
                rolloff=0.9,
                segment_s=5.0,
            ),
            speech_segments=dict(num_mels=64, min_hz=20.0, max_hz=8000.0, **speech_cut),
            speech_faces=dict(num_frames=20, size_px=227, detector="haar", detector_path=placeholder(str), margin=0.1, **speech_cut),
            keyframes=dict(
                num_frames=16,
                size_px=299,
                segment_s=5.0,
                face_crop=False,
                detector="haar",  # "haar", "haar_coarse" (D's factor 1.3 and 5 neighbours), "yunet" or "res10"; the last two need files
                detector_path=placeholder(str),
                margin=0.1,  # around a face, at each side, as a part of its longer side; 0.1 suits all detectors and the landmark net
            ),
            faces=dict(
                rate_fps=7.5,
                size_px=48,
                gray=False,
                segment_s=30.0,
                max_frames=0,  # steps from this one on are cut off; 0 keeps them (D also tried 45)
                detector="haar",
                detector_path=placeholder(str),
                margin=0.1,
            ),
            frames=dict(rate_fps=7.5, size_px=299, segment_s=30.0),
            hog=dict(  # A1: of the faces that the view faces shows
                rate_fps=7.5,
                size_px=64,
                orientations=9,  # of the gradient, without sign; these three are the numbers of Dalal and Triggs
                pixels_per_cell=8,
                cells_per_block=2,
                segment_s=30.0,
                max_frames=0,
                detector="haar",  # the thesis has SSD, "res10"
                detector_path=placeholder(str),
                margin=0.1,
            ),
            frame_windows=dict(num_frames=25, **_window()),  # A: I3D's frames, a second to a window
            flow_windows=dict(
                num_frames=25,
                method="dis",  # "tvl1" is the published kind, and takes a minute for 5 s
                clip_px=20.0,  # larger flow is cut off; [-1, 1] stands for [-20, 20] px from frame to frame
                **_window(),
            ),
            still=dict(
                num_frames=1,  # of a film, evenly spaced; a picture is one
                size_px=48,  # C also names 88
                gray=False,
                crop="whole",  # "whole" frames whatever their proportions, the "centre" square, or the "face"
                segment_s=30.0,
                detector="haar",
                detector_path=placeholder(str),
                margin=0.1,
            ),
            table=dict(
                path=placeholder(str),
                clip_column="clip",
                # Columns that are no features, e.g. ("Unnamed: 0", "emotion"): left out. By default none, as a table should hold features;
                # one that looks like a row counter or a label is refused until it is named here or below.
                drop_columns=(),
                allow_columns=(),  # such columns that are used on purpose: the leak audit reports them in every table
            ),
        )
    )


def encoders() -> ConfigDict:
    """The encoders with published weights, by name; which one a stream uses is `streams.<name>.encoder`.

    end_point: where features are taken; "" takes the encoder's own (avemo_jax/models/encoders.py has them all).
    resize_px: side that pictures are resized to inside the encoder; 0 leaves them as the view has them.
    weights: "published", the owner's file in weights_dir; "random", one fixed draw; or the path of a file of the same kind.
    """
    return ConfigDict({name: dict(end_point="", resize_px=0, weights="published") for name in ENCODERS})


def _speech_cut() -> dict[str, FieldReference]:
    """How B cuts a clip, shared by the views of its sound and of its picture: a change of one is a change of both."""
    fields = dict(
        sample_rate_hz=16000,
        window_ms=25.0,
        hop_ms=10.0,
        segment_frames=64,  # 655 ms
        shift_frames=30,
        speech_window_ms=25.0,  # speech activity: a window is active where the speech band holds this share of its energy
        speech_hop_ms=10.0,
        speech_min_hz=300.0,
        speech_max_hz=3000.0,
        speech_threshold=0.6,
        speech_before_s=0.2,  # kept ahead of the first active window
        speech_after_s=0.2,  # and behind the last
        segments_per_example=1,  # 0: all segments of a clip are the steps of one example
        segment_s=10.0,  # longer clips are cut into pieces first: 20 faces of 227 px a segment fill memory
    )
    return {name: FieldReference(value) for name, value in fields.items()}


def _window() -> dict:
    """What windows of frames and of flow share; I3D is published for 25 frames/s and 224 px."""
    return dict(
        rate_fps=25.0,
        size_px=224,
        crop="centre",  # 7/8 of the shorter side, as published; "whole" frames whatever their proportions, or the "face"
        segment_s=5.0,
        detector="haar",
        detector_path=placeholder(str),
        margin=0.1,
    )
