"""Where the rows of a batch come from: a file, stdin, or the caller's own objects; read ahead in a thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

from bing_llm.batch.csv_rows import CsvSource
from bing_llm.batch.files import format_of
from bing_llm.batch.jsonl import JsonlSource, json_record, read_records
from bing_llm.batch.parquet_rows import ParquetSource
from bing_llm.batch.rows import Record, one_by_one
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

    def blocks(self) -> Iterator[Sequence[Record]]:
        """The rows in their order, as many at once as the source has without a wait; few are in memory.

        Closing the generator closes the file.

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

    def blocks(self) -> Iterator[Sequence[Record]]:
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
            yield _given_record(number, row)

    def blocks(self) -> Iterator[Sequence[Record]]:
        return one_by_one(self.records())


def _given_record(number: int, row: object) -> Record:
    if isinstance(row, str):
        return json_record(number, {"prompt": row})
    if isinstance(row, Mapping):
        return json_record(number, row)
    why = InvalidRequest(
        f"Row {number} is of type {type(row).__name__}.", hint="A row is a mapping, or a str for its prompt."
    )
    return Record(number, why)


async def prefetch(
    blocks: Iterator[Sequence[Record]], *, limit: int = 512, most_bytes: int = 2**20
) -> AsyncGenerator[list[Record], None]:
    """Read records in a thread, and give all that have come since, as a block of one or more.

    As long as `limit` records or `most_bytes` of them wait, it reads no further: a record may take megabytes. To hand
    over a record costs as much as to read it, so blocks are what makes it cheap to skip the rows that are done.

    The event loop never waits for a disk, and can abandon a read that never ends. What the thread raises is raised
    here. When the generator is closed it ends at once; the thread ends after the read in progress, closes `blocks`,
    and does not keep the process alive.
    """
    reader = _Reader(blocks, limit, most_bytes)
    reader.start()
    try:
        while block := await reader.next():
            yield block
            await asyncio.sleep(0)  # skipping rows that are done must not block the loop
    finally:
        reader.abandon()


class _Reader:
    """The thread that reads, and what it has read. All is shared without a lock but the wait for room."""

    def __init__(self, blocks: Iterator[Sequence[Record]], limit: int, most_bytes: int) -> None:
        self._blocks = blocks
        self._limit = limit
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Sequence[Record], int]] = deque()  # with their bytes
        self._rows_read = self._bytes_read = 0  # set by the thread
        self._rows_taken = self._bytes_taken = 0  # set on the loop
        self._ended = False
        self._exception: BaseException | None = None
        self._abandoned = False
        self._has_room = threading.Event()
        self._is_awaited = False
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        threading.Thread(target=self._read, name="bing-llm-batch-reader", daemon=True).start()

    async def next(self) -> list[Record]:
        """The records that wait, at least one; none at the end."""
        while not self._waiting:
            if self._ended:
                if self._has_some():  # looked at again: the end comes after the last record
                    break
                if self._exception is not None:
                    raise self._exception
                return []
            self._arrived.clear()
            self._is_awaited = True
            if not (self._has_some() or self._ended):  # after the flag is set: what arrives from now on wakes us
                await self._arrived.wait()
        block: list[Record] = []
        for _ in range(len(self._waiting)):
            some, size = self._waiting.popleft()
            block += some
            self._bytes_taken += size
        self._rows_taken += len(block)
        self._has_room.set()
        return block

    def _has_some(self) -> bool:
        return bool(self._waiting)

    def abandon(self) -> None:
        self._abandoned = True
        self._has_room.set()  # a thread that waits for it sees that it can end

    def _read(self) -> None:
        exception: BaseException | None = None
        try:
            self._read_all()
        except BaseException as exc:  # noqa: BLE001 - it is raised where the records are taken
            exception = exc
        self._exception = exception
        self._ended = True
        self._wake()

    def _read_all(self) -> None:
        try:
            for block in self._blocks:
                for start in range(0, len(block), self._limit):
                    if not self._hand_over(block[start : start + self._limit]):
                        return
        finally:
            close = getattr(self._blocks, "close", None)
            if close is not None:
                close()

    def _hand_over(self, records: Sequence[Record]) -> bool:
        """Have these records wait, when there is room; False if nobody wants them any more."""
        while self._must_wait(len(records)):
            self._has_room.clear()
            if self._must_wait(len(records)):  # again: what is taken from now on sets the event
                self._has_room.wait()
        if self._abandoned:
            return False
        size = sum([record.size for record in records])
        self._rows_read += len(records)
        self._bytes_read += size
        self._waiting.append((records, size))
        if self._is_awaited:
            self._wake()
        return True

    def _must_wait(self, rows: int) -> bool:
        waiting = self._rows_read - self._rows_taken
        is_full = waiting + rows > self._limit or self._bytes_read - self._bytes_taken >= self._most_bytes
        return waiting > 0 and is_full and not self._abandoned

    def _wake(self) -> None:
        if self._is_awaited:
            self._is_awaited = False
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._arrived.set)
