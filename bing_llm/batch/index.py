"""Which rows are known, on disk: a batch may have more of them than memory."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from typing import Literal, TypeAlias

__all__ = ["Claim", "Index"]

Claim: TypeAlias = Literal["new", "done", "again"]


class Index:
    """Keys of rows, each with its place in the input and in the output, in a temporary database of its own.

    Every method raises OSError where that database cannot be written. `close` it.
    """

    def __init__(self) -> None:
        # "": a file that SQLite makes and removes. No journal, no commits: it ends with the process.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run("PRAGMA cache_size = -16384")  # KiB, of some 300,000 rows; beyond them it is the disk's
        self._run("CREATE TABLE rows (key TEXT PRIMARY KEY, number INTEGER, place INTEGER) WITHOUT ROWID")
        self._run("BEGIN")

    def add(self, key: str, place: int) -> bool:
        """A row of an earlier run, at this byte of the output; False where its key is known already."""
        return self._run("INSERT OR IGNORE INTO rows VALUES (?, NULL, ?)", key, place).rowcount == 1

    def claim(self, key: str, number: int) -> Claim:
        """The row with this number in the input has this key: is that new, of an earlier run, or seen in this one?"""
        if self._run("INSERT OR IGNORE INTO rows VALUES (?, ?, NULL)", key, number).rowcount == 1:
            return "new"
        if self._run("UPDATE rows SET number = ? WHERE key = ? AND number IS NULL", number, key).rowcount == 1:
            return "done"
        return "again"

    def holds(self, key: str) -> bool:
        """Whether the output has the row with this key."""
        found = self._run("SELECT 1 FROM rows WHERE key = ? AND place IS NOT NULL", key)
        return found.fetchone() is not None

    def put(self, key: str, place: int) -> None:
        """A claimed row is at this byte of the output."""
        self._run("UPDATE rows SET place = ? WHERE key = ?", place, key)

    def places(self) -> Iterator[int]:
        """Where the rows of the output are, in the order of the input; those that the input has not, at the end."""
        found = self._run("SELECT place FROM rows WHERE place IS NOT NULL ORDER BY number IS NULL, number, place")
        try:
            for (place,) in found:
                yield place
        except sqlite3.OperationalError as exc:
            raise _no_room(exc) from exc

    def clear(self) -> None:
        """Forget all rows."""
        self._run("DELETE FROM rows")

    def close(self) -> None:
        """Remove the database; twice is fine."""
        self._database.close()

    def _run(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as exc:
            raise _no_room(exc) from exc


def _no_room(exc: sqlite3.OperationalError) -> OSError:
    return OSError(errno.ENOSPC, f"The temporary database of the batch failed: {exc}")
