"""What belongs to a process or to an event loop: made once, and closed however that ends."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable

import pytest

from bing_llm import BingClient, ConfigurationError
from bing_llm._loops import PerLoop, PerProcess, close_idle_loops, in_this_process
from bing_llm.sync import run


class Thing:
    """What is kept; it notes what becomes of it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ends: list[str] = []
        self.closed_on: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """Note it."""
        self.ends.append("closed at once")

    async def aclose(self) -> None:
        """Note it, and wait."""
        self.ends.append("closed")
        self.closed_on = asyncio.get_running_loop()
        await asyncio.sleep(0)


async def test_a_loop_gets_the_same_one_each_time() -> None:
    """It is made once, until it is closed."""
    things = PerLoop[Thing]()
    first = await things.get_or_create(Thing)
    assert await things.get_or_create(Thing) is first
    assert list(things) == [first]
    await things.aclose()
    await things.aclose()
    assert (first.ends, list(things)) == (["closed"], [])
    assert await things.get_or_create(Thing) is not first
    await things.aclose()


def test_it_ends_with_its_loop() -> None:
    """`asyncio.run` closes it on its own loop."""
    things = PerLoop[Thing]()
    first, second = (asyncio.run(things.get_or_create(Thing)) for _ in range(2))
    assert first is not second
    assert [thing.ends for thing in (first, second)] == [["closed"]] * 2
    assert (first.closed_on, list(things)) == (first.loop, [])


def close(things: PerLoop[Thing]) -> None:
    """Close all of them from a loop of its own."""
    asyncio.run(things.aclose())


def use(things: PerLoop[Thing]) -> None:
    """Use it on another loop."""
    asyncio.run(things.get_or_create(Thing))


def exit_(_things: PerLoop[Thing]) -> None:
    """End the interpreter, as far as this module is asked."""
    close_idle_loops()


@pytest.mark.parametrize(("is_closed", "end"), [(True, close), (True, use), (False, close), (False, exit_)])
def test_it_is_closed_at_once_where_its_loop_does_not_run(
    end: Callable[[PerLoop[Thing]], None], *, is_closed: bool
) -> None:
    """That loop may never run again, so nothing waits for it."""
    things = PerLoop[Thing]()
    loop = asyncio.new_event_loop()
    thing = loop.run_until_complete(things.get_or_create(Thing))
    if is_closed:
        loop.close()
    end(things)
    assert (thing.ends, list(things)) == (["closed at once"], [])
    loop.close()


@pytest.mark.parametrize("collected", [False, True])
def test_it_is_closed_on_its_loop_where_that_runs_elsewhere(*, collected: bool) -> None:
    """From another thread, whether by the owner or by the collector."""
    things = PerLoop[Thing]()
    thing = run(things.get_or_create(Thing))
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
    first = loop.run_until_complete(things.get_or_create(Thing))
    close(things)
    second = loop.run_until_complete(things.get_or_create(Thing))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert (first.ends, second.ends) == (["closed at once"], ["closed"])


# --- processes --------------------------------------------------------------------------------------------------------


def test_each_process_has_its_own_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child makes one of its own, and keeps the inherited one, unused, so that it is not collected."""
    lists: PerProcess[list[int]] = PerProcess(list)
    mine = lists.get()
    assert lists.get() is mine
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        theirs = lists.get()
        assert theirs is not mine
        assert lists.get() is theirs
        assert any(value is mine for value in gc.get_referents(lists._values))
    assert lists.get() is mine


def test_two_threads_that_come_first_get_one_value() -> None:
    """Of two that are made at once, one is kept."""
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        if len(made) == 1:
            lists.get()  # as another thread might do here
        return made[-1]

    lists = PerProcess(make)
    assert lists.get() is lists.get()
    assert len(made) == 2


def test_a_timer_does_nothing_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop is copied with its timers, which are the parent's."""
    done: list[int] = []
    action = in_this_process(lambda: done.append(1))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    action()
    assert done == []
    monkeypatch.undo()
    action()
    assert done == [1]


def test_a_child_closes_nothing_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by its owner, nor with the loop that was copied, nor at its exit."""
    things = PerLoop[Thing]()
    loop = asyncio.new_event_loop()
    thing = loop.run_until_complete(things.get_or_create(Thing))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert list(things) == []
    childs = loop.run_until_complete(things.get_or_create(Thing))
    close(things)
    close_idle_loops()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert (thing.ends, childs.ends) == ([], ["closed at once"])
    monkeypatch.undo()
    close(things)
    assert thing.ends == ["closed at once"]


def test_a_call_on_another_kind_of_loop_says_so() -> None:
    """Trio runs coroutines too, but without the loop of asyncio that connections need: an error says what to do."""
    client = BingClient(backend="emulator")
    for call in (client.ask("Hi"), client.create_conversation(), client.list_conversations(), client.__aenter__()):
        with pytest.raises(ConfigurationError, match=r"needs an asyncio event loop.*SyncBingClient"):
            call.send(None)
