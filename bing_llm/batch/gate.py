"""The gate through which each turn of a batch goes: it waits there until the pace and the rate allow it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from bing_llm.batch.pace import Pace
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.limits import Retries

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

__all__ = ["Gate", "LocalGate"]


class Gate(Protocol):
    """Where each turn of a batch begins and ends, further attempts included."""

    async def enter(self) -> float | None:
        """Wait until a turn may be sent.

        Returns:
            A ticket, which `leave` takes; None where the run is over, and no turn may be sent any more.
        """

    async def leave(self, ticket: float, error: BingError | None) -> None:
        """The turn has ended: with an answer, or with this error. Once for each ticket, however it ended."""


class LocalGate:
    """The gate of one machine. Who came first goes first.

    Args:
        concurrency: How many turns may be open at most; the pace makes it fewer while the service throttles.
        rate: How many turns a minute may begin, spread evenly; None for no limit.
        patience: How long to wait for a service that takes no turn, in seconds from its last answer on.
        retries: As `Pace` takes them; its `sleep` and its `clock` are those of this gate. None for the defaults.

    Attributes:
        stopped: Why it was closed by what a turn met; None while it is open, and where `close` came first.
        closed: Whether no further turn may begin.
        turns: How many have begun.

    Raises:
        ConfigurationError: There is a rate, and no aiolimiter.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        rate: float | None = None,
        patience: float = 3600.0,
        retries: Retries | None = None,
    ) -> None:
        retries = retries or Retries()
        self.stopped: BingError | None = None
        self.closed = False
        self.turns = 0
        self._pace = Pace(concurrency, patience=patience, retries=retries, clock=retries.clock or time.monotonic)
        self._limiter = None if rate is None else _limiter(rate)
        self._sleep = retries.sleep or asyncio.sleep
        self._turnstile = asyncio.Lock()
        self._changed = asyncio.Event()
        self._waits: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> str:
        """Why no turn begins just now, for a person; "" while they do."""
        return "" if self.closed else self._pace.waiting

    async def enter(self) -> float | None:
        """As `Gate.enter`. A call that is cancelled holds nothing."""
        async with self._turnstile:  # only the one in front waits for anything
            while await self._opens():
                if self._limiter is not None:
                    await self._until_closed(self._limiter.acquire())
                if not self.closed and self._pace.may_begin():  # else something has happened meanwhile
                    self.turns += 1
                    return self._pace.begin()
        return None

    async def leave(self, ticket: float, error: BingError | None) -> None:
        """As `Gate.leave`."""
        self._pace.end(ticket, error)
        self._changed.set()
        if self._pace.stopped is not None and not self.closed:
            self.stopped = self._pace.stopped
            self.close()

    def close(self) -> None:
        """Let no further turn begin: whoever waits, or comes later, gets None."""
        self.closed = True
        self._changed.set()
        for wait in self._waits:
            wait.cancel()

    async def sleep(self, seconds: float) -> None:
        """Wait so long, or until the gate is closed."""
        if not self.closed:
            await self._until_closed(self._sleep(seconds))

    async def _opens(self) -> bool:
        while not self.closed and not self._pace.may_begin():
            seconds = self._pace.pause()
            if seconds > 0:
                await self.sleep(seconds)
            else:
                self._changed.clear()
                await self._changed.wait()
        return not self.closed

    async def _until_closed(self, work: Awaitable[None]) -> None:
        wait = asyncio.ensure_future(work)
        self._waits.add(wait)
        try:
            await asyncio.wait([wait])
        finally:
            self._waits.discard(wait)
            wait.cancel()
        if not wait.cancelled():
            wait.result()


def _limiter(rate: float) -> AsyncLimiter:
    try:
        from aiolimiter import AsyncLimiter  # noqa: PLC0415 - of an extra
    except ImportError as exc:
        msg = "A rate needs aiolimiter, which is not installed."
        raise ConfigurationError(msg, hint='Run `pip install "bing-llm[batch]"`, or leave the rate away.') from exc
    a_second = rate / 60
    return AsyncLimiter(
        max(1.0, a_second), max(1.0, 1 / a_second)
    )  # at most what a second allows, or one turn, at once
