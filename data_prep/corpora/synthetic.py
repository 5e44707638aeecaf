"""The synthetic corpus: drawn faces and synthesised voices in RAVDESS's names, for the demo and the tests.

Eight emotions are built so that neither modality is enough. The voices form the near-equal pairs neutral/calm, happy/surprised,
angry/disgust, sad/fearful; the faces form other pairs: neutral/sad, calm/happy, angry/fearful, disgust/surprised. A voice and a face
together single out one emotion; one of them alone leaves two, told apart by small differences under the chance of each clip.
"""

from __future__ import annotations

import dataclasses
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from avemo_jax.clips import Clip
from data_prep.corpora import ravdess
from data_prep.workers.pool import Crash, run_tasks

ADDRESS = "this project: it is made where it is missing"
LAYOUT = "Actor_NN/01-01-EE-II-SS-RR-AA.mp4, beside synthetic.json"
OPTIONS = ("num_actors", "num_takes", "seed")
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio", "video")
NUM_CLIPS = None  # as many as the options ask for

RATE_FPS = 15
DURATION_S = (1.6, 2.4)
MARKER = "synthetic.json"
VERSION = 1  # of the drawing and the synthesis; a change of either makes another corpus

clip_id = ravdess.clip_id


def clips(root: Path, *, num_actors: int = 12, num_takes: int = 3, seed: int = 0) -> tuple[Clip, ...]:
    """Make the corpus where it is missing, and read it.

    Raises:
      ValueError: the folder holds something else (see `make`).
    """
    make(root, num_actors=num_actors, num_takes=num_takes, seed=seed)
    return ravdess.clips(root, channel="speech", corpus="synthetic")


def make(root: Path, *, num_actors: int = 12, num_takes: int = 3, seed: int = 0, num_workers: int = 2) -> None:
    """Write the corpus: num_actors x 8 emotions x num_takes films with sound, a function of the arguments alone.

    A finished corpus is left as it is, a half-made one is finished. Odd actors are male. Takes alternate the two sentences. The same
    arguments give the same bytes wherever the encoders are of the same version, with any number of workers.

    Args:
      root: folder to write into; made where missing.
      num_actors: 1 to 99; half of each gender.
      num_takes: clips of one actor and emotion, 1 to 198.
      seed: of all chance.
      num_workers: processes.

    Raises:
      ValueError: a number out of its range, or the folder holds something else: another corpus, or this one with other numbers.
    """
    for name, value, most in (("num_actors", num_actors, 99), ("num_takes", num_takes, 198)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must lie in 1..{most} (two digits of a file name), got {value}; set --config.corpus.{name}=")
    root = Path(root)
    wanted = {"version": VERSION, "num_actors": num_actors, "num_takes": num_takes, "seed": seed}
    if _found(root, wanted):
        return
    root.mkdir(parents=True, exist_ok=True)
    _write_marker(root, wanted, finished=False)
    films = {
        film_name(actor, code, take): _Film(root / f"Actor_{actor:02d}" / film_name(actor, code, take), actor, emotion, take, seed)
        for actor in range(1, num_actors + 1)
        for code, emotion in ravdess.EMOTIONS.items()
        for take in range(num_takes)
    }
    missing = {name: film for name, film in films.items() if not film.path.exists()}
    num_done = len(films) - len(missing)
    for name, outcome in run_tasks(_make_film, missing, num_workers=num_workers, description="synthetic corpus", num_done=num_done):
        if isinstance(outcome, Crash):
            raise RuntimeError(f"{root / name} could not be made: {outcome.reason}; run the same command again to resume")
    _write_marker(root, wanted, finished=True)


@dataclasses.dataclass(frozen=True)
class _Film:
    """A film to make: a task for a worker."""

    path: Path
    actor: int
    emotion: str
    take: int
    seed: int


def _make_film(film: _Film) -> None:
    """Write a film under another name first and rename it, so that an incomplete file never has a film's name."""
    film.path.parent.mkdir(exist_ok=True)
    part = film.path.with_name(f".{film.path.stem}.{os.getpid()}.part")
    write_clip(part, actor=film.actor, emotion=film.emotion, take=film.take, seed=film.seed)
    part.replace(film.path)


def _found(root: Path, wanted: dict[str, int]) -> bool:
    """Whether the finished corpus exists; raises ValueError where the folder has other content."""
    fix = "name an empty or new folder with --config.corpus.root="
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root} is a file, not a folder for the synthetic corpus; {fix}")
    if not root.exists() or all(entry.name.startswith(".") for entry in root.iterdir()):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise ValueError(f"{root} is not empty and holds no {MARKER}, so it is not a synthetic corpus; {fix}")
    found = json.loads(marker.read_text(encoding="utf-8"))
    if other := [f"{name} {found.get(name)} (asked for {value})" for name, value in wanted.items() if found.get(name) != value]:
        raise ValueError(f"{root} holds another synthetic corpus: {', '.join(other)}; {fix}")
    return found["finished"]


def _write_marker(root: Path, wanted: dict[str, int], *, finished: bool) -> None:
    part = root / f".{MARKER}.{os.getpid()}"
    part.write_text(json.dumps(wanted | {"finished": finished}, indent=1) + "\n", encoding="utf-8")
    part.replace(root / MARKER)


def film_name(actor: int, emotion: str, take: int) -> str:
    """Name of a film: all of normal intensity, takes 0, 1, 2 are the first sentence, the second, the first again."""
    return f"01-01-{emotion}-01-{1 + take % 2:02d}-{1 + take // 2:02d}-{actor:02d}.mp4"


def write_clip(path: Path, *, actor: int, emotion: str, take: int, seed: int) -> None:
    """Write one film with sound: MPEG-4 part 2 and AAC, the encoders that every build of FFmpeg brings."""
    import av  # late, as are the drawing and the synthesis: reading a corpus needs none of them

    from data_prep.corpora import synthetic_face, synthetic_voice

    male = actor % 2 == 1
    person = np.random.default_rng([seed, actor])
    looks = synthetic_face.Looks.draw(person, male=male)
    voice = synthetic_voice.Voice.draw(person, male=male)
    rng = np.random.default_rng([seed, actor, list(ravdess.EMOTIONS.values()).index(emotion), take])
    num_frames = round(rng.uniform(*DURATION_S) * RATE_FPS)
    samples, level = synthetic_voice.speak(rng, voice, emotion, str(1 + take % 2), num_frames / RATE_FPS)
    at_frames = (np.arange(num_frames) * synthetic_voice.SAMPLE_RATE_HZ) // RATE_FPS
    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream("mpeg4", rate=RATE_FPS)
        picture.width = picture.height = synthetic_face.SIZE_PX
        picture.pix_fmt, picture.bit_rate, picture.thread_count = "yuv420p", 300_000, 1
        sound = container.add_stream("aac", rate=synthetic_voice.SAMPLE_RATE_HZ, layout="mono")
        sound.bit_rate, sound.options = 64_000, {"aac_coder": "fast"}
        for image in synthetic_face.frames(rng, looks, emotion, level[at_frames], RATE_FPS):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = synthetic_voice.SAMPLE_RATE_HZ, 0, Fraction(1, synthetic_voice.SAMPLE_RATE_HZ)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
