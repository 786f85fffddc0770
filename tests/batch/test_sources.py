"""Where rows come from, and how they are read ahead in a thread."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bing_llm.batch import csv_rows, parquet_rows
from bing_llm.batch.rows import Record
from bing_llm.batch.sources import open_source, prefetch
from bing_llm.errors import ConfigurationError, InvalidRequest
from tests.batch.helpers import records_of

# --- the sources ------------------------------------------------------------------------------------------------------


def jsonl(path: Path, rows: int) -> None:
    """Write that many rows."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f'{{"prompt": "What is {number}?"}}\n' for number in range(rows))


def csv(path: Path, rows: int) -> None:
    """Write that many rows."""
    with path.open("wb") as file:
        csv_rows.write_table(file, {"prompt": {"text"}}, ({"prompt": f"What is {number}?"} for number in range(rows)))


def parquet(path: Path, rows: int) -> None:
    """Write that many rows."""
    with path.open("wb") as file:
        parquet_rows.write_table(
            file, {"prompt": {"text"}}, ({"prompt": f"What is {number}?"} for number in range(rows))
        )


WRITERS: dict[str, Callable[[Path, int], None]] = {".jsonl": jsonl, ".NDJSON": jsonl, ".csv": csv, ".parquet": parquet}


@pytest.mark.parametrize("extension", WRITERS)
def test_a_file_is_read_by_its_extension(tmp_path: Path, extension: str) -> None:
    """A file is read as often as it is asked for; its name is its path."""
    path = tmp_path / f"in{extension}"
    WRITERS[extension](path, 3)
    for given in (str(path), path):
        source = open_source(given)
        assert (source.name, source.count()) == (str(path), 3)
        for _ in range(2):
            assert [record.fields for record in records_of(source)] == [
                {"prompt": f"What is {number}?"} for number in range(3)
            ]


@pytest.mark.parametrize("extension", WRITERS)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, extension: str) -> None:
    """Missing, a folder, or no name of a file at all."""
    missing = tmp_path / f"in{extension}"
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        open_source(missing)
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*null (byte|character)"):
        open_source(f"a\0{extension}")
    missing.mkdir()
    with pytest.raises(ConfigurationError, match="is not a file"):
        open_source(missing)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """It can be read once only, as stdin can: the error names that."""
    path = tmp_path / "in.jsonl"
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="Use - to read JSONL from stdin"):
        open_source(path)


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_a_table_without_questions_is_refused(tmp_path: Path, extension: str) -> None:
    """Before anything is asked."""
    path = tmp_path / f"in{extension}"
    with path.open("wb") as file:
        if extension == ".csv":
            csv_rows.write_table(file, {"question": {"text"}}, [])
        else:
            parquet_rows.write_table(file, {"question": {"text"}}, [])
    with pytest.raises(ConfigurationError, match=r"neither .*prompt nor messages"):
        open_source(path)


@pytest.mark.parametrize("extension", WRITERS)
def test_a_closed_source_closes_its_file(tmp_path: Path, extension: str) -> None:
    """Also in the middle; a file that stays open would be a warning here."""
    path = tmp_path / f"in{extension}"
    WRITERS[extension](path, 3)
    records: Any = records_of(open_source(path))
    next(records)
    records.close()
    gc.collect()


@pytest.mark.parametrize("extension", [".jsonl", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_input(tmp_path: Path, extension: str) -> None:
    """Rows are read one at a time."""

    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}{extension}"
        WRITERS[extension](path, rows)
        source = open_source(path)
        tracemalloc.start()
        try:
            assert source.count() == sum(1 for _ in records_of(source)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is made once for all
    assert peak(4_000) < 2 * peak(600)


@pytest.fixture
def stdin() -> Iterator[int]:
    """The writing end of a pipe that stands for stdin."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(kept, 0)
    os.close(kept)


def test_stdin_is_read_as_it_comes(stdin: int) -> None:
    """Each row as soon as its line is there; how many there are nobody knows."""
    source = open_source("-")
    assert (source.name, source.count()) == ("stdin", None)
    records = records_of(source)
    os.write(stdin, b'{"prompt": "a"}\n{"pro')
    assert next(records).fields == {"prompt": "a"}
    os.write(stdin, b'mpt": "b"}')
    os.close(stdin)
    assert [(record.number, record.fields) for record in records] == [(2, {"prompt": "b"})]
    assert os.fstat(0), "it is not ours to close"


def test_given_rows_are_read_as_they_are_asked_for() -> None:
    """A str is a prompt; an iterator is not read ahead, and has no length."""

    def rows() -> Iterator[Any]:
        yield "Hi"
        yield {"id": 1, "prompt": "Ho"}
        pytest.fail("it was read ahead")

    source = open_source(rows())
    assert (source.name, source.count()) == ("the given rows", None)
    records = records_of(source)
    assert [next(records).fields, next(records).fields] == [{"prompt": "Hi"}, {"id": 1, "prompt": "Ho"}]


def test_given_rows_have_their_length() -> None:
    """Where it is known."""
    assert open_source(["a", "b"]).count() == 2
    assert open_source([]).count() == 0


def test_the_objects_of_the_caller_are_not_ours() -> None:
    """What is done with a row never changes what was given."""
    given = {"prompt": "a", "tags": ["x"]}
    (record,) = records_of(open_source([given]))
    assert record.fields == given
    assert isinstance(record.fields, dict)
    assert record.fields is not given
    assert record.fields["tags"] is not given["tags"]


@pytest.mark.parametrize("row", [7, None, b"Hi", ["Hi"], {"prompt": object()}, "\ud800"])
def test_a_given_row_that_is_none_costs_only_itself(row: Any) -> None:
    """The error names its place."""
    _, wrong, last = records_of(open_source(["a", row, "b"]))
    assert wrong.number == 2
    assert isinstance(wrong.fields, InvalidRequest)
    assert wrong.fields.message.startswith("Row 2 ")
    assert (last.number, last.fields) == (3, {"prompt": "b"})


@pytest.mark.parametrize("source", [{"prompt": "Hi"}, b"in.jsonl", 7, None])
def test_what_is_not_a_source_is_refused(source: Any) -> None:
    """A single row above all, which is an iterable of its names."""
    with pytest.raises(ConfigurationError, match="Use a path, - for stdin, or a list of rows"):
        open_source(source)


# --- reading ahead ----------------------------------------------------------------------------------------------------


def numbered(until: int) -> Iterator[list[Record]]:
    """That many records."""
    return ([Record(number, {})] for number in range(until))


@pytest.mark.parametrize("limit", [1, 2, 256])
async def test_all_records_come_in_order(limit: int) -> None:
    """However many are read ahead, in blocks of at most so many."""
    blocks = [block async for block in prefetch(numbered(600), limit=limit)]
    assert [record.number for block in blocks for record in block] == list(range(600))
    assert max(map(len, blocks)) <= limit


async def test_no_records_come_to_an_end() -> None:
    """At once."""
    assert [block async for block in prefetch(iter(()))] == []


class Counted:
    """Records of this size without an end; `full` is set when so many were read."""

    def __init__(self, full_at: int, size: int = 0) -> None:
        self.read = 0
        self.full = threading.Event()
        self._full_at = full_at
        self._size = size

    def __iter__(self) -> Iterator[list[Record]]:
        return self

    def __next__(self) -> list[Record]:
        self.read += 1
        if self.read == self._full_at:
            self.full.set()
        return [Record(self.read, {}, self._size)]


@pytest.mark.parametrize(
    ("limits", "size", "ahead"),
    [({"limit": 5}, 0, 5), ({}, 0, 512), ({"most_bytes": 30}, 10, 3), ({}, 2**19, 2), ({}, 2**24, 1)],
)
async def test_only_so_much_is_read_ahead(limits: dict[str, int], size: int, ahead: int) -> None:
    """A row may take megabytes: the thread waits for room, with one more record in its hand, and then goes on."""
    records = Counted(ahead + 1, size)
    blocks = prefetch(records, **limits)
    taken = 0
    waiting = asyncio.ensure_future(anext(blocks))
    await asyncio.sleep(0)  # its thread has begun
    for _ in range(20):
        block = await waiting
        assert len(block) <= ahead
        taken += len(block)
        assert records.read <= taken + ahead + 1
        waiting = asyncio.ensure_future(anext(blocks))
    await waiting
    await asyncio.to_thread(records.full.wait)
    await blocks.aclose()


async def test_what_has_come_is_not_kept_for_a_full_block() -> None:
    """The next line of a pipe may be long in coming."""
    silence = threading.Event()

    def records() -> Iterator[list[Record]]:
        yield [Record(1, {})]
        silence.wait()

    blocks = prefetch(records())
    assert await anext(blocks) == [Record(1, {})]
    silence.set()
    await blocks.aclose()


async def test_an_error_comes_out_after_what_was_read() -> None:
    """The error is the one that was raised."""

    def records() -> Iterator[list[Record]]:
        yield [Record(1, {})]
        raise OSError("It cannot be read.")

    taken = prefetch(records())
    assert await anext(taken) == [Record(1, {})]
    with pytest.raises(OSError, match="It cannot be read"):
        await anext(taken)


async def test_an_error_of_closing_comes_out() -> None:
    """An error of closing is raised like one of reading."""

    class Records:
        def __iter__(self) -> Iterator[list[Record]]:
            return self

        def __next__(self) -> list[Record]:
            raise StopIteration

        def close(self) -> None:
            raise OSError("It cannot be closed.")

    with pytest.raises(OSError, match="It cannot be closed"):
        await anext(prefetch(Records()))


async def test_records_are_closed_where_they_are_left() -> None:
    """By their thread, since nobody else may while it reads; also when it waits for room."""
    full, closed = threading.Event(), threading.Event()

    def records() -> Iterator[list[Record]]:
        try:
            for number in range(1, 100):
                if number == 7:  # at most three were taken, three wait, and so does the thread with this one
                    full.set()
                yield [Record(number, {})]
        finally:
            closed.set()

    taken = prefetch(records(), limit=3)
    await anext(taken)
    await asyncio.to_thread(full.wait)
    await taken.aclose()
    assert await asyncio.to_thread(closed.wait, 10)


async def test_closing_does_not_wait_for_a_read() -> None:
    """A terminal or a pipe may be silent for ever; the thread does not keep the process alive."""
    reads, silence, closed = threading.Event(), threading.Event(), threading.Event()
    reader: threading.Thread | None = None

    def records() -> Iterator[list[Record]]:
        nonlocal reader
        reader = threading.current_thread()
        try:
            yield [Record(1, {})]
            reads.set()
            silence.wait()
            yield [Record(2, {})]
        finally:
            closed.set()

    taken = prefetch(records())
    assert await anext(taken) == [Record(1, {})]
    await asyncio.to_thread(reads.wait)
    await taken.aclose()
    assert not closed.is_set()
    assert reader is not None
    assert reader.daemon
    silence.set()
    await asyncio.to_thread(reader.join)
    assert closed.is_set()


async def test_waiting_for_a_record_can_be_cancelled() -> None:
    """A batch that is stopped at once cancels the wait."""
    reads, silence = threading.Event(), threading.Event()

    def records() -> Iterator[list[Record]]:
        reads.set()
        silence.wait()
        yield [Record(1, {})]

    taken = prefetch(records())
    waiting = asyncio.ensure_future(anext(taken))
    await asyncio.sleep(0)
    await asyncio.to_thread(reads.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    silence.set()


async def test_the_loop_is_not_kept_from_other_work() -> None:
    """Records that are there already come without a wait, and a run may skip thousands of them."""
    turns = 0
    going = True

    async def other() -> None:
        nonlocal turns
        while going:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    blocks = 0
    async for _ in prefetch(numbered(200), limit=10):
        blocks += 1
        assert turns >= blocks - 1
    going = False
    await task


def test_a_loop_that_is_gone_ends_the_thread() -> None:
    """Nobody takes its error, and it logs nothing."""
    go = threading.Event()
    started = threading.Event()
    reader: list[threading.Thread] = []

    def records() -> Iterator[list[Record]]:
        reader.append(threading.current_thread())
        started.set()
        go.wait()
        yield [Record(1, {})]

    async def leave() -> None:
        waiting = asyncio.ensure_future(anext(prefetch(records())))
        await asyncio.sleep(0)
        await asyncio.to_thread(started.wait)
        waiting.cancel()

    asyncio.run(leave())
    go.set()
    reader[0].join(10)
    assert not reader[0].is_alive()
