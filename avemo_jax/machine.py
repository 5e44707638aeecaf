"""Try the machine before any work: whether JAX starts with the devices and flags that the environment asks for.

Only the standard library is imported: a wrong variable can end a process in the import of JAX, or abort it, so JAX starts in another one.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import shlex
import subprocess
import sys

TENSORFLOW = "tensorflow>=2.19,<2.22"  # the extra of pyproject.toml: for devices.feed=stream and TensorFlow checkpoints alone
_TIME_LIMIT_S = 300.0  # of a cluster's slow disk and many accelerators
_START = """
import json, jax
devices = [f"{one.device_kind} ({one.platform}:{one.id})" for one in jax.devices()]
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
found = {"version": jax.__version__, "backend": jax.default_backend(), "devices": devices, "is_double": jax.config.jax_enable_x64}
print("found " + json.dumps(found))
"""
# Variables with which JAX may not start, or computes other numbers.
_VARIABLES = ("JAX_PLATFORMS", "JAX_ENABLE_X64", "XLA_FLAGS")


class MachineError(RuntimeError):
    """JAX does not start here, or would compute other numbers; the message is one sentence with its fix."""


@dataclasses.dataclass(frozen=True)
class StartedJax:
    """What JAX has found.

    Attributes:
      version: of JAX.
      backend: its default backend, e.g. "cpu".
      devices: one line a device.
    """

    version: str
    backend: str
    devices: tuple[str, ...]


def pip_install(*requirements: str) -> str:
    """Return the command that installs packages into the environment of this process."""
    return shlex.join([sys.executable, "-m", "pip", "install", *requirements])


@functools.cache
def start_jax() -> StartedJax:
    """Start JAX in a process of its own with the environment of this one, compile a sum, and return what it found.

    Raises:
      MachineError: JAX is missing, does not start, or is set to double precision.
    """
    if importlib.util.find_spec("jax") is None:
        raise MachineError(f"JAX does not start: it is not installed; {pip_install('jax')}")
    # The memory of an accelerator is left to the run.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _START], env=environment, capture_output=True, text=True, errors="replace", timeout=_TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise MachineError(f"JAX does not start: no device answered within {_TIME_LIMIT_S:.0f} s{_asked_for()}") from None
    found = next((json.loads(line[6:]) for line in reversed(done.stdout.splitlines()) if line.startswith("found ")), None)
    if found is None:
        raise MachineError(_describe(done))
    if found.pop("is_double"):
        raise MachineError(
            f"JAX_ENABLE_X64={os.environ.get('JAX_ENABLE_X64')} sets double precision, and this program computes in float32; unset it"
        )
    return StartedJax(found["version"], found["backend"], tuple(found["devices"]))


def check_machine() -> None:
    """Try to start JAX where the environment names platforms or flags, or an accelerator's plugin is installed; else JAX starts always.

    Raises:
      MachineError: JAX does not start, or is set to double precision.
    """
    if _may_fail():
        start_jax()


@functools.cache
def _may_fail() -> bool:
    # Cached, because this program sets compiler flags of its own later.
    if os.environ.get("JAX_PLATFORMS", "cpu") not in ("", "cpu"):
        return True
    if any(os.environ.get(name, "").strip() for name in _VARIABLES if name != "JAX_PLATFORMS"):
        return True
    import importlib.metadata  # late: --help does not need it

    has_plugin = any(entry.dist is not None for entry in importlib.metadata.entry_points(group="jax_plugins"))
    return has_plugin or importlib.util.find_spec("jax_plugins") is not None or importlib.util.find_spec("libtpu") is not None


def _asked_for() -> str:
    """Return the variables that JAX was started with, as the end of a sentence."""
    given = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    return f" with {' '.join(given)}" if given else ""


def _describe(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    unknown = next((line.split("XLA_FLAGS:")[1].strip() for line in lines if "in XLA_FLAGS:" in line), None)
    if unknown is not None:
        return f"XLA_FLAGS={os.environ.get('XLA_FLAGS')}: this XLA does not know {unknown}; remove it from XLA_FLAGS"
    truth = next((line for line in reversed(lines) if "invalid truth value" in line), None)
    if truth is not None:
        return f"JAX does not start: {truth.split(': ', 1)[-1]}; set the variable to 0 or 1, or unset it"
    reason = lines[-1].split(" (set JAX_PLATFORMS")[0] if lines else f"exit code {done.returncode}"
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        fix = f"install {_package(platforms)} ({pip_install(_package(platforms))}) or unset JAX_PLATFORMS"
        why = "" if reason == "AssertionError" else f" ({reason})"
        return f"JAX_PLATFORMS={platforms}, and JAX finds no such device here{why}; {fix}"
    return f"JAX does not start{_asked_for()}: {reason}; install it again: {pip_install('jax')}"


def _package(platforms: str) -> str:
    first = platforms.split(",")[0].lower()
    return {"cuda": "jax[cuda13]", "gpu": "jax[cuda13]", "rocm": "jax[rocm]", "tpu": "jax[tpu]"}.get(first, "jax")
