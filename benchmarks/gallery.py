"""Makes the figures of docs/gallery.md: runs of the demo, and of each of their pages a picture in docs/images/gallery.

    python -m benchmarks.gallery               (a quarter of an hour on two cores; a second call takes what is finished)
    python -m benchmarks.gallery --work=FOLDER

Trains two systems of the demo, and calls report, compare, explore, explain, adapt, board and predict for them. Charts are saved as SVG;
pictures of whole pages need Chromium and the package playwright, and without them stay as they are.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from avemo_jax import api
from avemo_jax.config import Experiment, parse
from benchmarks.report_figure import standalone
from configs import demo
from data_prep.decoding.sound import stream_audio

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "images" / "gallery"
_WIDTH_PX = 900
_NUM_COLOURS = 64
_RATE_HZ = 16000
# Name of a picture -> page below the work folder, part of the chart's title.
CHARTS = {
    "report_reliability": ("small_audio/report.html", "reliability diagram"),
    "report_attention": ("small_audio/report.html", "attention of"),
    "compare": ("compared/compare.html", "95 % interval"),
    "explore": ("explored/explore.html", "clips by level"),
    "explain": ("small_audio/explain.html", "over hidden cells"),
    "adaptation": ("functionals_linear/report.html", "by labelled clips"),
}
# Name of a picture -> page, width and height in px.
PAGES = {"report": ("small_audio/report.html", _WIDTH_PX, 900), "board": ("board/board.html", 1500, 620)}


def experiment_of(system: str, work: Path) -> Experiment:
    """Return the experiment of a system of the demo below a folder."""
    config = demo.get_config("audio" if system == "small_audio" else system)
    config.corpus.root, config.prepared_dir, config.workdir = str(work / "corpus"), str(work / "prepared"), str(work / system)
    return parse(config.to_dict())


def make_pages(work: Path) -> None:
    """Train two systems and write all pages that are shown."""
    network, classical = (experiment_of(system, work) for system in ("small_audio", "functionals_linear"))
    for one in (network, classical):
        api.train(one)
    runs = [str(work / name) for name in ("small_audio", "functionals_linear")]
    for folder in ("compared", "board", "predicted"):
        shutil.rmtree(work / folder, ignore_errors=True)
    api.compare(runs, output=str(work / "compared"))
    api.explore(network, output=str(work / "explored"))
    api.explain(network, clips_per_class=2)
    api.adapt(classical)
    api.report(classical)
    api.board(runs, output=str(work / "board"))
    films = sorted((work / "corpus").rglob("*.mp4"))[20:23]
    sound = np.concatenate([np.concatenate(list(stream_audio(film, rate_hz=_RATE_HZ))) for film in films])
    soundfile.write(work / "three_emotions.wav", sound, _RATE_HZ)
    api.predict(network, [str(work / "three_emotions.wav")], output=str(work / "predicted"), formats=("svg", "html"))


def save_charts(work: Path) -> None:
    """Save the charts as SVG files."""
    for name, (page, title) in CHARTS.items():
        path = work / page
        (PICTURES / f"{name}.svg").write_text(standalone(path.read_text(), title))
    shutil.copy(next((work / "predicted").glob("*.svg")), PICTURES / "timeline.svg")


def save_pages(work: Path) -> None:
    """Save pictures of whole pages as PNG of few colours."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("pictures of pages stay as they are: playwright is not installed")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH_PX, "height": _WIDTH_PX})
        timeline = next((work / "predicted").glob("*.html")).relative_to(work).as_posix()
        for name, (path, width, height) in {**PAGES, "timeline_page": (timeline, _WIDTH_PX, 900)}.items():
            page.goto((work / path).resolve().as_uri())
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            picture: Any = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(_NUM_COLOURS, dither=Image.Dither.NONE)
            picture.save(PICTURES / f"{name}.png", optimize=True)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "gallery", help="folder for corpus and runs")
    parser.add_argument("--made", action="store_true", help="only save the pictures of pages that an earlier call has made")
    given = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    if not given.made:
        make_pages(given.work)
    save_charts(given.work)
    save_pages(given.work)
    sizes = {path.name: path.stat().st_size for path in sorted(PICTURES.iterdir())}
    print(
        "\n".join(f"{size / 1000:7.1f} kB  {name}" for name, size in sizes.items()), f"{sum(sizes.values()) / 1000:.0f} kB in all", sep="\n"
    )


if __name__ == "__main__":
    main()
