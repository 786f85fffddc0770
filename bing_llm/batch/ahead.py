"""Rows that are read ahead in a thread: the event loop never waits for a disk, and may leave a read without end."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

from bing_llm.batch.rows import Record

__all__ = ["ahead"]


async def ahead(records: Iterator[Record], *, most: int = 32) -> AsyncGenerator[Record, None]:
    """The records, read in a thread of their own, at most `most` of them ahead: each may take megabytes.

    What reading them raises is raised here. Closed, it ends at once; the thread closes `records` when the read that it
    is in has ended, and does not keep the process alive.
    """
    reader = _Reader(records, most)
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
        reader.leave()


class _End:
    """The end of the records, by an exception or without."""

    def __init__(self, exception: BaseException | None) -> None:
        self.exception = exception


class _Reader:
    def __init__(self, records: Iterator[Record], most: int) -> None:
        self._records = records
        self._found: queue.Queue[Record | _End] = queue.Queue(most)
        self._most = most
        self._taken = 0
        self._left = False
        self._waited_for = False
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        threading.Thread(target=self._read, name="bing-llm-batch-reader", daemon=True).start()

    async def next(self) -> Record | _End:
        self._taken += 1
        if self._taken % self._most == 0:  # rows that are done already must not keep the loop from all else
            await asyncio.sleep(0)
        while True:
            with suppress(queue.Empty):
                return self._found.get_nowait()
            self._came.clear()
            self._waited_for = True
            if self._found.empty():  # asked after the word was given: what comes now wakes us
                await self._came.wait()

    def leave(self) -> None:
        self._left = True
        with suppress(queue.Empty):  # a thread that waits for room finds some, and sees that it was left
            while True:
                self._found.get_nowait()

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
                if self._left:
                    return
        finally:
            close = getattr(self._records, "close", None)
            if close is not None:
                close()

    def _put(self, found: Record | _End) -> None:
        if self._left:
            return
        self._found.put(found)
        if self._waited_for:
            self._waited_for = False
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._came.set)
