"""Where the rows of a batch come from: a file, stdin, or the caller's own objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from bing_llm.batch.csv_rows import CsvTable
from bing_llm.batch.formats import format_of
from bing_llm.batch.jsonl import JsonLines, as_fields, records
from bing_llm.batch.parquet_rows import ParquetTable
from bing_llm.batch.rows import Record
from bing_llm.errors import ConfigurationError, InvalidRequest

__all__ = ["Rows", "Source", "open_source"]

Rows: TypeAlias = Iterable[Mapping[str, Any] | str]

_SOURCES: dict[str, type[JsonLines | CsvTable | ParquetTable]] = {
    "jsonl": JsonLines,
    "csv": CsvTable,
    "parquet": ParquetTable,
}


class Source(Protocol):
    """The rows of an input.

    Attributes:
        name: What it is, for messages.
    """

    name: str

    def count(self) -> int | None:
        """How many rows it has; None where only reading them all tells. It may read the whole file.

        Raises:
            OSError: The file cannot be read any more.
        """

    def records(self) -> Iterator[Record]:
        """The rows in their order, one at a time in memory. To close the generator closes the file.

        Raises:
            OSError: The file cannot be read to its end.
        """


def open_source(source: str | os.PathLike[str] | Rows) -> Source:
    """The rows of a file of JSONL, CSV or Parquet by its extension, of stdin (`-`, JSONL), or of an iterable.

    In an iterable a str stands for `{"prompt": ...}`.

    Raises:
        ConfigurationError: The file is missing, cannot be read, is of no known format or has no such columns; or the
            source is none.
    """
    if not isinstance(source, str | os.PathLike):
        return _Given(source)
    name = os.fspath(source)
    if name == "-":
        return _Stdin()
    path = Path(name)
    made = _SOURCES[format_of(path)]
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{name!r} is not a file.", hint="Use - to read JSONL from stdin.")
        return made(path)
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"{name!r} cannot be read: {why}.", hint="Choose another input.") from exc


class _Stdin:
    name = "stdin"

    def count(self) -> int | None:
        return None

    def records(self) -> Iterator[Record]:
        # Not sys.stdin: a thread that waits in it holds its lock, on which the end of the process would wait.
        with os.fdopen(os.dup(0), "rb") as file:
            yield from records(file)


class _Given:
    name = "the given rows"

    def __init__(self, rows: Rows) -> None:
        if isinstance(rows, Mapping | bytes) or not isinstance(rows, Iterable):
            raise ConfigurationError(
                f"The source is of type {type(rows).__name__}.", hint="Use a path, - for stdin, or a list of rows."
            )
        self._rows = rows

    def count(self) -> int | None:
        return len(self._rows) if isinstance(self._rows, Sized) else None

    def records(self) -> Iterator[Record]:
        for number, row in enumerate(self._rows, 1):
            yield Record(number, _given(row, f"Row {number}"))


def _given(row: Any, place: str) -> dict[str, Any] | InvalidRequest:
    if isinstance(row, str):
        return as_fields({"prompt": row}, place)
    if isinstance(row, Mapping):
        return as_fields(row, place)
    return InvalidRequest(
        f"{place} is of type {type(row).__name__}.", hint="A row is a mapping, or a str for its prompt."
    )
