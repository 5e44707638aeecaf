"""What `--mode=explore` measures of a clip's media."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ClipMeasures:
    """Measures of one clip; None where it lacks the medium, or where that could not be decoded.

    Attributes:
      sound_s: length of the sound in s.
      peak_db: loudest sample, in dB of full scale.
      level_db: root mean square of the samples, in dB of full scale.
      snr_db: estimate of the signal-to-noise ratio: the 95th minus the 10th percentile of the levels of frames of 25 ms, in dB. A clip
        without pauses has a low one.
      clipped_share: share of the samples that are within 0.1 % of full scale.
      film_s: length of the film in s; 0 for a still.
      rate_fps: frames of the film a second; None for a still.
      width_px, height_px: size of the picture.
      num_searched, num_with_face: frames that were searched for a face, one a second and ten at most, and those that show one.
      face_px: width of the largest face, the median over these frames.
      damage: kind and text of what is wrong with its media, "" where nothing is.
      picture: JPEG of its largest face, or of the whole frame where none was found; b"" where it was not asked for.
      spectrogram: PNG of the sound's power from 0 to 8 kHz, low at the bottom; b"" where it was not asked for.
    """

    sound_s: float | None = None
    peak_db: float | None = None
    level_db: float | None = None
    snr_db: float | None = None
    clipped_share: float | None = None
    film_s: float | None = None
    rate_fps: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    num_searched: int = 0
    num_with_face: int = 0
    face_px: float | None = None
    damage: str = ""
    picture: bytes = b""
    spectrogram: bytes = b""
