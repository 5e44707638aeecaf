"""The page in a real browser with a made-up camera and microphone; needs Chromium and the package playwright."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = [pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A made-up camera shows a moving disc, a made-up microphone beeps once a second.
FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
WIDTHS_PX = (1200, 390)
AXE = os.environ.get("AVEMO_AXE", "")  # path of axe.min.js of the npm package axe-core


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The address of a server with the shipped model, or with the run of AVEMO_SERVED_RUN."""
    temporary = tmp_path_factory.mktemp("served")
    run = [f"--run={served}"] if (served := os.environ.get("AVEMO_SERVED_RUN")) else []
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), "--mode=serve", "--port=0", "--upload_mb=5", *run],
        stdout=subprocess.PIPE,
        text=True,
        cwd=temporary,
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
    )
    assert server.stdout is not None
    try:
        found = next(match[1] for line in server.stdout if (match := re.match(r"page: (\S+)", line)))
        yield found
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    assert not list(temporary.glob("avemo-serve-*")), "recordings are left after the end"


@pytest.fixture
def page(address):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": WIDTHS_PX[0], "height": 900})
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.goto(address)
        yield opened
        browser.close()
    assert not said, said


def shoot(page, name: str) -> None:
    """Save pictures of the page at both widths, where AVEMO_SCREENSHOTS names a folder."""
    if folder := os.environ.get("AVEMO_SCREENSHOTS"):
        for width_px in WIDTHS_PX:
            page.set_viewport_size({"width": width_px, "height": 900})
            page.wait_for_timeout(400)
            page.screenshot(path=Path(folder) / f"{name}_{width_px}.png", full_page=True)
        page.set_viewport_size({"width": WIDTHS_PX[0], "height": 900})


def check_accessible(page) -> None:
    """No serious finding of axe-core, where AVEMO_AXE names it, at both widths."""
    for width_px in WIDTHS_PX:
        page.set_viewport_size({"width": width_px, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"the page is wider than {width_px} px"
        if AXE:
            page.evaluate(Path(AXE).read_text())  # not as a script of the page, which its policy would refuse
            found = page.evaluate("axe.run({iframes: false}).then((found) => found.violations)")
            serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
            assert not serious, serious
    page.set_viewport_size({"width": WIDTHS_PX[0], "height": 900})


def test_a_recording_is_handed_in_by_keyboard_and_saved(page, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a <b>.wav", rng.normal(scale=0.1, size=5 * 16000), 16000)
    check_accessible(page)
    shoot(page, "first")
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement.id") == "file":
            break
        page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "a <b>.wav")
    page.wait_for_selector("article iframe", timeout=60_000)
    frame = page.frame_locator("article iframe")
    assert frame.locator("h1").inner_text().replace("\u200b", "") == "a <b>.wav"
    frame.locator("#time").focus()
    page.keyboard.press("ArrowRight")
    assert frame.locator("#clock").inner_text() == "0:00.1"
    assert frame.locator("audio").evaluate("(player) => new Promise((ready) => setTimeout(() => ready(player.readyState), 500))") > 0
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON").click()
    content = json.loads(Path(saved.value.path()).read_text())
    assert content["files"][0]["file"] == "a <b>.wav" and saved.value.suggested_filename.endswith(".json")
    assert page.get_by_role("button", name="film with overlay").count() == 0, "a sound has no picture"
    check_accessible(page)
    shoot(page, "recording")
    page.get_by_role("button", name="Remove a <b>.wav").click()
    assert page.locator("article").count() == 0


def test_a_large_and_a_broken_file_are_refused_with_a_sentence(page, tmp_path):
    (tmp_path / "large.wav").write_bytes(bytes(6_000_000))
    (tmp_path / "broken.mp4").write_bytes(b"no film at all")
    page.locator("#file").set_input_files([tmp_path / "large.wav", tmp_path / "broken.mp4"])
    page.locator(".said.warn", has_text="takes 5 MB").wait_for()
    page.locator(".said.warn", has_text="broken.mp4").wait_for(timeout=60_000)


def test_microphone_and_camera_are_followed(page):
    assert page.locator("#doing").inner_text() == "Not recording."
    page.get_by_role("button", name="Start").click()
    for _ in range(900):  # not by wait_for_function, which the policy of the page refuses
        if (page.locator("#settled path").first.get_attribute("d") or "").count("H") > 4:
            break
        page.wait_for_timeout(100)
    page.locator("#latency", has_text="computed in").wait_for()
    percents = [int(text.split()[0]) for text in page.locator("#now .value").all_inner_texts() if text != "-"]
    assert not percents or 97 <= sum(percents) <= 103
    check_accessible(page)
    shoot(page, "live")
    print(page.locator("#latency").inner_text())
    page.get_by_role("button", name="Stop").click()
    page.locator("#doing", has_text="Stopped.").wait_for()
    page.wait_for_selector("article iframe")
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    rows = Path(saved.value.path()).read_text().splitlines()
    assert len(rows) > 6 and rows[1].startswith("live 2")
    shoot(page, "live_stopped")
    assert page.get_by_role("button", name="Start").is_enabled()


def test_two_browsers_are_answered_at_once(page, address, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", rng.normal(scale=0.1, size=120 * 16000), 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "short.wav", rng.normal(scale=0.1, size=2 * 16000), 16000)
    other = page.context.browser.new_page()
    other.goto(address)
    page.locator("#file").set_input_files(tmp_path / "long.wav")
    other.locator("#file").set_input_files(tmp_path / "short.wav")
    begin_s = time.monotonic()
    other.wait_for_selector("article iframe", timeout=90_000)
    page.wait_for_selector("article iframe", timeout=90_000)
    print(f"both answered after {time.monotonic() - begin_s:.1f} s")
