"""requirements.lock has a version of every direct dependency within the range in requirements.txt."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> list[Requirement]:
    """Return the requirements of a file; the hashes of a lock are on lines of their own."""
    text = (line for line in (ROOT / name).read_text().splitlines() if not line.startswith(" "))
    lines = (line.split("#")[0].strip(" \\") for line in text)
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def pinned(python_version: str) -> dict[str, str]:
    environment = dict(default_environment()) | {"python_version": python_version, "python_full_version": f"{python_version}.9"}
    applying = [pin for pin in read("requirements.lock") if pin.marker is None or pin.marker.evaluate(environment)]
    names = [pin.name for pin in applying]
    assert len(set(names)) == len(names), f"two pins of one package apply on Python {python_version}"
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in applying}


@pytest.mark.parametrize("python_version", ["3.11", "3.12", "3.13"])
def test_the_lock_is_inside_the_ranges(python_version):
    pins = pinned(python_version)
    wrong = [
        f"{wanted} but the lock has {pins.get(wanted.name)}; run `make lock`"
        for wanted in (*read("requirements.txt"), *read("requirements-dev.txt"))
        if not wanted.specifier.contains(pins.get(wanted.name, "0"), prereleases=True)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_pin_has_hashes_and_is_installed_with_them():
    """pip and uv accept a file only with one of these; torch, which some tests are compared with, is not part of the lock."""
    pins = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    assert not [pin.splitlines()[0] for pin in pins if not re.search(r"--hash=sha256:[0-9a-f]{64}", pin)]
    assert len(pins) == len(read("requirements.lock")) and not [pin for pin in pins if pin.startswith(("torch==", "nvidia"))]
    installs = [line for line in (ROOT / "Makefile").read_text().splitlines() if re.search(r"-r \S*\.lock", line)]
    assert installs and all("--require-hashes" in line for line in installs)
    assert "--generate-hashes" in (ROOT / "Makefile").read_text()


def test_every_cap_has_its_reason():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert not [line for line in lines if "," in line.split("#")[0] and "#" not in line]


def test_opencv_is_the_headless_4():
    """A second OpenCV wheel overwrites files of the first, and only 4.x has the Haar cascades."""
    assert importlib.metadata.version("opencv-python-headless").startswith("4.")
    installed = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    assert not installed & {"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"}
