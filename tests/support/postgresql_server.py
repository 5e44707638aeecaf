"""A temporary PostgreSQL server for a test, from the installed programs: on a free port, with a password, removed afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "s3cret-of-the-test"


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server and yield its address; skip if PostgreSQL is not installed, or if root is the only user who could run it."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    user = _unprivileged()
    if user is None:
        pytest.skip("a PostgreSQL server does not run as root, and there is no user postgres or nobody")
    # Not below pytest's own folder, which other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="avemo-postgresql-"))
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        (folder / "password").write_text(PASSWORD)
        if as_user:
            for path in (folder, folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        data, port = folder / "data", _free_port()
        initialise = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "avemo",
            "-A",
            "scram-sha-256",
            f"--pwfile={folder / 'password'}",
            "-N",
            "-E",
            "UTF8",
        ]
        done = subprocess.run([str(one) for one in initialise], cwd=folder, capture_output=True, text=True, env=_environment(), **as_user)
        assert done.returncode == 0, done.stdout + done.stderr
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        command = [programs / "postgres", "-D", data, *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen([str(one) for one in command], cwd=folder, stdout=log, stderr=log, env=_environment(), **as_user)
        try:
            _wait_for(server, port, folder / "log")
            yield f"postgresql+psycopg://avemo:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Return the folder of initdb and postgres, which is not in PATH on Debian."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(4), reverse=True)
    return next((one for one in folders if all((one / name).is_file() for name in ("initdb", "postgres"))), None)


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid():
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_for(server: subprocess.Popen, port: int, log: Path) -> None:
    import psycopg

    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="avemo", password=PASSWORD, dbname="postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
