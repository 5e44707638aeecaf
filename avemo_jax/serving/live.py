"""Camera and microphone of a browser: samples and pictures come over a WebSocket, predictions go back as they are made.

The browser sends first {"rate_hz": number or null, "pictures": true or false}, then binary messages of a head of 16 bytes (kind: uint32,
four bytes unused, time in s: float64, little-endian) and samples (float32) or a picture (JPEG), and {"stop": true} at the end. The server
answers {"ready": true} when it can take sound, {"hops": [...], "latest": {...}, "latency_ms": number, "faces": [[x, y, width, height as
shares of the last picture], ...]} for each push that completes windows, {"ended": true, ...} with the last hops and the number under which
the predictions can be saved, or {"error": sentence}.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.stream import PredictionStream
from avemo_jax.serving.jobs import Busy, Jobs
from avemo_jax.serving.system import System

LOG = logging.getLogger(__name__)
MOST_STREAMS = 4  # each has a process of its own
LARGEST_MESSAGE_BYTES = 2 << 20
_HEAD = struct.Struct("<I4xd")  # kind, time in s
_SAMPLES, _PICTURE = 0, 1
_RATES_HZ = (8_000, 192_000)
_SILENCE_S = 30.0  # without a message, after which a stream ends
_DIGITS = 4


class Picture(NamedTuple):
    """A picture: its time in s from the start of the recording, and its file."""

    time_s: float
    content: bytes


class LiveStreams:
    """The streams of all browsers.

    Args:
      system: predicts them.
      jobs: keeps the predictions of streams that were stopped.
      most: streams at a time.
    """

    def __init__(self, system: System, jobs: Jobs, *, most: int = MOST_STREAMS):
        self._system, self._jobs, self._most, self._num = system, jobs, most, 0

    async def serve(self, socket: WebSocket) -> None:
        """Predict what one browser records, until it stops or goes away."""
        await socket.accept()
        if self._num >= self._most:
            await _end(socket, f"{self._num} recordings are followed already; try again when one has ended.")
            return
        self._num += 1
        try:
            await self._follow(socket)
        except (WebSocketDisconnect, TimeoutError):
            pass
        except (ValueError, RuntimeError) as error:
            await _end(socket, f"{error}")
        except Exception:
            LOG.exception("a recording could not be followed")
            await _end(socket, "The recording cannot be followed; the terminal of the server shows why.")
        finally:
            self._num -= 1

    async def _follow(self, socket: WebSocket) -> None:
        rate_hz, has_pictures = _wishes(await socket.receive_text())
        stream = self._system.stream(rate_hz, pictures=has_pictures)
        with stream:
            await run_in_threadpool(stream.warm_up)
            await socket.send_json({"ready": True})
            found: list[SegmentPrediction] = []
            while True:
                message = await asyncio.wait_for(socket.receive(), _SILENCE_S)
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("text") is not None:
                    hops = await run_in_threadpool(stream.close)
                    kept = await run_in_threadpool(self._keep, [*found, *hops])
                    await socket.send_json(_answer(stream, hops, self._system.classes) | {"ended": True} | kept)
                    await socket.close()
                    return
                samples, pictures = _content(message["bytes"], has_sound=rate_hz is not None)
                before, begin_s = stream.latest, time.perf_counter()
                hops = await run_in_threadpool(stream.push, samples, pictures)
                found += hops
                if stream.latest is not before:
                    answer: dict[str, Any] = {"latency_ms": round(1000 * (time.perf_counter() - begin_s), 1)}
                    faces = await run_in_threadpool(stream.faces) if has_pictures else []
                    answer |= {"faces": [[round(side, _DIGITS) for side in face] for face in faces]}
                    await socket.send_json(_answer(stream, hops, self._system.classes) | answer)

    def _keep(self, segments: Sequence[SegmentPrediction]) -> dict[str, str]:
        """Return number and name of the predictions, {} where there are none or the server is busy."""
        if not segments:
            return {}
        try:
            job = self._jobs.keep(f"live {datetime.datetime.now().astimezone():%Y-%m-%d %H-%M-%S}", segments)
        except Busy:
            return {}
        return {"number": job.number, "name": job.name}


def _wishes(text: str) -> tuple[int | None, bool]:
    """Return the rate of the samples in Hz, None without sound, and whether pictures come.

    Raises:
      ValueError: they are not as the page sends them.
    """
    try:
        wishes = json.loads(text)
        rate_hz = None if wishes["rate_hz"] is None else int(wishes["rate_hz"])
        has_pictures = bool(wishes["pictures"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError('expected {"rate_hz": number or null, "pictures": true or false} first') from error
    if rate_hz is not None and not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
        raise ValueError(f"expected a rate between {_RATES_HZ[0]} and {_RATES_HZ[1]} Hz, got {rate_hz}")
    return rate_hz, has_pictures


def _content(message: bytes, *, has_sound: bool) -> tuple[np.ndarray | None, list[Picture]]:
    """Return the samples (S,) float32 in [-1, 1] and the pictures of a binary message."""
    if len(message) < _HEAD.size:
        raise ValueError(f"expected a head of {_HEAD.size} bytes, got a message of {len(message)}")
    kind, time_s = _HEAD.unpack_from(message)
    if kind == _PICTURE:
        if not 0 <= time_s < float("inf"):
            raise ValueError(f"expected the time of a picture in s, got {time_s}")
        return None, [Picture(time_s, message[_HEAD.size :])]
    if kind != _SAMPLES or not has_sound or (len(message) - _HEAD.size) % 4:
        raise ValueError("expected samples as float32 or a picture")
    samples = np.frombuffer(message, "<f4", offset=_HEAD.size)
    if not np.isfinite(samples).all():
        raise ValueError("expected finite samples, got some that are not")
    return np.clip(samples, -1, 1), []


def _answer(stream: PredictionStream, hops: Sequence[SegmentPrediction], classes: Sequence[str]) -> dict[str, Any]:
    latest = {} if stream.latest is None else {"latest": _as_json(stream.latest, classes)}
    return {"hops": [_as_json(one, classes) for one in hops], **latest}


def _as_json(one: SegmentPrediction, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "start_s": round(one.start_s, 3),
        "end_s": round(one.end_s, 3),
        "label": one.label(classes),
        "nothing": one.nothing,
        "probabilities": [round(value, _DIGITS) for value in one.probabilities.tolist()],
        "values": {name: round(value, _DIGITS) for name, value in one.values.items()},
        "without": list(one.without),
        "attention": {name: [round(value, 2) for value in own.tolist()] for name, own in one.attention.items()},
    }


async def _end(socket: WebSocket, sentence: str) -> None:
    try:
        await socket.send_json({"error": sentence})
        await socket.close()
    except (RuntimeError, WebSocketDisconnect):  # the browser is gone
        return
