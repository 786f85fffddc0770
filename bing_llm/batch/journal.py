"""The journal of a batch: a JSONL file to which each row is appended when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec

from bing_llm.batch.index import Index
from bing_llm.batch.jsonl import lines
from bing_llm.batch.kept import MAX_LINE, as_line, is_torn, kept
from bing_llm.batch.replacing import replacing
from bing_llm.errors import ConfigurationError

__all__ = ["Journal", "rows_of"]


class Journal:
    """A journal that is open for appending. The file is made where there is none.

    Args:
        path: The file. Whoever opens a journal holds its lock.
        index: Takes the keys of its rows.
        retry_failed: Take the failed rows out of it first.

    Attributes:
        earlier: Rows that were found.
        earlier_failed: Of them, those with an error.

    Raises:
        ConfigurationError: A line of the file is no row of an output, or a row is there twice; the file stays as it
            is.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path, index: Index, *, retry_failed: bool) -> None:
        self._path = path
        self._index = index
        self.earlier = 0
        self.earlier_failed = 0
        if path.exists():
            self._recover()
            if retry_failed and self.earlier_failed:
                self._drop_failed()
        # Unbuffered: what append has written survives a kill. "a": nothing is ever overwritten.
        self._file = path.open("ab", buffering=0)
        self._end = self._file.tell()
        self._torn = False

    def append(self, key: str, row: Mapping[str, Any]) -> bool:
        """Keep a claimed row; False, and nothing is written, where a row with its key is kept already.

        Raises:
            OSError: It could not be kept; all earlier rows are.
        """
        if self._index.holds(key):
            return False
        line = as_line(row)
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
        self._index.put(key, place)
        return True

    def sync(self) -> None:
        """Have the disk keep what was appended, too, against a loss of power.

        Raises:
            OSError: It cannot.
        """
        os.fsync(self._file.fileno())

    def sort(self) -> None:
        """Bring the rows into the order of the input, those that it has not at the end. Nothing can be appended then.

        Raises:
            OSError: The sorted file could not be written; the journal is as it was.
        """
        self.close()
        with replacing(self._path) as new, self._path.open("rb") as old:
            for place in self._index.places():
                old.seek(place)
                new.write(old.readline())

    def close(self) -> None:
        """Close the file; twice is fine."""
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
        self.earlier = self.earlier_failed = end = 0
        is_ended = True
        self._index.clear()
        with self._path.open("rb") as file:
            for number, line in lines(file, MAX_LINE):
                found = None if line is None else kept(line)
                if line is None or found is None:
                    if line is not None and not line.endswith(b"\n") and is_torn(line):
                        break
                    raise self._refused(number, "is no row of an output")
                if not self._index.add(found.key, end):
                    raise self._refused(number, "has the id of an earlier line")
                self.earlier += 1
                self.earlier_failed += found.failed
                is_ended = line.endswith(b"\n")
                end += len(line)
        return end, is_ended

    def _refused(self, number: int, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"Line {number} of {str(self._path)!r} {why}; the file was not touched.",
            hint="Choose another output, or take that line out.",
        )

    def _drop_failed(self) -> None:
        with replacing(self._path) as new, self._path.open("rb") as old:
            for _, line in lines(old, MAX_LINE):
                found = None if line is None else kept(line)
                if line is not None and found is not None and not found.failed:
                    new.write(line)
        self._scan()


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal that was opened before, in the order of the file."""
    with path.open("rb") as file:
        for _, line in lines(file, MAX_LINE):
            if line is not None:
                yield msgspec.json.decode(line)


def _write(file: FileIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:  # a nearly full disk takes a part, and fails on the rest
        rest = rest[file.write(rest) :]
