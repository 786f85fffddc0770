"""CSV by RFC 4180, in UTF-8: a header, then one record a row, which may span lines in quotes."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import msgspec

from bing_llm.batch.files import MAX_LINE, MAX_ROW
from bing_llm.batch.rows import Fields, Record, one_by_one
from bing_llm.errors import ConfigurationError, InvalidRequest

_HINT: Final = "Quote each cell that holds a comma, a quote or a line break, and double the quotes in it."
_TYPED: Final = ("line", "citations", "attempts", "seconds", "error")
"""Fields of an output whose cells are JSON. All others are texts."""

_one_at_a_time = threading.Lock()


class CsvSource:
    """The rows of a CSV file whose header names a column `prompt` or `messages`."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        with open_csv(path) as file:
            header = read_header(read_rows(file, MAX_ROW), self.name)
        if not {"prompt", "messages"} & set(header):
            raise ConfigurationError(
                f"The first line of {self.name!r} names neither prompt nor messages.",
                hint="Begin it with a line that names the columns, with commas between; one is prompt or messages.",
            )

    def count(self) -> int | None:
        """How many rows the file has, its header not counted."""
        with open_csv(self._path) as file:
            return sum(1 for _ in read_rows(file, MAX_ROW)) - 1

    def records(self) -> Iterator[Record]:
        """The rows, in order; each has the number of the line where it begins."""
        with open_csv(self._path) as file:
            found = read_rows(file, MAX_ROW)
            header = read_header(found, self.name)
            for number, cells in found:
                yield Record(number, _fields(header, cells, number), sum(map(len, cells)))

    def blocks(self) -> Generator[Sequence[Record], None, None]:
        """The same, one by one."""
        return one_by_one(self.records())


def read_rows(file: TextIO, longest: int) -> Iterator[tuple[int, list[str] | str]]:
    """Each row that is not blank, with the line where it begins: its cells, or what is wrong with it.

    After a malformed row, reading goes on with the next line.
    """
    lines = _Lines(file, longest)
    reader = csv.reader(lines, strict=True)
    while True:
        number = lines.begin()
        try:
            with _field_limit(longest):
                cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            until = f" to {lines.number}" if lines.number > number else ""
            yield number, f"{number}{until}: {exc}"
        else:
            if cells:
                yield number, cells


def read_header(found: Iterator[tuple[int, list[str] | str]], name: str) -> list[str]:
    """The names of the columns.

    Raises:
        ConfigurationError: There is no header, or it names a column twice.
    """
    _, header = next(found, (0, "the file is empty"))
    problem = header if isinstance(header, str) else _not_text(header)
    if not isinstance(header, str) and not problem:
        if len(set(header)) == len(header):
            return header
        problem = "a column is named twice"
    raise ConfigurationError(
        f"{name!r} has no header: {problem}.", hint="Begin the file with a line that names each column once, in UTF-8."
    )


def column_names(path: Path) -> list[str]:
    """The names of the columns of an output.

    Raises:
        ConfigurationError: There is no header, or it names a column twice.
    """
    with open_csv(path) as file:
        return read_header(read_rows(file, MAX_LINE), str(path))


def write_table(file: BinaryIO, columns: Mapping[str, set[str]], rows: Iterable[Fields]) -> None:
    """Write the rows of an output. A value that is not text becomes JSON, null becomes nothing.

    Args:
        file: The file.
        columns: The names of all columns, in their order.
        rows: The rows. NUL, which CSV cannot hold, becomes U+FFFD.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text)
        writer.writerow([_without_nul(name) for name in columns])
        for row in rows:
            writer.writerow([_without_nul(_cell(row.get(name))) for name in columns])
    finally:
        text.detach()


def read_table(path: Path) -> Iterator[tuple[str, Fields | None]]:
    """The place and the fields of each row of an output that `write_table` wrote; None for any other row.

    Fields of the output have their types, all others are texts; empty cells are left out.
    """
    with open_csv(path) as file:
        found = read_rows(file, MAX_LINE)
        header = read_header(found, str(path))
        for number, cells in found:
            is_row = not isinstance(cells, str) and len(cells) == len(header)
            yield f"Line {number}", _typed(dict(zip(header, cells, strict=True))) if is_row else None


def open_csv(path: Path) -> TextIO:
    """The file as text, with unchanged line breaks."""
    # A byte that is not UTF-8 must cost only its row, so it is read as half of a surrogate pair.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _without_nul(cell: str) -> str:
    return cell.replace("\0", "\ufffd")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _typed(cells: dict[str, str]) -> Fields | None:
    try:
        return {
            name: msgspec.json.decode(cell) if name in _TYPED else cell for name, cell in cells.items() if cell != ""
        }
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _fields(header: list[str], cells: list[str] | str, number: int) -> dict[str, str] | InvalidRequest:
    if isinstance(cells, str):
        return InvalidRequest(f"Line {cells}.", hint=_HINT)
    if len(cells) != len(header):
        return InvalidRequest(f"Line {number} has {len(cells)} cells, the header has {len(header)}.", hint=_HINT)
    problem = _not_text(cells)
    if problem:
        return InvalidRequest(f"Line {number}: {problem}.", hint="Save the file in UTF-8.")
    return dict(zip(header, cells, strict=True))


def _not_text(cells: list[str]) -> str:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return ""


class _Lines:
    """The lines of a file for csv, which by itself would read a line or a quoted cell of any length."""

    def __init__(self, file: TextIO, longest: int) -> None:
        self.number = 0
        self._file = file
        self._longest = longest
        self._room = longest

    def begin(self) -> int:
        """Begin a row: the number of its line."""
        self._room = self._longest
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._longest + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._room -= len(line)
        if self._room < 0:
            while line and not line.endswith(("\n", "\r")):
                line = self._file.readline(self._longest + 1)
            raise csv.Error(f"the row is over {self._longest // 2**20} Mi characters")
        if "\0" in line:
            raise csv.Error("the row contains NUL")
        return line


@contextmanager
def _field_limit(longest: int) -> Iterator[None]:
    """Let csv read cells as long as a row may be. Its own limit is one for the whole process."""
    with _one_at_a_time:
        before = csv.field_size_limit(longest)
        try:
            yield
        finally:
            csv.field_size_limit(before)
