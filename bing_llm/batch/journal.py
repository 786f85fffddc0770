"""The journal of a batch: a JSONL file to which each row is appended when it is done, and an index of its rows."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import FileIO
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from bing_llm._safe_text import escape
from bing_llm.batch.files import MAX_LINE, atomic_write
from bing_llm.batch.jsonl import read_blocks, read_lines
from bing_llm.batch.rows import Fields, make_key, row_key
from bing_llm.errors import ConfigurationError

if sys.platform != "win32":  # which has no such locks
    import fcntl

Claim: TypeAlias = Literal["new", "done", "again"]

_BLOCK: Final = (
    400  # rows that are added to the index at once; each has two variables, of which an old SQLite takes 999
)
_BEGINNINGS: Final = (b'{"id":', b'{"line":')


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """The key of a row in the journal, and whether the row has failed."""

    key: str
    failed: bool


class _Error(msgspec.Struct, frozen=True, gc=False):
    type: str
    message: str
    hint: str


class _Line(msgspec.Struct, frozen=True, gc=False):
    attempts: int
    seconds: float
    id: str | int | None = None
    line: int | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Line)


def encode_row(row: Fields) -> bytes:
    """Encode an output row as one line of JSON. Its id or line comes first, so that a torn line can be recognized.

    It has no control characters, which JSON allows in part: people look at such files in a terminal.
    """
    first = "id" if "id" in row else "line"
    line = msgspec.json.encode({first: row[first], **row})
    if not line.isascii() or b"\x7f" in line:
        line = escape(line.decode()).encode()
    return line + b"\n"


def decode_row(line: bytes) -> StoredRow | None:
    """Decode a line of the journal; None if it is not a row of an output."""
    try:
        return _stored(_decoder.decode(line))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _decode_rows(lines: Sequence[bytes]) -> Sequence[StoredRow | None]:
    """Decode lines of the journal, as `decode_row` does."""
    try:
        return [*map(_stored, map(_decoder.decode, lines))]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [*map(decode_row, lines)]


def _stored(found: _Line) -> StoredRow | None:
    own, failed = found.id, found.error is not None
    if not own and own != 0 and found.line is None:  # neither is there, or the id is empty
        return None
    if (found.text is None or found.finish_reason is None) != failed:
        return None
    return StoredRow(make_key(own, found.line), failed)


def is_torn(tail: bytes) -> bool:
    """Whether a last line without a line break, which is not a row, is the beginning of one: a run was killed there.

    A whole JSON value was written by somebody else.
    """
    if not any(tail.startswith(begin) or begin.startswith(tail) for begin in _BEGINNINGS):
        return False
    try:
        msgspec.json.decode(tail)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    return False


def _is_damaged(line: bytes, *, is_first: bool) -> bool:
    """Whether a line that is the last, and not a row, is what a kill or a loss of power left of one.

    After a loss of power, the last blocks of a file may be NULs, which no JSON has. A file that begins with them may be
    anything.
    """
    return (b"\0" in line and not is_first) or (not line.endswith(b"\n") and is_torn(line))


class Index:
    """The keys of rows, each with its place in the input and in the output, on disk: they may not fit into memory.

    They are in a temporary database. Every method raises OSError if it cannot be written. `close` it.
    """

    def __init__(self) -> None:
        # "": a file that SQLite makes and removes. No journal, no commits: it ends with the process.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run("PRAGMA cache_size = -4096")  # KiB, for some 75,000 rows, and as much to sort; the rest is on disk
        self._run("CREATE TABLE rows (key TEXT PRIMARY KEY, number INTEGER, place INTEGER) WITHOUT ROWID")
        # What a claim has added counts twice in `total_changes`, once by the trigger; what it has changed counts once.
        self._run("CREATE TABLE added (count INTEGER)")
        self._run("INSERT INTO added VALUES (0)")
        self._run(
            "CREATE TRIGGER count_added AFTER INSERT ON rows WHEN new.number IS NOT NULL"
            " BEGIN UPDATE added SET count = count + 1; END"
        )
        self._run("BEGIN")

    def add(self, rows: Sequence[tuple[str, int]]) -> int | None:
        """Add rows of an earlier run, each its key and its byte of the output.

        Returns:
            The position of the first whose key is there already; None if all are new.
        """
        if not rows:
            return None
        marks = ",".join(["(?, ?)"] * len(rows))  # in one statement, which takes half the time of one for each row
        values: Iterator[str | int] = chain.from_iterable(rows)
        if self._run(f"INSERT OR IGNORE INTO rows (key, place) VALUES {marks}", *values).rowcount == len(rows):  # noqa: S608 - no value
            return None
        kept = self._column_of("place", [key for key, _ in rows])
        return next(position for position, (key, place) in enumerate(rows) if kept[key] != place)

    def claim(self, rows: Sequence[tuple[str, int]]) -> list[Claim]:
        """Claim rows of the input, each its key and its number, which no other has.

        Each is new, was done by an earlier run, or comes again in this one. Many rows at once cost a third of what they
        cost one by one.
        """
        claims: list[Claim] = []
        for start in range(0, len(rows), _BLOCK):
            claims += self._claim(rows[start : start + _BLOCK])
        return claims

    def _claim(self, rows: Sequence[tuple[str, int]]) -> list[Claim]:
        marks = ",".join(["(?, ?)"] * len(rows))
        values: Iterator[str | int] = chain.from_iterable(rows)
        before = self._database.total_changes
        claimed = self._run(
            f"INSERT INTO rows (key, number) VALUES {marks} ON CONFLICT (key)"  # noqa: S608 - no value
            " DO UPDATE SET number = excluded.number WHERE number IS NULL",
            *values,
        ).rowcount
        if claimed == len(rows) == self._database.total_changes - before:
            return ["done"] * claimed
        keys = [key for key, _ in rows]
        numbers, places = self._column_of("number", keys), self._column_of("place", keys)
        return ["again" if numbers[key] != number else "new" if places[key] is None else "done" for key, number in rows]

    def put(self, key: str, place: int) -> None:
        """Record that a claimed row is at this byte of the output."""
        self._run("UPDATE rows SET place = ? WHERE key = ?", place, key)

    def places(self) -> Iterator[int]:
        """The places of the rows in the output, in the order of the input; rows that it does not have come last."""
        found = self._run("SELECT place FROM rows WHERE place IS NOT NULL ORDER BY number IS NULL, number, place")
        try:
            for (place,) in found:
                yield place
        except sqlite3.OperationalError as exc:
            raise _database_error(exc) from exc

    def is_sorted(self) -> bool:
        """Whether the output has its rows in the order of the input already."""
        return all(before < after for before, after in pairwise(self.places()))

    def clear(self) -> None:
        """Forget all rows."""
        self._run("DELETE FROM rows")

    def close(self) -> None:
        """Remove the database. It may be called twice."""
        self._database.close()

    def _column_of(self, column: Literal["number", "place"], keys: Sequence[str]) -> dict[str, int | None]:
        """The values of this column by the keys that are there."""
        marks = ",".join("?" * len(keys))
        return dict(self._run(f"SELECT key, {column} FROM rows WHERE key IN ({marks})", *keys))  # noqa: S608 - no value

    def _run(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as exc:
            raise _database_error(exc) from exc


class Journal:
    """A journal that is open for appending. The file is made if there is none.

    Args:
        path: The file. The caller holds its lock.
        index: Takes the keys of its rows.
        retry_failed: Remove the failed rows first.

    Attributes:
        earlier: How many rows were found.
        earlier_failed: How many of them have an error.

    Raises:
        ConfigurationError: A line of the file is not a row of an output, or a row is there twice, or another run writes
            the file under another name; the file stays as it is.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path, index: Index, *, retry_failed: bool) -> None:
        self._path = path
        self._index = index
        self.earlier = 0
        self.earlier_failed = 0
        self._file = _open_locked(path)
        try:
            self._recover()
            if retry_failed and self.earlier_failed:
                self._drop_failed()
                self._file.close()
                self._file = _open_locked(path)  # which is another file now
        except BaseException:
            self._file.close()
            raise
        self._end = self._file.seek(0, os.SEEK_END)
        self._torn = False

    def append(self, row: Fields) -> None:
        """Append a claimed row, once.

        Raises:
            OSError: It could not be written; all earlier rows are kept.
        """
        line = encode_row(row)
        if self._torn:
            self._cut()
        self._torn = True
        try:
            _write(self._file, line)
        except BaseException:
            with suppress(OSError):  # then the next append tries again, or the next run
                self._cut()
            raise
        self._torn = False
        place, self._end = self._end, self._end + len(line)
        self._index.put(row_key(row), place)

    def sync(self) -> None:
        """Flush what was appended to the disk, so that it survives a loss of power.

        Raises:
            OSError: It cannot be flushed.
        """
        os.fsync(self._file.fileno())

    def sort(self) -> None:
        """Sort the rows in the order of the input; rows that it does not have come last. Nothing can be appended then.

        Raises:
            OSError: The sorted file could not be written; the journal is as it was.
        """
        self.close()
        if self._index.is_sorted():
            return
        with atomic_write(self._path) as new, self._path.open("rb") as old:
            for place in self._index.places():
                old.seek(place)
                new.write(old.readline())

    def close(self) -> None:
        """Close the file. It may be called twice."""
        self._file.close()

    def _cut(self) -> None:
        self._file.truncate(self._end)
        self._torn = False

    def _recover(self) -> None:
        end, is_ended = self._scan()
        with self._path.open("r+b") as file:
            file.truncate(end)
            if not is_ended:
                file.seek(end)
                file.write(b"\n")

    def _scan(self) -> tuple[int, bool]:
        """Count and index the rows: the byte where they end, and whether the last one has its line break."""
        self.earlier = self.earlier_failed = self._end = 0
        is_ended = True
        block: list[tuple[str, int]] = []
        self._index.clear()
        with self._path.open("rb") as file:
            blocks = read_blocks(file, MAX_LINE)
            for first, text, has_feed in blocks:
                lines = [] if text is None else text.split(b"\n")
                if self._take(lines, block) == len(lines) > 0:
                    is_ended = has_feed
                    continue
                self._add(block)
                number = self.earlier + 1
                is_last = first + len(lines) - 1 == number and next(blocks, None) is None
                if is_last and _is_damaged(lines[-1] + b"\n" * has_feed, is_first=number == 1):
                    break
                raise self._refused(number, "is not a row of an output")
        self._add(block)
        return self._end - (not is_ended), is_ended

    def _take(self, lines: Sequence[bytes], block: list[tuple[str, int]]) -> int:
        """Count and index the rows of these lines, up to the first that is not a row; how many they are."""
        decoded = _decode_rows(lines)
        rows = [row for row in decoded[: decoded.index(None) if None in decoded else None] if row is not None]
        places = [*accumulate([len(line) + 1 for line in lines[: len(rows)]], initial=self._end)]
        self._end = places[-1]
        self.earlier_failed += sum([row.failed for row in rows])
        block += zip([row.key for row in rows], places[:-1], strict=True)
        while len(block) >= _BLOCK:
            some = block[:_BLOCK]
            del block[:_BLOCK]
            self._add(some)
        return len(rows)

    def _add(self, block: list[tuple[str, int]]) -> None:
        """Add the next rows of the file, one a line, to the index; empties the block."""
        twice = self._index.add(block)
        if twice is not None:
            raise self._refused(self.earlier + twice + 1, "has the id of an earlier line")
        self.earlier += len(block)
        block.clear()

    def _refused(self, number: int, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"Line {number} of {str(self._path)!r} {why}; the file was not touched.",
            hint="Choose another output, or take that line out.",
        )

    def _drop_failed(self) -> None:
        with atomic_write(self._path) as new, self._path.open("rb") as old:
            for _, line in read_lines(old, MAX_LINE):
                found = None if line is None else decode_row(line)
                if line is not None and found is not None and not found.failed:
                    new.write(line)
        self._scan()


def read_journal(path: Path) -> Iterator[Fields]:
    """The rows of a journal that `Journal` has checked, in the order of the file."""
    with path.open("rb") as file:
        for _, line in read_lines(file, MAX_LINE):
            if line is not None:
                yield msgspec.json.decode(line)


def _open_locked(path: Path) -> FileIO:
    """The file, open for appending, and locked as long as it is open: it may have other names, by hard links.

    Windows has no such locks, and some network file systems have none.
    """
    # Unbuffered: what append has written survives a kill. "a": nothing is ever overwritten.
    file = path.open("ab", buffering=0)
    if sys.platform == "win32":
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigurationError(
            f"Another run is writing {str(path)!r}, by another name of the file.",
            hint="Wait for its end, or choose another output.",
        ) from None
    except OSError:  # a file system without locks
        pass
    return file


def _write(file: FileIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:  # a nearly full disk takes a part, and fails on the rest
        rest = rest[file.write(rest) :]


def _database_error(exc: sqlite3.OperationalError) -> OSError:
    return OSError(errno.ENOSPC, f"The temporary database of the batch failed: {exc}")
