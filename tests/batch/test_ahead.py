"""Reading ahead in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from bing_llm.batch.ahead import ahead
from bing_llm.batch.rows import Record


def numbered(until: int) -> Iterator[Record]:
    """That many records."""
    return (Record(number, {}) for number in range(until))


@pytest.mark.parametrize("most", [1, 2, 256])
async def test_all_records_come_in_order(most: int) -> None:
    """However many are read ahead."""
    assert [record.number async for record in ahead(numbered(600), most=most)] == list(range(600))


async def test_no_records_come_to_an_end() -> None:
    """At once."""
    assert [record async for record in ahead(iter(()))] == []


async def test_only_so_many_are_read_ahead() -> None:
    """The thread waits for room, and goes on when there is some."""
    read = 0
    enough = threading.Event()

    def records() -> Iterator[Record]:
        nonlocal read
        for read in range(1, 100):
            if read == 6:
                enough.set()
            yield Record(read, {})

    taken = ahead(records(), most=5)
    assert (await anext(taken)).number == 1
    await asyncio.to_thread(enough.wait)
    for expected in range(2, 50):
        assert (await anext(taken)).number == expected
        assert read <= expected + 6  # five wait, and one is in the hand of the thread
    await taken.aclose()


async def test_few_are_read_ahead_where_nothing_is_said() -> None:
    """A row may take megabytes, and the service is slower than the disk."""
    read = 0
    enough = threading.Event()

    def records() -> Iterator[Record]:
        nonlocal read
        for read in range(1, 1000):
            if read == 34:  # one is taken, 32 wait, and one is in the hand of the thread
                enough.set()
            yield Record(read, {})

    taken = ahead(records())
    assert (await anext(taken)).number == 1
    await asyncio.to_thread(enough.wait)
    assert read == 34
    await taken.aclose()


async def test_an_error_comes_out_behind_what_was_read() -> None:
    """As it was raised."""

    def records() -> Iterator[Record]:
        yield Record(1, {})
        raise OSError("It cannot be read.")

    taken = ahead(records())
    assert (await anext(taken)).number == 1
    with pytest.raises(OSError, match="It cannot be read"):
        await anext(taken)


async def test_an_error_of_closing_comes_out() -> None:
    """As one of reading does."""

    class Records:
        def __iter__(self) -> Iterator[Record]:
            return self

        def __next__(self) -> Record:
            raise StopIteration

        def close(self) -> None:
            raise OSError("It cannot be closed.")

    with pytest.raises(OSError, match="It cannot be closed"):
        await anext(ahead(Records()))


async def test_records_are_closed_where_they_are_left() -> None:
    """By their thread, since nobody else may while it reads; also when it waits for room."""
    full, closed = threading.Event(), threading.Event()

    def records() -> Iterator[Record]:
        try:
            for number in range(1, 100):
                if number == 5:  # one was taken, three wait, and so does the thread with this one
                    full.set()
                yield Record(number, {})
        finally:
            closed.set()

    taken = ahead(records(), most=3)
    await anext(taken)
    await asyncio.to_thread(full.wait)
    await taken.aclose()
    assert await asyncio.to_thread(closed.wait, 10)


async def test_closing_does_not_wait_for_a_read() -> None:
    """A terminal or a pipe may be silent for ever; the thread does not keep the process alive."""
    reads, silence, closed = threading.Event(), threading.Event(), threading.Event()
    reader: threading.Thread | None = None

    def records() -> Iterator[Record]:
        nonlocal reader
        reader = threading.current_thread()
        try:
            yield Record(1, {})
            reads.set()
            silence.wait()
            yield Record(2, {})
        finally:
            closed.set()

    taken = ahead(records())
    assert (await anext(taken)).number == 1
    await asyncio.to_thread(reads.wait)
    await taken.aclose()
    assert not closed.is_set()
    assert reader is not None
    assert reader.daemon
    silence.set()
    await asyncio.to_thread(reader.join)
    assert closed.is_set()


async def test_waiting_for_a_record_can_be_cancelled() -> None:
    """As a batch is that is stopped at once."""
    reads, silence = threading.Event(), threading.Event()

    def records() -> Iterator[Record]:
        reads.set()
        silence.wait()
        yield Record(1, {})

    taken = ahead(records())
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
    full = threading.Event()

    def records() -> Iterator[Record]:
        for number in range(1, 100):
            if number == 12:  # one was taken, and ten wait
                full.set()
            yield Record(number, {})

    async def other() -> None:
        nonlocal turns
        turns += 1

    taken = ahead(records(), most=10)
    await anext(taken)
    await asyncio.to_thread(full.wait)
    task = asyncio.create_task(other())
    for _ in range(10):
        await anext(taken)
    assert turns == 1
    await task
    await taken.aclose()


def test_a_loop_that_is_gone_ends_the_thread() -> None:
    """It has nobody to tell, and says nothing."""
    go = threading.Event()
    started = threading.Event()
    reader: list[threading.Thread] = []

    def records() -> Iterator[Record]:
        reader.append(threading.current_thread())
        started.set()
        go.wait()
        yield Record(1, {})

    async def leave() -> None:
        waiting = asyncio.ensure_future(anext(ahead(records())))
        await asyncio.sleep(0)
        await asyncio.to_thread(started.wait)
        waiting.cancel()

    asyncio.run(leave())
    go.set()
    reader[0].join(10)
    assert not reader[0].is_alive()
