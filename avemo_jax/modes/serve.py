"""The mode `serve`: a page on this machine that predicts recordings, and what camera and microphone see and hear."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from avemo_jax.config import Experiment
from avemo_jax.experiment.model_folder import CARD_FILE, is_model_folder
from avemo_jax.reporting.model_card import run_card
from avemo_jax.reporting.report import read_results
from avemo_jax.serving.system import System
from avemo_jax.timelines.media import Media

if TYPE_CHECKING:
    from avemo_jax.serving.app import Description

PORT, HOST, UPLOAD_MB = 8600, "127.0.0.1", 500.0
KEEP_S = 1800.0
_PACKAGES = ("starlette", "uvicorn", "websockets")
_LIMITS = Path(__file__).resolve().parents[2] / "docs" / "limits.md"


def check_packages() -> None:
    """Raise RuntimeError, with the command that installs it, where a package of the page is missing."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise RuntimeError(
            f"--mode=serve needs {', '.join(missing)}, which is not installed; install it with: python -m pip install {' '.join(missing)}"
        )


def serve(
    experiment: Experiment,
    system: System,
    media: Callable[[], AbstractContextManager[Media]],
    *,
    host: str = HOST,
    port: int = PORT,
    upload_mb: float = UPLOAD_MB,
) -> None:
    """Serve the page until the process is stopped; recordings that were handed in are deleted then.

    Args:
      experiment: config of a finished run, or of a model folder.
      system: the same, loaded.
      media: makes what reads recordings again, for formats that show them.
      host, port: where to listen; port 0 is any free one.
      upload_mb: largest recording in MB.

    Raises:
      RuntimeError: a package is missing.
      ValueError: the port is taken, or the host is not of this machine.
    """
    check_packages()
    import uvicorn

    from avemo_jax.serving.app import make_app
    from avemo_jax.serving.live import LARGEST_MESSAGE_BYTES

    app = make_app(system, describe(experiment, system), media, host=host, upload_mb=upload_mb, keep_s=KEEP_S)
    listening = _listen(host, port)
    logging.getLogger("avemo_jax.serving").setLevel(logging.INFO)
    # No proxy is expected, and nobody needs the name of the server.
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        timeout_graceful_shutdown=3,
    )
    with listening:
        print(f"page: {_address(host, listening.getsockname()[1])}  (Ctrl-C stops)", flush=True)
        if not _is_loopback(host):
            print(
                f"  everybody who reaches {host} can use it, and what they send is not encrypted; browsers give camera and microphone only "
                "to pages of their own machine and to https"
            )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # raised again by uvicorn after its end
            print("stopped; recordings that were handed in are deleted")


def describe(experiment: Experiment, system: System) -> Description:
    """Return what the page says of a system: its card, and the limits of use where the repository's pages are installed."""
    from avemo_jax.serving.app import Description

    folder = experiment.run_directory
    if is_model_folder(folder):
        path = folder / CARD_FILE
        card = path.read_text(encoding="utf-8") if path.is_file() else f"This model folder has no card. Trained on {system.trained_on}."
    else:
        card = run_card(read_results(folder), system.classes, streams=sorted(system.media))
    limits = _LIMITS.read_text(encoding="utf-8") if _LIMITS.is_file() else ""
    return Description(experiment.system.name, card, limits)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ValueError(
            f"cannot listen at --host={host} --port={port}: {error.strerror or error}; choose another port with --port, or 0 for a free one"
        ) from error


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
