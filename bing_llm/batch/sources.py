"""Where the rows of a batch come from: a file, stdin, or the caller's own objects; read ahead in a thread."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sized
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

from bing_llm.batch.csv_rows import CsvSource
from bing_llm.batch.files import format_of
from bing_llm.batch.jsonl import JsonlSource, json_fields, read_records
from bing_llm.batch.parquet_rows import ParquetSource
from bing_llm.batch.rows import Fields, Record
from bing_llm.errors import ConfigurationError, InvalidRequest

Rows: TypeAlias = Iterable[Mapping[str, object] | str]

_SOURCES: dict[str, type[JsonlSource | CsvSource | ParquetSource]] = {
    "jsonl": JsonlSource,
    "csv": CsvSource,
    "parquet": ParquetSource,
}


class Source(Protocol):
    """The rows of an input.

    Attributes:
        name: How messages call it.
    """

    name: str

    def count(self) -> int | None:
        """How many rows it has; None if that is not known before all are read. It may read the whole file.

        Raises:
            OSError: The file cannot be read any more.
        """

    def records(self) -> Iterator[Record]:
        """The rows in their order, one at a time in memory. Closing the generator closes the file.

        Raises:
            OSError: The file cannot be read to its end.
        """


def open_source(source: str | os.PathLike[str] | Rows) -> Source:
    """The rows of a file of JSONL, CSV or Parquet by its extension, of stdin (`-`, JSONL), or of an iterable.

    In an iterable, a str stands for `{"prompt": ...}`.

    Raises:
        ConfigurationError: The file is missing, cannot be read, has an unknown format or lacks the columns; or the
            source is of another type.
    """
    if not isinstance(source, str | os.PathLike):
        return _Given(source)
    name = os.fspath(source)
    if name == "-":
        return _Stdin()
    path = Path(name)
    source_type = _SOURCES[format_of(path)]
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"{name!r} is not a file.", hint="Use - to read JSONL from stdin.")
        return source_type(path)
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"{name!r} cannot be read: {why}.", hint="Choose another input.") from exc


class _Stdin:
    name = "stdin"

    def count(self) -> int | None:
        return None

    def records(self) -> Iterator[Record]:
        # Not sys.stdin: a thread that waits in it holds its lock, and the process could not end.
        with os.fdopen(os.dup(0), "rb") as file:
            yield from read_records(file)


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
            yield Record(number, _given_fields(row, f"Row {number}"))


def _given_fields(row: object, place: str) -> Fields | InvalidRequest:
    if isinstance(row, str):
        return json_fields({"prompt": row}, place)
    if isinstance(row, Mapping):
        return json_fields(row, place)
    return InvalidRequest(
        f"{place} is of type {type(row).__name__}.", hint="A row is a mapping, or a str for its prompt."
    )


async def prefetch(records: Iterator[Record], *, limit: int = 32) -> AsyncGenerator[Record, None]:
    """Read records in a thread, at most `limit` of them ahead: each may take megabytes.

    The event loop never waits for a disk, and can abandon a read that never ends. What the thread raises is raised
    here. When the generator is closed it ends at once; the thread ends after the read in progress, closes `records`,
    and does not keep the process alive.
    """
    reader = _Reader(records, limit)
    reader.start()
    try:
        while True:
            found = await reader.next()
            if isinstance(found, Record):
                yield found
            elif found.exception is None:
                return
            else:
                raise found.exception
    finally:
        reader.abandon()


class _End:
    """The end of the records, with the exception that ended them."""

    def __init__(self, exception: BaseException | None) -> None:
        self.exception = exception


class _Reader:
    def __init__(self, records: Iterator[Record], limit: int) -> None:
        self._records = records
        self._queue: queue.Queue[Record | _End] = queue.Queue(limit)
        self._limit = limit
        self._taken = 0
        self._abandoned = False
        self._is_awaited = False
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        threading.Thread(target=self._read, name="bing-llm-batch-reader", daemon=True).start()

    async def next(self) -> Record | _End:
        self._taken += 1
        if self._taken % self._limit == 0:  # skipping rows that are done must not block the loop
            await asyncio.sleep(0)
        while True:
            with suppress(queue.Empty):
                return self._queue.get_nowait()
            self._arrived.clear()
            self._is_awaited = True
            if self._queue.empty():  # checked after the flag is set: what arrives from now on wakes us
                await self._arrived.wait()

    def abandon(self) -> None:
        self._abandoned = True
        with suppress(queue.Empty):  # makes room for a thread that waits for it, which then sees that it can end
            while True:
                self._queue.get_nowait()

    def _read(self) -> None:
        exception: BaseException | None = None
        try:
            self._read_all()
        except BaseException as exc:  # noqa: BLE001 - it is raised where the records are taken
            exception = exc
        self._put(_End(exception))

    def _read_all(self) -> None:
        try:
            for record in self._records:
                self._put(record)
                if self._abandoned:
                    return
        finally:
            close = getattr(self._records, "close", None)
            if close is not None:
                close()

    def _put(self, found: Record | _End) -> None:
        if self._abandoned:
            return
        self._queue.put(found)
        if self._is_awaited:
            self._is_awaited = False
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._arrived.set)
