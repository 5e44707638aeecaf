"""Benchmark of a long recording that is handed to the page of --mode=serve: time, memory, and whether all of it is predicted.

    python -m benchmarks.served                          a film of 120 minutes, the shipped model
    python -m benchmarks.served --minutes=20 --run=FOLDER

The film is the one of `benchmarks.long_media` (noise and tones, a drawn picture). Starts the server, hands the film in as a browser does,
and prints while it is predicted, and after its page and tables were made, the resident memory of the server and its largest child in MiB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.live import resident_mib
from benchmarks.long_media import write_recording

_ROOT = Path(__file__).resolve().parents[1]
_FORMATS = ("html", "json", "csv", "eaf", "textgrid", "vtt", "png")
_SAID_EVERY_S = 15.0


def memory(process_id: int) -> str:
    """Return the resident memory of a process and of its largest child."""
    threads = Path(f"/proc/{process_id}/task").glob("*/children")
    children = [one for path in threads for one in path.read_text().split()]
    largest = max((resident_mib(int(one)) for one in children), default=0.0)
    return f"{resident_mib(process_id):.0f} + {largest:.0f} MiB"


def seconds_of(clock: str) -> float:
    """Return "h:mm:ss.s" or "m:ss.s" in s."""
    return sum(float(part) * 60**place for place, part in enumerate(reversed(clock.split(":"))))


def measure(address: str, process_id: int, film: Path) -> Iterator[str]:
    """Yield lines of measurements."""
    connection = http.client.HTTPConnection(address, timeout=3600)

    def ask(method: str, path: str, body=None) -> bytes:
        connection.request(method, path, body, {"X-File-Name": film.name} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"error: {path}: {content.decode()}")
        return content

    yield f"before: {memory(process_id)}"
    begin_s = time.monotonic()
    with film.open("rb") as stream:
        number = json.loads(ask("POST", "/recordings", stream))["number"]
    yield f"handed in, {film.stat().st_size / 1e6:.0f} MB in {time.monotonic() - begin_s:.1f} s: {memory(process_id)}"
    said_s = time.monotonic()
    while (found := json.loads(ask("GET", f"/recordings/{number}")))["state"] in ("waiting", "working"):
        if time.monotonic() - said_s > _SAID_EVERY_S:
            said_s = time.monotonic()
            yield f"  {found['reached']:>10}: {memory(process_id)}"
        time.sleep(0.5)
    if found["state"] != "done":
        raise SystemExit(f"error: {found['reason']}")
    yield f"predicted in {time.monotonic() - begin_s:.0f} s: {memory(process_id)}"
    for name in _FORMATS:
        begin_s = time.monotonic()
        content = ask("GET", f"/recordings/{number}/formats/{name}")
        yield f"  {name}: {len(content) / 1e6:.1f} MB in {time.monotonic() - begin_s:.1f} s: {memory(process_id)}"
        if name == "json":
            (one,) = json.loads(content)["files"]
            ends_s = [segment["end_s"] for segment in one["segments"]]
            starts_s = [segment["start_s"] for segment in one["segments"]]
            gap_s = max(start_s - end_s for start_s, end_s in zip(starts_s[1:], ends_s[:-1], strict=True))
            yield f"  {len(ends_s)} segments from {starts_s[0]:g} to {ends_s[-1]:g} s, largest gap {gap_s:g} s"
    ask("POST", f"/recordings/{number}/remove")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--run", help="run directory or model folder; default: the shipped model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        film = write_recording(Path(temporary) / "long.mp4", arguments.minutes, film=True)
        run = [f"--run={Path(arguments.run).resolve()}"] if arguments.run else []
        command = [sys.executable, str(_ROOT / "run.py"), "--mode=serve", "--port=0", "--upload_mb=4000", *run]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        assert server.stdout is not None
        try:
            address = next(match[1] for line in server.stdout if (match := re.match(r"page: http://(\S+)/", line)))
            for line in measure(address, server.pid, film):
                print(line, flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
