"""Damage tables at random and read them: each must be read as it was, be read with values that the damage explains, or be refused.

    python -m benchmarks.mutated_tables --tables 5000

A table of predictions is written in one of many forms (separator, line end, encoding, JSON lines) and a few of its bytes are changed, cut
out, doubled or moved. The reader runs in this process under an alarm. Counted are: refused with a sentence, read with the same cells, read
with other cells. Tables read with another number of rows or columns are counted apart, because a count reveals them. Any other error ends
the script with exit code 1.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from avemo_jax.foreign_table import TableError, read_foreign_table

_HEADER = ["clip", "speaker", "p_neutral", "p_happy", "note"]
_SECONDS_A_TABLE = 10
_LARGEST_MEMORY_BYTES = 4 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_LARGEST_MEMORY_BYTES, _LARGEST_MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _hung)
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for number in range(args.tables):
            rng = np.random.default_rng((args.seed, number))
            rows = _rows(rng)
            whole = _written(rows, rng)
            path.write_bytes(_damaged(whole, rng))
            signal.alarm(_SECONDS_A_TABLE)
            try:
                table = read_foreign_table(path)
            except TableError:
                counts["refused with a sentence"] += 1
                continue
            except Exception:
                traceback.print_exc()
                counts[f"table {number}: an error that is no sentence"] += 1
                continue
            finally:
                signal.alarm(0)
            if [list(row) for row in table.cells] == rows:
                counts["read with the same cells"] += 1
            elif len(table.columns) == len(_HEADER) and len(table) == len(rows):
                counts["read with other cells, of the same shape"] += 1
            else:
                counts["read with another number of rows or columns"] += 1
    for what, count in counts.most_common():
        print(f"{count:6} {what}")
    sys.exit(any("no sentence" in what for what in counts))


def _hung(*_: object) -> None:
    raise TimeoutError(f"a table took more than {_SECONDS_A_TABLE} s")


def _rows(rng: np.random.Generator) -> list[list[str]]:
    notes = ("", "für Übung", "two words", "5 %")
    return [
        [f"clip{row:03}", str(row % 4), f"{p:.4f}", f"{1 - p:.4f}", notes[rng.integers(len(notes))]]
        for row, p in enumerate(rng.uniform(size=rng.integers(2, 30)))
    ]


def _written(rows: list[list[str]], rng: np.random.Generator) -> bytes:
    encoding = ("utf-8", "utf-8-sig", "utf-16", "cp1252")[rng.integers(4)]
    newline = ("\n", "\r\n")[rng.integers(2)]
    if rng.random() < 0.2:
        return newline.join(json.dumps(dict(zip(_HEADER, row, strict=True)), ensure_ascii=False) for row in rows).encode(encoding)
    separator = (",", ";", "\t", "|")[rng.integers(4)]
    return (newline.join(separator.join(row) for row in [_HEADER, *rows]) + newline).encode(encoding)


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
        kind = rng.integers(7)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2 and len(data) > length + 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at:at] = rng.bytes(length)
        elif kind == 5:
            data[at:at] = (b'"', b"\0", b"\r", b",,,", b"'", b"\n\n", b"{", b"\xff\xfe")[rng.integers(8)]
        else:
            data = data[: max(at, 2)]
    return bytes(data)


if __name__ == "__main__":
    main()
