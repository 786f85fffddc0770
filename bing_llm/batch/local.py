"""The rows of a batch, asked by this process: `LocalEngine`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeAlias

import msgspec

from bing_llm.batch.asking import ask
from bing_llm.batch.gate import LocalGate
from bing_llm.batch.rows import Row, render_row
from bing_llm.client import BingClient
from bing_llm.errors import BingError

__all__ = ["LocalEngine"]

_Task: TypeAlias = "asyncio.Task[dict[str, Any] | None]"


class LocalEngine:
    """Asks the rows of one run over one client, as `Engine` says.

    Args:
        client: Who asks; it stays open.
        concurrency: How many rows may be open at once.
        rate: How many turns a minute may begin; None for no limit.
        patience: How long to wait for a service that takes no turn, in seconds from its last answer on.

    Raises:
        ConfigurationError: There is a rate, and no aiolimiter.
    """

    def __init__(
        self, client: BingClient, *, concurrency: int, rate: float | None = None, patience: float = 3600.0
    ) -> None:
        self._gate = LocalGate(concurrency, rate=rate, patience=patience, retries=client.retries)
        retries = msgspec.structs.replace(client.retries, sleep=self._gate.sleep)  # waits end when the gate is closed
        self._client = client.with_options(retries=retries)
        self._room = asyncio.Semaphore(concurrency)
        self._ended: asyncio.Queue[_Task] = asyncio.Queue()
        self._tasks: set[_Task] = set()
        self._feeder: _Task | None = None

    @property
    def stopped(self) -> BingError | None:
        """As in `Engine`."""
        return self._gate.stopped

    @property
    def turns(self) -> int:
        """As in `Engine`."""
        return self._gate.turns

    @property
    def waiting(self) -> str:
        """As in `Engine`."""
        return self._gate.waiting

    def stop(self) -> None:
        """As in `Engine`."""
        self._gate.close()
        if self._feeder is not None:
            self._feeder.cancel()  # it may wait for a row for ever

    async def answers(self, rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        """As in `Engine`; only once. Where something else than a turn fails, the open ones end first.

        Args:
            rows: What to ask; it stays open.
        """
        failure: BaseException | None = None
        self._feeder = self._start(self._feed(rows))
        try:
            while self._tasks:
                task = await self._ended.get()
                self._tasks.discard(task)
                if task.cancelled():
                    continue
                failure = failure or task.exception()
                if failure is not None or self._gate.closed:
                    self.stop()
                if task.exception() is None and (row := task.result()) is not None:
                    yield row
                self._room.release()  # not before: so answers that nobody takes do not pile up
        finally:
            await _cancelled(self._tasks)
        if failure is not None:
            raise failure

    async def _feed(self, rows: AsyncIterator[Row]) -> None:
        while not self._gate.closed:
            await self._room.acquire()
            try:
                row = await anext(rows)
            except StopAsyncIteration:
                return
            self._start(self._answer(row))

    async def _answer(self, row: Row) -> dict[str, Any] | None:
        outcome = await ask(self._client, row, self._gate)
        return None if outcome is None else render_row(row, outcome)

    def _start(self, work: Coroutine[Any, Any, dict[str, Any] | None]) -> _Task:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended.put_nowait)
        return task


async def _cancelled(tasks: set[_Task]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
