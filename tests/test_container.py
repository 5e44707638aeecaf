"""The Dockerfile copies what a run needs, and where a builder is at hand its image works for a user without a name or a home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text()


def builder() -> list[str]:
    """Return the command of a builder that works here; skip where there is none."""
    reasons = []
    for name in ("docker", "podman", "buildah"):
        if shutil.which(name) is None:
            reasons.append(f"{name}: not installed")
        elif (done := subprocess.run([name, "info"], capture_output=True, text=True)).returncode:
            reasons.append(f"{name}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        else:
            return [name]
    pytest.skip("no builder of containers works here: " + "; ".join(reasons))


def test_it_copies_every_package_of_the_product_and_nothing_that_is_not_there():
    copied = {name.rstrip("/") for line in re.findall(r"^COPY (.+) \S+$", TEXT, re.MULTILINE) for name in line.split()}
    packages = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests", "benchmarks"}
    assert packages | {"run.py", "requirements.lock"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == copied


def test_it_installs_the_lock_with_its_hashes_and_accelerators_of_the_same_version():
    assert "pip install --require-hashes -r requirements.lock" in TEXT
    assert re.search(r'pip install "jax\[\$\{JAX\}\]==\$\(python -c', TEXT)
    assert "\nUSER " not in TEXT and "ENV HOME" not in TEXT  # any user


@pytest.mark.long
def test_its_image_prepares_the_demo_as_a_user_without_a_home(tmp_path):
    command = builder()
    build = "bud" if command == ["buildah"] else "build"
    base = [f"--build-arg=BASE={os.environ['AVEMO_TEST_BASE']}"] if "AVEMO_TEST_BASE" in os.environ else []
    built = subprocess.run([*command, build, *base, "-t", "avemo-test", str(ROOT)], capture_output=True, text=True)
    if built.returncode and ("pinging container registry" in built.stderr or "no such host" in built.stderr):
        pytest.skip("the base image cannot be fetched here; name another one with AVEMO_TEST_BASE")
    assert built.returncode == 0, built.stderr
    tmp_path.chmod(0o777)
    shown = ["--config=/opt/avemo/configs/demo.py:audio", "--mode=prepare", "--config.corpus.num_takes=1", "--config.corpus.num_actors=4"]
    if command == ["buildah"]:
        made = subprocess.run(["buildah", "from", "avemo-test"], check=True, capture_output=True, text=True).stdout.strip()
        start = ["buildah", "run", "--user=12345:12345", f"--volume={tmp_path}:/data", made, "--", "python", "/opt/avemo/run.py"]
    else:
        start = [*command, "run", "--rm", "--user=12345:12345", f"--volume={tmp_path}:/data", "avemo-test"]
    done = subprocess.run([*start, *shown], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "prepared").glob("synthetic-mfcc-*/manifest.json"))
