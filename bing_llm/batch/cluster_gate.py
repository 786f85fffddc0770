"""The gate of a cluster: one actor holds it, and every worker goes through it. Without Ray's own names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from bing_llm.batch.gate import LocalGate
from bing_llm.errors import BingError
from bing_llm.limits import Retries

__all__ = ["GateLost", "RemoteGate", "SharedGate", "State"]

_GONE = BingError("The process that asked is gone.")


class GateLost(Exception):
    """The actor of the gate cannot be reached: the run is over, or its machine is gone."""


class State(NamedTuple):
    """How a run stands.

    Attributes:
        stopped: As of the gate.
        waiting: As of the gate.
        turns: As of the gate.
        ended: Once nothing is open and nothing will be any more, how many rows each worker has answered; else None.
    """

    stopped: BingError | None
    waiting: str
    turns: int
    ended: dict[str, int] | None


class _Worker:
    """What one worker holds: calls that wait for a ticket, tickets, tables of rows that it asks; and what it did."""

    def __init__(self) -> None:
        self.entering: set[asyncio.Future[float | None]] = set()
        self.tickets: list[float] = []
        self.tables = 0
        self.answered = 0


class SharedGate:
    """What the actor runs: a `LocalGate`, and who holds what of it, as a worker may die without a word.

    Args as of `LocalGate`.
    """

    def __init__(
        self, concurrency: int, *, rate: float | None = None, patience: float = 3600.0, retries: Retries | None = None
    ) -> None:
        self._gate = LocalGate(concurrency, rate=rate, patience=patience, retries=retries)
        self._over = asyncio.Event()
        self._workers: dict[str, _Worker] = {}
        self._gone: set[str] = set()

    async def attend(self) -> None:
        """Wait until no further turn may begin."""
        await self._over.wait()

    async def watch(self, name: str, lifeline: Sequence[Awaitable[None]]) -> None:
        """Free what a worker holds when it dies.

        Args:
            name: Its name.
            lifeline: Its own call of `attend`, which fails when it is gone: Ray ends what a dead process has called.
                In a list, or Ray would wait for it before it calls this.
        """
        try:
            await lifeline[0]
        except Exception:  # noqa: BLE001 - whatever it is, nobody is there any more
            await self._forget(name)

    async def begin(self, name: str) -> bool:
        """A worker takes up a table of rows. False: it must not, the run is over."""
        if self._gate.closed or name in self._gone:
            return False
        self._worker(name).tables += 1
        return True

    async def end(self, name: str, answered: int) -> None:
        """That table is done, and has given so many rows."""
        worker = self._worker(name)
        worker.tables -= 1
        worker.answered += answered

    async def enter(self, name: str) -> float | None:
        """As `Gate.enter`."""
        worker = self._worker(name)
        waiting = asyncio.ensure_future(self._gate.enter())
        worker.entering.add(waiting)
        try:
            await asyncio.wait([waiting])
        finally:
            worker.entering.discard(waiting)
        ticket = None if waiting.cancelled() else waiting.result()
        if ticket is not None and name in self._gone:
            await self._gate.leave(ticket, _GONE)
            return None
        if ticket is not None:
            worker.tickets.append(ticket)
        return ticket

    async def leave(self, name: str, ticket: float, error: BingError | None) -> None:
        """As `Gate.leave`."""
        tickets = self._worker(name).tickets
        if ticket in tickets:  # else it was freed, as the worker seemed to be gone
            tickets.remove(ticket)
            await self._gate.leave(ticket, error)
        if self._gate.closed:
            self._over.set()

    async def refuse(self, error: BingError) -> None:
        """A worker cannot work as it is set up; neither would the others."""
        if not self._gate.closed:
            self._gate.stopped = error
        await self.close()

    async def close(self) -> None:
        """Let no further turn begin."""
        self._gate.close()
        self._over.set()

    async def state(self) -> State:
        """How the run stands."""
        has_ended = self._gate.closed and not any(worker.tables for worker in self._workers.values())
        ended = {name: worker.answered for name, worker in self._workers.items()} if has_ended else None
        return State(self._gate.stopped, self._gate.waiting, self._gate.turns, ended)

    def _worker(self, name: str) -> _Worker:
        if name in self._gone:
            return _Worker()
        return self._workers.setdefault(name, _Worker())

    async def _forget(self, name: str) -> None:
        self._gone.add(name)
        worker = self._workers.pop(name, _Worker())
        for waiting in worker.entering:
            waiting.cancel()
        for ticket in worker.tickets:
            await self._gate.leave(ticket, _GONE)


class RemoteGate:
    """The shared gate, as a worker sees it: a `Gate`.

    Args:
        actor: The handle of the actor, each method of which has a `remote` that gives an awaitable.
        name: The worker's name, which no other has, also none before it in the same actor.
    """

    def __init__(self, actor: Any, name: str) -> None:
        self._actor = actor
        self._name = name

    async def attend(self) -> None:
        """Wait until no further turn may begin.

        Raises:
            GateLost: As all methods: the gate is gone.
        """
        lifeline = self._actor.attend.remote()
        self._actor.watch.remote(self._name, [lifeline])
        await _reached(lifeline)

    async def begin(self) -> bool:
        """Whether a table of rows may be taken up."""
        may_begin: bool = await _reached(self._actor.begin.remote(self._name))
        return may_begin

    async def end(self, answered: int) -> None:
        """A table is done, and has given so many rows."""
        await _reached(self._actor.end.remote(self._name, answered))

    async def enter(self) -> float | None:
        """As `Gate.enter`."""
        ticket: float | None = await _reached(self._actor.enter.remote(self._name))
        return ticket

    async def leave(self, ticket: float, error: BingError | None) -> None:
        """As `Gate.leave`."""
        await _reached(self._actor.leave.remote(self._name, ticket, error))


async def _reached(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Exception as exc:
        raise GateLost from exc
