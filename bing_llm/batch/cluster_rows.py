"""The rows of a batch on their way through a cluster: files of JSON lines there, tables of texts back.

A record travels as JSON in one column of text, so that no schema has to be guessed from what the rows hold. Not as
Parquet: to read that Ray Data starts a process for each of six readers of footers first, 15 s on two processors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from bing_llm.batch.rows import BadRow, Record, Row, parse_row
from bing_llm.errors import BatchStopped, ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["answers_of", "answers_table", "rows_of", "working_folder", "write_rows"]

_ROWS_A_FILE = 1000  # some megabytes of prompts: all that is held of the input at once
_FILES = "rows-*.jsonl"

_encoder = msgspec.json.Encoder()


@contextmanager
def working_folder(folder: Path | None) -> Iterator[Path]:
    """An empty folder that is removed at the end, and so is what a killed run has left in it.

    Args:
        folder: Its path; None for one in the system's folder of temporary files.

    Raises:
        ConfigurationError: There is something else at that path, or the folder cannot be made.
    """
    if folder is None:
        with TemporaryDirectory(prefix="bing-llm-") as temporary:
            yield Path(temporary)
        return
    try:
        _remove(folder)
        folder.mkdir()
    except OSError as exc:
        msg = f"The working folder {str(folder)!r} cannot be made: {exc.strerror or exc}."
        raise ConfigurationError(msg, hint="Move away what is there, or name another output.") from exc
    try:
        yield folder
    finally:
        _remove(folder)


async def write_rows(rows: AsyncIterator[Row], folder: Path) -> int:
    """Write rows to files.

    Returns:
        How many there were.

    Raises:
        BatchStopped: They cannot be written; what `rows` raises is raised as it is.
    """
    count = 0
    some: list[Row] = []
    async for row in rows:
        some.append(row)
        count += 1
        if len(some) == _ROWS_A_FILE:
            await asyncio.to_thread(_write, some, folder / f"rows-{count:010}.jsonl")
            some = []
    if some:
        await asyncio.to_thread(_write, some, folder / f"rows-{count:010}.jsonl")
    return count


def rows_of(table: pa.Table) -> list[Row]:
    """The rows that a table of such a file holds."""
    columns = table.to_pydict()
    return [_row(number, record) for number, record in zip(columns["number"], columns["record"], strict=True)]


def answers_table(worker: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The output rows of one worker as a table; of no rows one with the same columns."""
    import pyarrow as pa  # noqa: PLC0415 - of an extra

    texts = [msgspec.json.encode(row).decode() for row in rows]
    return pa.table({"worker": pa.array([worker] * len(texts), pa.string()), "row": pa.array(texts, pa.large_string())})


def answers_of(table: pa.Table) -> list[tuple[str, dict[str, Any]]]:
    """The worker and the output row of each row of such a table."""
    columns = table.to_pydict()
    return [(worker, msgspec.json.decode(row)) for worker, row in zip(columns["worker"], columns["row"], strict=True)]


def _row(number: int, record: str) -> Row:
    row = parse_row(Record(number, msgspec.json.decode(record)))
    if isinstance(row, BadRow):  # it could be read before it was written
        raise row.error
    return row


def _write(rows: Sequence[Row], path: Path) -> None:
    lines = [{"number": row.number, "record": msgspec.json.encode(row.fields).decode()} for row in rows]
    try:
        path.write_bytes(_encoder.encode_lines(lines))
    except OSError as exc:
        raise BatchStopped(f"The working folder cannot be written: {exc.strerror or exc}.") from exc


def _remove(folder: Path) -> None:
    """Remove a folder of ours.

    Raises:
        OSError: There is something else in it.
    """
    if not folder.exists():
        return
    for file in folder.glob(_FILES):
        file.unlink()
    folder.rmdir()
