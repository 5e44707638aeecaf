"""Open the storage of a search: SQLite for one process, a database server for many, or any other address that Optuna accepts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from avemo_jax.locks import LockHeld, locked
from avemo_jax.redaction import redacted, redacted_address

_OPENING_ATTEMPTS = 8


def is_single_process(address: str) -> bool:
    """Return whether an address is of SQLite, where one process at a time may use the file."""
    return address.partition(":")[0].partition("+")[0] == "sqlite"


def sqlite_address(path: Path) -> str:
    """Return the address of an SQLite file; the path may contain any characters."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


@contextmanager
def open_storage(address: str) -> Iterator[Any]:
    """Open an Optuna storage; an SQLite file stays locked against other processes while it is open.

    Raises:
      ValueError: the address is invalid, or the driver of its database is not installed.
      RuntimeError: the database cannot be reached or fails, or another process uses the same SQLite file. Messages hide passwords.
    """
    import optuna
    import sqlalchemy.exc
    from sqlalchemy.engine import make_url

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        database = make_url(address).database
    except sqlalchemy.exc.ArgumentError:
        raise ValueError(
            f"search.storage={redacted_address(address)!r} is no address of a database; expected e.g. "
            "postgresql+psycopg://user@host/database, or nothing for a file in the work directory"
        ) from None
    with ExitStack() as stack:
        if is_single_process(address) and database not in (None, "", ":memory:"):
            path = Path(database)
            try:
                stack.enter_context(locked(path.with_name(f".{path.name}.lock"), f"using {database}", timeout_s=0))
            except LockHeld as error:
                raise RuntimeError(
                    f"{error}; for several processes start a server and set --config.search.storage=postgresql+psycopg://..."
                ) from None
        try:
            yield _open(address)
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ or error
            reason = str(getattr(cause, "orig", None) or cause).strip()
            raise RuntimeError(f"search.storage={redacted_address(address)} failed: {redacted(reason)}") from None


def _open(address: str) -> Any:
    import optuna
    import sqlalchemy.exc

    for attempt in range(_OPENING_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
        except (ImportError, sqlalchemy.exc.NoSuchModuleError):
            raise ValueError(
                f"search.storage={redacted_address(address)!r}: the driver of that database is not installed; for PostgreSQL: "
                "pip install 'psycopg[binary]' and an address that begins with postgresql+psycopg://"
            ) from None
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError, optuna.exceptions.StorageInternalError):
            # If two processes open an empty database at the same moment, both create its tables, and one of them fails.
            if attempt + 1 == _OPENING_ATTEMPTS:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError
