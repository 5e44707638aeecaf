"""Where a search keeps what it has tried: any storage that Optuna opens by address, SQLite for one process, a server for many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from avemo_jax.redaction import redacted

_OPENING_ATTEMPTS = 8


def is_single_process(address: str) -> bool:
    """Whether an address is of SQLite, whose file serves one process at a time."""
    return address.partition(":")[0].partition("+")[0] == "sqlite"


def sqlite_address(path: Path) -> str:
    """The address of an SQLite file, whatever characters its path has."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


@contextmanager
def open_storage(address: str) -> Iterator[Any]:
    """Open an Optuna storage; an SQLite file is locked against other processes meanwhile.

    Raises:
      ValueError: the address is none, or the driver of its database is not installed.
      RuntimeError: the database cannot be reached or fails, or another process is searching in the same file. No message has a password.
    """
    import optuna
    import sqlalchemy.exc
    from sqlalchemy.engine import make_url

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        database = make_url(address).database
    except sqlalchemy.exc.ArgumentError:
        raise ValueError(
            f"search.storage is no address of a database: {redacted(address)!r}; expected e.g. "
            "postgresql+psycopg://user@host/database, or nothing for a file in the work directory"
        ) from None
    lock = None
    if is_single_process(address) and database not in (None, "", ":memory:"):
        lock = filelock.FileLock(Path(database).with_name(f".{Path(database).name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RuntimeError(
                f"another process is searching in {database}; several processes need a server, --config.search.storage=postgresql+psycopg://..."
            ) from None
    try:
        yield _open(address)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip()
        raise RuntimeError(f"the search's storage {redacted(address)} fails: {redacted(reason)}") from None
    finally:
        if lock is not None:
            lock.release()


def _open(address: str) -> Any:
    import optuna
    import sqlalchemy.exc

    for attempt in range(_OPENING_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        except (ImportError, sqlalchemy.exc.NoSuchModuleError):
            raise ValueError(
                f"search.storage={redacted(address)!r}: the driver of that database is not installed; for PostgreSQL: "
                "pip install 'psycopg[binary]' and an address that begins with postgresql+psycopg://"
            ) from None
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError, optuna.exceptions.StorageInternalError):
            # Two workers that open an empty database at the same moment both make its tables; one of them comes too late.
            if attempt + 1 == _OPENING_ATTEMPTS:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError
