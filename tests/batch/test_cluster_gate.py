"""The gate of a cluster: one pace for all workers, and none of it is lost with a worker that dies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bing_llm.batch.cluster_gate import GateLost, RemoteGate, SharedGate
from bing_llm.errors import BingError, ConfigurationError, Throttled, Unauthorized
from tests.batch.acting import Handle
from tests.hurrying import Hurried, hurried


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(10):
        await asyncio.sleep(0)


class Cluster:
    """Two workers before one gate, in a time that passes at once."""

    def __init__(self, concurrency: int = 2, **options: Any) -> None:
        self.loop = Hurried()
        self.shared = SharedGate(concurrency, retries=self.loop.retries(), **options)
        self.handles = [Handle(self.shared) for _ in range(2)]
        self.one, self.other = (RemoteGate(handle, f"w{number}") for number, handle in enumerate(self.handles))
        self._attending: list[asyncio.Task[None]] = []

    async def attend(self) -> None:
        """Both workers are there."""
        self._attending = [asyncio.create_task(gate.attend()) for gate in (self.one, self.other)]
        await settle()

    async def end(self) -> None:
        """The run is over."""
        await self.shared.close()
        await asyncio.gather(*self._attending, return_exceptions=True)
        await settle()


async def entered(gate: RemoteGate) -> float:
    """The ticket of a turn that may begin now or later."""
    ticket = await gate.enter()
    assert ticket is not None
    return ticket


def test_the_rate_is_that_of_all_workers_together() -> None:
    """Turns of two workers begin as far apart as turns of one."""
    cluster = Cluster(rate=60)
    times: list[float] = []

    async def turns(gate: RemoteGate) -> None:
        for _ in range(5):
            ticket = await entered(gate)
            times.append(cluster.loop.now)
            await gate.leave(ticket, None)

    async def run() -> None:
        await asyncio.gather(turns(cluster.one), turns(cluster.other))

    hurried(run(), cluster.loop)
    assert times == pytest.approx([float(second) for second in range(10)])


def test_the_window_is_that_of_all_workers_together() -> None:
    """A worker waits while another one has all the turns that may be open."""
    cluster = Cluster(concurrency=2)

    async def run() -> None:
        first, _ = await entered(cluster.one), await entered(cluster.one)
        waits = asyncio.create_task(cluster.other.enter())
        await settle()
        assert not waits.done()
        await cluster.one.leave(first, None)
        assert await waits is not None

    hurried(run(), cluster.loop)


def test_what_throttles_one_worker_slows_all() -> None:
    """After a Retry-After nobody begins a turn before it, and then with half the window."""
    cluster = Cluster(concurrency=4)

    async def run() -> None:
        await cluster.one.leave(await entered(cluster.one), Throttled("Slow down.", retry_after=60.0))
        waits = [asyncio.create_task(cluster.other.enter()) for _ in range(4)]
        await settle()
        assert "throttles" in (await cluster.shared.state()).waiting
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        assert cluster.loop.now >= 60.0
        await settle()
        assert sum(wait.done() for wait in waits) == 2
        await cluster.end()
        await asyncio.gather(*waits)

    hurried(run(), cluster.loop)


def test_an_error_that_ends_the_batch_ends_it_for_all() -> None:
    """Who waits gets no ticket, and the state says why."""
    cluster = Cluster(concurrency=1)

    async def run() -> None:
        await cluster.attend()
        ticket = await entered(cluster.one)
        waits = asyncio.create_task(cluster.other.enter())
        await settle()
        await cluster.one.leave(ticket, Unauthorized("Not you."))
        assert await waits is None
        await asyncio.gather(*cluster._attending)
        state = await cluster.shared.state()
        assert isinstance(state.stopped, Unauthorized)
        assert state.ended == {"w0": 0, "w1": 0}
        await cluster.end()

    hurried(run(), cluster.loop)


def test_what_a_dead_worker_held_is_free_again() -> None:
    """Its open turns count no more, and what it waited for goes to others."""
    cluster = Cluster(concurrency=2)

    async def run() -> None:
        await cluster.attend()
        await entered(cluster.one)
        await entered(cluster.one)
        lost = asyncio.create_task(cluster.one.enter())
        waits = [asyncio.create_task(cluster.other.enter()) for _ in range(2)]
        await settle()
        cluster.handles[0].die()
        assert None not in await asyncio.gather(*waits)
        with pytest.raises(GateLost):
            await lost
        await cluster.end()

    hurried(run(), cluster.loop)


def test_a_dead_worker_gets_nothing_any_more() -> None:
    """A call of it that arrives late takes no ticket and gives none back."""
    cluster = Cluster(concurrency=1)

    async def run() -> None:
        await cluster.attend()
        ticket = await entered(cluster.one)
        cluster.handles[0].die()
        await settle()
        assert await cluster.shared.enter("w0") is None
        await cluster.shared.leave("w0", ticket, None)
        assert not await cluster.shared.begin("w0")
        await entered(cluster.other)
        waits = asyncio.create_task(cluster.other.enter())
        await settle()
        assert not waits.done()
        await cluster.end()
        await waits

    hurried(run(), cluster.loop)


def test_a_run_has_ended_when_no_table_is_open_any_more() -> None:
    """From then on the state says what has to come; before, and while the gate is open, it does not."""
    cluster = Cluster()

    async def run() -> None:
        await cluster.attend()
        assert await cluster.one.begin()
        assert await cluster.other.begin()
        await cluster.one.end(3)
        assert (await cluster.shared.state()).ended is None
        await cluster.shared.close()
        assert (await cluster.shared.state()).ended is None
        assert not await cluster.one.begin()
        await cluster.other.end(1)
        assert (await cluster.shared.state()).ended == {"w0": 3, "w1": 1}
        await cluster.end()

    hurried(run(), cluster.loop)


def test_what_a_dead_worker_has_answered_is_not_waited_for() -> None:
    """Its tables are open no more, and its rows may never come."""
    cluster = Cluster()

    async def run() -> None:
        await cluster.attend()
        assert await cluster.one.begin()
        assert await cluster.other.begin()
        await cluster.other.end(2)
        cluster.handles[0].die()
        await settle()
        await cluster.shared.close()
        assert (await cluster.shared.state()).ended == {"w1": 2}
        await cluster.end()

    hurried(run(), cluster.loop)


@pytest.mark.parametrize("first", [None, Unauthorized("Not you.")], ids=["open", "closed already"])
def test_a_worker_that_cannot_work_ends_the_run(first: BingError | None) -> None:
    """Its error is the reason, unless there is one already."""
    cluster = Cluster()

    async def run() -> None:
        await cluster.attend()
        if first is not None:
            await cluster.one.leave(await entered(cluster.one), first)
        await cluster.shared.refuse(ConfigurationError("No cookies."))
        state = await cluster.shared.state()
        assert isinstance(state.stopped, ConfigurationError if first is None else Unauthorized)
        assert await cluster.other.enter() is None
        await cluster.end()

    hurried(run(), cluster.loop)


async def test_a_gate_that_is_gone_has_one_error() -> None:
    """Every call of a worker fails in the same way, whatever Ray says."""
    gate = RemoteGate(Handle(None), "w0")
    for call in (gate.enter(), gate.leave(1.0, None), gate.begin(), gate.end(1), gate.attend()):
        with pytest.raises(GateLost):
            await call
