"""Drawn talking faces of the synthetic corpus: flat shapes, blurred and with noise, that real face detectors find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

SIZE_PX = 160
# Shapes are drawn twice as large and scaled down with the head's motion: OpenCV's fillings know whole pixels alone.
_CANVAS_PX = 2 * SIZE_PX

Colour = tuple[int, int, int]


class Expression(NamedTuple):
    """State of a face.

    Fields: brow, slant in [-1, 1], positive with the inner ends down; brow_height in [-1, 1]; mouth, corners in [-1, 1] from down to
    up; opening of the mouth in [0, 1]; eye, height of the lids, 1 at rest; sway, motion of the head in pixels.
    """

    brow: float
    brow_height: float
    mouth: float
    opening: float
    eye: float
    sway: float


# Four faces for eight emotions: the two of a pair differ less than one clip from the next (see synthetic.py).
EXPRESSIONS = {
    "neutral": Expression(-0.10, 0.00, -0.12, 0.06, 0.90, 1.0),
    "sad": Expression(-0.35, 0.05, -0.32, 0.05, 0.78, 0.8),
    "calm": Expression(-0.05, 0.15, 0.68, 0.14, 0.92, 1.4),
    "happy": Expression(0.05, 0.20, 0.95, 0.25, 0.84, 2.0),
    "angry": Expression(0.95, -0.40, -0.62, 0.18, 0.92, 2.4),
    "fearful": Expression(0.70, -0.20, -0.55, 0.26, 1.08, 2.0),
    "disgust": Expression(0.10, 0.55, -0.10, 0.66, 1.05, 1.6),
    "surprised": Expression(-0.10, 0.80, 0.00, 0.82, 1.25, 1.8),
}
# Standard deviation of one clip's expression around its emotion's.
JITTER = Expression(0.26, 0.24, 0.24, 0.12, 0.13, 0.4)


@dataclasses.dataclass(frozen=True)
class Looks:
    """What stays the same in all clips of an actor; lengths are parts of the picture's side, colours RGB."""

    skin: Colour
    hair: Colour
    lips: Colour
    shirt: Colour
    background: Colour
    half_width: float
    half_height: float
    eye_distance: float
    eye_size: float
    brow_thickness: float
    nose_length: float
    mouth_width: float
    long_hair: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, *, male: bool) -> Looks:
        """Draw an actor's looks."""
        tone = rng.uniform(0.0, 1.0)
        skin = np.array([236, 196, 170]) * (1 - tone) + np.array([176, 128, 98]) * tone
        hair = np.array([rng.uniform(20, 90), rng.uniform(15, 55), rng.uniform(10, 40)])
        lips = skin * (0.80, 0.50, 0.50) if male else skin * (0.88, 0.40, 0.42)
        return cls(
            skin=_colour(skin),
            hair=_colour(hair),
            lips=_colour(lips),
            shirt=_colour(rng.uniform(40, 200, 3)),
            background=_colour(rng.uniform(95, 165) + rng.uniform(-12, 12, 3)),
            half_width=rng.uniform(0.225, 0.255),
            half_height=rng.uniform(0.305, 0.335),
            eye_distance=rng.uniform(0.40, 0.45),
            eye_size=rng.uniform(0.92, 1.1),
            brow_thickness=rng.uniform(0.020, 0.028) if male else rng.uniform(0.013, 0.019),
            nose_length=rng.uniform(0.17, 0.23),
            mouth_width=rng.uniform(0.36, 0.44),
            long_hair=not male,
        )


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(np.round(values), 0, 255).astype(int).tolist()
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    return _colour(np.asarray(colour) * factor)


class _Head:
    """The face of one actor on its canvas: what does not move is drawn once, the rest a frame."""

    def __init__(self, looks: Looks):
        self.looks = looks
        self.x, self.y = _CANVAS_PX // 2, round(_CANVAS_PX * 0.49)
        self.width, self.height = looks.half_width * _CANVAS_PX, looks.half_height * _CANVAS_PX
        self.still = self._draw_still()

    def _ellipse(self, image, x, y, half_width, half_height, colour, start=0, end=360):
        axes = (max(1, round(self.width * half_width)), max(1, round(self.height * half_height)))
        cv2.ellipse(image, self._point(x, y), axes, 0, start, end, colour, -1, cv2.LINE_AA)

    def _point(self, x: float, y: float) -> tuple[int, int]:
        """Canvas point of face coordinates: the face's oval spans [-1, 1] both ways, y downwards."""
        return round(self.x + self.width * x), round(self.y + self.height * y)

    def _draw_still(self) -> np.ndarray:
        looks = self.looks
        image = np.full((_CANVAS_PX, _CANVAS_PX, 3), looks.background, np.uint8)
        if looks.long_hair:
            cv2.rectangle(image, self._point(-1.15, -0.2), self._point(1.15, 1.05), looks.hair, -1)
        self._ellipse(image, 0, 1.75, 1.9, 0.75, looks.shirt)
        cv2.rectangle(image, self._point(-0.45, 0.6), self._point(0.45, 1.2), _shade(looks.skin, 0.82), -1)
        self._ellipse(image, 0, -0.18, 1.14, 1.02, looks.hair)
        for side in (-1, 1):
            self._ellipse(image, side * 1.0, 0.02, 0.12, 0.17, _shade(looks.skin, 0.9))
        self._ellipse(image, 0, 0, 1, 1, looks.skin)
        self._ellipse(image, 0, -0.86, 0.72, 0.22, looks.hair)
        lit = image.copy()
        self._ellipse(lit, 0, 0.34, 0.75, 0.25, _shade(looks.skin, 1.1))
        self._ellipse(lit, 0, -0.5, 0.6, 0.15, _shade(looks.skin, 1.08))
        cv2.addWeighted(lit, 0.6, image, 0.4, 0, dst=image)
        nose_y = -0.05 + looks.nose_length
        cv2.line(image, self._point(0.02, -0.05), self._point(0.07, nose_y), _shade(looks.skin, 0.8), 4, cv2.LINE_AA)
        self._ellipse(image, 0, nose_y + 0.04, 0.17, 0.05, _shade(looks.skin, 0.66), 0, 180)
        return image

    def draw(self, face: Expression) -> np.ndarray:
        """One picture (canvas, canvas, 3) uint8 RGB of the face in a state, not yet moved, blurred or noisy."""
        looks, image = self.looks, self.still.copy()
        for side in (-1, 1):
            x, y = side * looks.eye_distance, -0.12
            self._ellipse(image, x, y, 0.27 * looks.eye_size, 0.13, _shade(looks.skin, 0.74))
            self._ellipse(image, x, y, 0.2 * looks.eye_size, 0.078 * looks.eye_size * face.eye, (236, 236, 236))
            if face.eye > 0.3:
                self._ellipse(image, x, y, 0.085, min(0.07, 0.075 * face.eye), (30, 26, 24))
            brow_y = y - 0.21 - 0.07 * face.brow_height
            outer = self._point(x + side * 0.27, brow_y - 0.06 * face.brow + 0.02)
            inner = self._point(x - side * 0.24, brow_y + 0.09 * face.brow)
            cv2.line(image, outer, inner, _shade(looks.hair, 0.8), max(2, round(looks.brow_thickness * _CANVAS_PX)), cv2.LINE_AA)
        self._mouth(image, face)
        return image

    def _mouth(self, image: np.ndarray, face: Expression) -> None:
        t = np.linspace(-1, 1, 15)
        half_width = self.looks.mouth_width * (1 + 0.12 * max(0.0, face.mouth) - 0.22 * face.opening)
        corner = 0.53 - 0.1 * face.mouth * t**2 + 0.03 * face.mouth
        gap = 0.02 + 0.16 * face.opening
        upper, lower = corner - 0.55 * gap * (1 - t**2), corner + gap * (1 - t**2)
        outline = np.concatenate([np.stack([t, upper], 1), np.stack([t, lower], 1)[::-1]])
        points = np.array([self._point(half_width * x, y) for x, y in outline], np.int32)
        cv2.fillPoly(image, [points], (70, 24, 28), cv2.LINE_AA)
        cv2.polylines(image, [points], True, self.looks.lips, 6, cv2.LINE_AA)


def frames(rng: np.random.Generator, looks: Looks, emotion: str, voice_level: np.ndarray, rate_fps: float) -> Iterator[np.ndarray]:
    """Yield the pictures of one clip.

    Args:
      rng: source of this clip's chance.
      looks: the actor's.
      emotion: key of EXPRESSIONS.
      voice_level: (F,) in [0, 1], loudness of the voice at each frame; the mouth moves with it.
      rate_fps: frames a second.

    Yields:
      (SIZE_PX, SIZE_PX, 3) uint8 RGB, F of them.
    """
    held = Expression(*(np.asarray(EXPRESSIONS[emotion]) + np.asarray(JITTER) * rng.standard_normal(len(JITTER))))
    head = _Head(looks)
    time_s = np.arange(len(voice_level)) / rate_fps
    # The expression sets in during the first half second; three slow waves move the head and let the face breathe.
    onset = 0.45 + 0.55 * np.clip(time_s / 0.5, 0, 1)
    waves = np.sin(2 * np.pi * (rng.uniform(0.4, 1.1, (3, 1)) * time_s + rng.uniform(0, 1, (3, 1))))
    blink = rng.uniform(0, 3.5)
    offset_px, talk = rng.uniform(-6, 6, 2), rng.uniform(0.16, 0.30)
    light, blur = rng.uniform(0.88, 1.1), rng.uniform(0.6, 1.0)
    for time, strength, (wave_x, wave_y, wave_roll), level in zip(time_s, onset, waves.T, voice_level, strict=True):
        face = Expression(
            brow=float(np.clip(strength * held.brow + 0.06 * wave_roll, -1.2, 1.2)),
            brow_height=float(np.clip(strength * held.brow_height + 0.08 * level, -1, 1.2)),
            mouth=float(np.clip(strength * held.mouth + 0.06 * wave_y, -1.2, 1.2)),
            opening=float(np.clip(strength * max(0.0, held.opening) + talk * level, 0.0, 1.1)),
            eye=0.15 if blink <= time < blink + 0.12 else float(np.clip(1 + strength * (held.eye - 1), 0.55, 1.5)),
            sway=max(0.3, held.sway),
        )
        # Head motion and the halving of the canvas are one map, so that motion has parts of a pixel.
        motion = cv2.getRotationMatrix2D((head.x, head.y), 1.4 * face.sway * wave_roll, 0.5)
        rest = np.array([SIZE_PX / 2 - head.x, SIZE_PX * 0.49 - head.y])
        motion[:, 2] = motion[:, 2] + rest + offset_px + face.sway * np.array([wave_x, 0.7 * wave_y])
        picture = cv2.warpAffine(head.draw(face), motion, (SIZE_PX, SIZE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = cv2.GaussianBlur(picture, (0, 0), blur).astype(np.float32)
        noise = rng.standard_normal((SIZE_PX, SIZE_PX, 1), dtype=np.float32)
        yield np.clip(light * picture + 3.0 * noise, 0, 255).astype(np.uint8)
