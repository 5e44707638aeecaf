"""The page's server: recordings are taken, predicted, shown, saved and removed; live sound is answered; errors are sentences."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from avemo_jax.data.prepared import Damage
from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.serving import jobs as jobs_module
from avemo_jax.serving.app import Description, make_app, markdown
from avemo_jax.serving.jobs import shown_name
from data_prep.timeline_media import NO_SOUND

CLASSES = ("calm", "a<b")
LIVE = "ws://127.0.0.1:8600/live"


def segment(start_s: float, share: float = 0.75) -> SegmentPrediction:
    return SegmentPrediction(start_s, start_s + 1, np.array([share, 1 - share]))


class Stream:
    """Stands for a prediction of what is pushed: a hop for each second of sound."""

    def __init__(self, rate_hz, pictures):
        self.rate_hz, self.pictures, self.num_samples, self.latest, self.num_pictures = rate_hz, pictures, 0, None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def warm_up(self):
        pass

    def push(self, samples, pictures):
        self.num_pictures += len(pictures)
        before = self.num_samples // self.rate_hz
        self.num_samples += 0 if samples is None else len(samples)
        hops = [segment(at) for at in range(before, self.num_samples // self.rate_hz)]
        self.latest = hops[-1] if hops else self.latest
        return hops

    def faces(self):
        return [(0.1, 0.2, 0.3, 1 / 3)]

    def close(self):
        return [segment(self.num_pictures, 0.25)]


class System:
    """Stands for a trained system: a recording of N bytes lasts N seconds; one that begins with "wait" waits for the event."""

    classes, trained_on, media, window_s, hop_s = CLASSES, "<b>nothing</b>", frozenset({"audio", "video"}), 3.0, 1.0
    rule, attended = "mean", ("audio",)

    def __init__(self):
        self.may_go_on = threading.Event()
        self.files = []

    def reader(self):
        return contextlib.nullcontext()

    def predict_file(self, file, reader, report):
        self.files.append(Path(file))
        content = Path(file).read_bytes()
        if content.startswith(b"fail"):
            raise RuntimeError(f"{file} is a secret")
        if content.startswith(b"wait"):
            report(1.0)
            self.may_go_on.wait(10)
            report(2.0)
        if content.startswith(b"damaged"):
            return RecordingPrediction(file, (), (Damage("undecodable", f"{Path(file).name}: no sound in it"),), CLASSES)
        return RecordingPrediction(file, tuple(segment(at) for at in range(len(content))), (), CLASSES, trained_on=self.trained_on)

    def stream(self, rate_hz=None, *, pictures=False):
        if rate_hz == 8001:
            raise ValueError("this rate is not liked")
        return Stream(rate_hz, pictures)


class NoMedia:
    """No sound, no picture."""

    def outline(self, file):
        return NO_SOUND

    def write_overlay(self, file, path, hops, colours, other, people=()):
        return f"{Path(file).name} has no picture"


@pytest.fixture
def system():
    return System()


@pytest.fixture
def client(system, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    description = Description(
        "small_net", "# Card\n\n<script>alert(1)</script>\n\n| a | b |\n| - | - |\n| 1 | 2 |", "# Limits\n\n[law](law.md)"
    )
    app = make_app(system, description, lambda: contextlib.nullcontext(NoMedia()), host="127.0.0.1", upload_mb=0.001, keep_s=60)
    with TestClient(app, base_url="http://127.0.0.1:8600") as found:
        yield found
        system.may_go_on.set()
    assert list(tmp_path.iterdir()) == [], "recordings are left after the end"


def hand_in(client, content: bytes, name: str = "clip.wav") -> str:
    answer = client.post("/recordings", content=content, headers={"X-File-Name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["number"]


def wait_for(client, number: str, *states: str) -> dict:
    for _ in range(1000):
        found = client.get(f"/recordings/{number}").json()
        if found["state"] in states:
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_the_page_shows_the_system_its_card_and_its_limits(client):
    answer = client.get("/")
    page = Page(answer.text)
    assert "small_net" in page.text and "<b>nothing</b>" in page.text and "<script>alert(1)</script>" in page.text
    assert "b" not in page.open and "<b>nothing" not in answer.text and "law" in page.text and "law.md" not in answer.text
    assert [dict(attributes).get("type") for tag, attributes in page.tags if tag == "script"] == ["application/json", None]
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"
    assert "registerProcessor" in client.get("/recorder.js").text


def test_a_recording_is_predicted_shown_saved_and_removed(client, system, tmp_path):
    number = hand_in(client, b"12", "../../etc/M%C3%BCller <1>.wav")
    found = wait_for(client, number, "done")
    assert found["name"] == "Müller <1>.wav" and (found["predicted"], found["probability"], found["duration"]) == ("calm", 0.75, "0:02.0")
    (file,) = system.files
    assert file.name == "recording.wav" and file.parent.name == number and file.is_relative_to(tmp_path)
    page = client.get(f"/recordings/{number}/page")
    assert page.headers["Content-Type"].startswith("text/html") and "Müller" in Page(page.text).text and "<1>" not in page.text
    formats = dict(json.loads(re.search(r'id="settings">(.*?)</script>', client.get("/").text)[1])["formats"])
    assert {"html", "json", "csv", "audformat", "png", "svg", "overlay"} <= set(formats)
    for name in [one for one in formats if one not in ("png", "svg", "overlay")]:
        saved = client.get(f"/recordings/{number}/formats/{name}")
        assert saved.status_code == 200 and "attachment" in saved.headers["Content-Disposition"], name
        assert "calm" in saved.text or name == "parquet"
        for secret in (str(tmp_path), "recording.wav", str(Path.cwd())):
            assert secret not in saved.text.replace('src="recording.wav"', ""), (name, secret)
    assert "overlay" not in found["formats"] and "eaf" in found["formats"]
    overlay = client.get(f"/recordings/{number}/formats/overlay")
    assert overlay.status_code == 409 and overlay.json()["reason"].endswith("Müller <1>.wav has no picture.")
    assert client.get(f"/recordings/{number}/recording.wav").content == b"12"
    assert client.get(f"/recordings/{number}/recording.wav", headers={"Range": "bytes=1-"}).content == b"2"
    for path in ("formats/pdf", "other.wav", "..%2f..%2fx", ".hidden"):
        assert client.get(f"/recordings/{number}/{path}").status_code == 404
    assert client.post(f"/recordings/{number}/remove").status_code == 204
    assert not file.exists() and client.get(f"/recordings/{number}").status_code == 404


def test_two_users_get_answers_while_a_third_waits(client, system):
    numbers = [hand_in(client, content) for content in (b"wait", b"12", b"wait", b"345", b"6")]
    assert wait_for(client, numbers[1], "done")["predicted"] == "calm"
    assert wait_for(client, numbers[0], "working")["reached"] == "0:01.0"
    wait_for(client, numbers[2], "working")
    assert [client.get(f"/recordings/{number}").json()["num_before"] for number in numbers[3:]] == [0, 1]
    client.post(f"/recordings/{numbers[2]}/remove")
    system.may_go_on.set()
    assert [wait_for(client, number, "done")["state"] for number in (numbers[0], *numbers[3:])] == ["done"] * 3


def test_what_is_too_large_empty_damaged_or_too_much_is_a_sentence(client, monkeypatch, tmp_path):
    sizes = []

    def removed(self, job, remove=jobs_module.Jobs.remove):
        sizes.append(job.path.stat().st_size)
        remove(self, job)

    monkeypatch.setattr(jobs_module.Jobs, "remove", removed)
    large = client.post("/recordings", content=b"x" * 1001)
    streamed = client.post("/recordings", content=iter([b"x" * 600] * 2))  # without its length
    assert [one.status_code for one in (large, streamed)] == [413, 413] and "--upload_mb" in large.json()["reason"]
    assert len(sizes) == 1 and sizes[0] <= 1000, "what is too much is not written"
    assert client.post("/recordings", content=b"").json()["reason"] == "The recording is empty."
    assert [list(folder.iterdir()) for folder in tmp_path.iterdir()] == [[]], "refused recordings are not kept"
    failed = wait_for(client, hand_in(client, b"fail"), "failed")
    assert failed["reason"] == "The recording could not be predicted; the terminal of the server shows why."
    assert wait_for(client, hand_in(client, b"damaged", "Anna.wav"), "failed")["reason"] == "Anna.wav: no sound in it"
    monkeypatch.setattr(jobs_module, "MOST_JOBS", 3)
    waiting = [hand_in(client, b"wait") for _ in range(3)]  # those that have failed make room
    busy = client.post("/recordings", content=b"12")
    assert busy.status_code == 503 and "try again" in busy.json()["reason"]
    assert all(wait_for(client, number, "working", "waiting") for number in waiting)


def test_a_fault_of_the_server_is_a_sentence(client, monkeypatch):
    def fault(*_):
        raise AssertionError("secret")

    monkeypatch.setattr(jobs_module.Jobs, "find", fault)
    answer = TestClient(client.app, base_url="http://127.0.0.1:8600", raise_server_exceptions=False).get("/recordings/1")
    assert answer.status_code == 500 and "terminal" in answer.json()["reason"] and "secret" not in answer.text
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_recordings_nobody_asks_for_are_deleted(client, monkeypatch, tmp_path):
    number = hand_in(client, b"12")
    wait_for(client, number, "done")
    passed = time.monotonic() + 61
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: passed)
    assert client.get(f"/recordings/{number}").status_code == 404
    assert [list(folder.iterdir()) for folder in tmp_path.iterdir()] == [[]]


def test_other_pages_are_refused(client):
    assert client.get("/", headers={"Host": "rebound.example"}).status_code == 403
    answer = client.post("/recordings", content=b"12", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403 and "Another page" in answer.text and answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE, headers={"Origin": "https://elsewhere.example"}):
        pass


def message(kind: int, content: bytes, time_s: float = 0.0) -> bytes:
    return struct.pack("<I4xd", kind, time_s) + content


def test_live_sound_is_answered_a_hop_at_a_time(client):
    with client.websocket_connect(LIVE, headers={"Origin": "http://127.0.0.1:8600"}) as socket:
        socket.send_json({"rate_hz": 8000, "pictures": True})
        assert socket.receive_json() == {"ready": True}
        socket.send_bytes(message(0, np.zeros(7000, "<f4").tobytes()))
        socket.send_bytes(message(1, b"picture", 0.5))
        socket.send_bytes(message(0, np.zeros(9500, "<f4").tobytes()))
        answer = socket.receive_json()
        assert [one["start_s"] for one in answer["hops"]] == [0, 1] and answer["latest"]["probabilities"] == [0.75, 0.25]
        assert answer["faces"] == [[0.1, 0.2, 0.3, 0.3333]] and answer["latest"]["label"] == "calm" and answer["latency_ms"] >= 0
        socket.send_json({"stop": True})
        answer = socket.receive_json()
        assert answer["ended"] and [(one["start_s"], one["label"]) for one in answer["hops"]] == [(1, "a<b")]
    found = wait_for(client, answer["number"], "done")
    assert found["name"] == answer["name"] and answer["name"].startswith("live 2") and "overlay" not in found["formats"]
    saved = client.get(f"/recordings/{answer['number']}/formats/json").json()
    assert [one["start_s"] for one in saved["files"][0]["segments"]] == [0, 1, 1]
    page = client.get(f"/recordings/{answer['number']}/page").text
    assert "No browser plays" not in page and "<audio" not in page


@pytest.mark.parametrize(
    ("wishes", "content", "expected"),
    [
        ('{"rate_hz": 1, "pictures": false}', None, "between 8000 and 192000 Hz"),
        ("[]", None, "pictures"),
        ('{"rate_hz": 8001, "pictures": false}', None, "not liked"),
        ('{"rate_hz": 8000, "pictures": false}', b"short", "head of 16 bytes"),
        ('{"rate_hz": 8000, "pictures": false}', message(0, b"123"), "float32 or a picture"),
        ('{"rate_hz": 8000, "pictures": false}', message(0, np.full(5, np.nan, "<f4").tobytes()), "finite"),
        ('{"rate_hz": null, "pictures": true}', message(1, b"picture", float("nan")), "time of a picture"),
    ],
)
def test_live_messages_of_another_kind_are_refused(client, wishes, content, expected):
    with client.websocket_connect(LIVE) as socket:
        socket.send_text(wishes)
        if content is not None:
            assert socket.receive_json() == {"ready": True}
            socket.send_bytes(content)
        assert expected in socket.receive_json()["error"]


def test_a_fifth_stream_is_told_to_wait(client):
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            socket = opened.enter_context(client.websocket_connect(LIVE))
            socket.send_json({"rate_hz": 8000, "pictures": False})
            assert socket.receive_json()["ready"]
        with client.websocket_connect(LIVE) as socket:
            assert "try again" in socket.receive_json()["error"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("C:\\films\\a.mp4", "a.mp4"),
        ("/etc/passwd", "passwd"),
        ("..", ".."),
        ("a\x1b[2J\u202eb.wav", "a[2Jb.wav"),
        ("", "recording"),
        ("x" * 300 + ".wav", "x" * 110 + ".wav"),
    ],
)
def test_names_are_shown_and_never_used(name, expected):
    assert shown_name(name) == expected


def test_markdown_is_text_and_tables():
    found = markdown("# One\n\n<img src=x onerror=alert(1)> [a](javascript:alert(1))\n\n| a |\n| - |\n| `1` |")
    assert "<h3>One</h3>" in found and "&lt;img" in found and "<td><code>1</code></td>" in found
    assert "<a" not in found and "<img" not in found
