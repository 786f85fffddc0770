"""One of a thing for each event loop: made once, and closed however that loop or its owner ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from bing_llm import _per_loop
from bing_llm._per_loop import PerLoop
from bing_llm.sync import run


class Thing:
    """What is kept; it notes what becomes of it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ends: list[str] = []
        self.closed_on: asyncio.AbstractEventLoop | None = None

    def let_go(self) -> None:
        """Note it."""
        self.ends.append("let go")

    async def aclose(self) -> None:
        """Note it, and wait as long as that is possible."""
        self.ends.append("closed")
        if "let go" not in self.ends:
            self.closed_on = asyncio.get_running_loop()
            await asyncio.sleep(0)


async def test_a_loop_gets_the_same_one_each_time() -> None:
    """It is made once, until it is closed."""
    things = PerLoop[Thing]()
    first = await things.here(Thing)
    assert await things.here(Thing) is first
    assert list(things) == [first]
    await things.aclose()
    await things.aclose()
    assert (first.ends, list(things)) == (["closed"], [])
    assert await things.here(Thing) is not first
    await things.aclose()


def test_it_ends_with_its_loop() -> None:
    """`asyncio.run` closes it on its own loop."""
    things = PerLoop[Thing]()
    first, second = (asyncio.run(things.here(Thing)) for _ in range(2))
    assert first is not second
    assert [thing.ends for thing in (first, second)] == [["closed"]] * 2
    assert (first.closed_on, list(things)) == (first.loop, [])


def close(things: PerLoop[Thing]) -> None:
    """Close all of them from a loop of its own."""
    asyncio.run(things.aclose())


def use(things: PerLoop[Thing]) -> None:
    """Use it on another loop."""
    asyncio.run(things.here(Thing))


def exit_(_things: PerLoop[Thing]) -> None:
    """End the interpreter, as far as this module is asked."""
    _per_loop._close_idle()


@pytest.mark.parametrize(("is_closed", "end"), [(True, close), (True, use), (False, close), (False, exit_)])
def test_it_is_closed_at_once_where_its_loop_does_not_run(
    end: Callable[[PerLoop[Thing]], None], *, is_closed: bool
) -> None:
    """That loop may never run again: it is prepared so that its end waits for nothing."""
    things = PerLoop[Thing]()
    loop = asyncio.new_event_loop()
    thing = loop.run_until_complete(things.here(Thing))
    if is_closed:
        loop.close()
    end(things)
    assert (thing.ends, list(things)) == (["let go", "closed"], [])
    loop.close()


@pytest.mark.parametrize("collected", [False, True])
def test_it_is_closed_on_its_loop_where_that_runs_elsewhere(*, collected: bool) -> None:
    """From another thread, whether by the owner or by the collector."""
    things = PerLoop[Thing]()
    thing = run(things.here(Thing))
    if collected:
        del things
        gc.collect()
    else:
        close(things)
    run(asyncio.sleep(0.0))
    run(asyncio.sleep(0.0))
    assert thing.ends == ["closed"]
    assert thing.closed_on is thing.loop


def test_one_that_was_replaced_leaves_the_new_one_alone() -> None:
    """A loop goes on after its thing was closed from elsewhere, and gets another one."""
    things = PerLoop[Thing]()
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(things.here(Thing))
    close(things)
    second = loop.run_until_complete(things.here(Thing))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert (first.ends, second.ends) == (["let go", "closed"], ["closed"])
