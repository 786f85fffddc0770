"""Tasks of the emulator's agents: who listens, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from bing_llm import events as ev
from bing_llm.emulator.workiq.a2a import tasks
from bing_llm.emulator.workiq.a2a.tasks import Ended, First, Step, Task, Tasks

DONE = Ended("TASK_STATE_COMPLETED")


async def steps(*given: Step) -> AsyncGenerator[First, None]:
    """What a turn does after its first step."""
    for step in given:
        yield step


async def followed(task: Task, place: int = 0) -> list[Step]:
    """All steps of the running turn from this one on."""
    return [step async for step in task.follow(place)]


def piece(text: str) -> ev.TextDelta:
    """A piece of text."""
    return ev.TextDelta(text)


async def test_each_listener_gets_all_steps() -> None:
    """From where it began, whoever else listens."""
    task = Task("c1", None)
    task.begin(piece("a"), steps(piece("b"), piece("c"), DONE))
    whole, rest = await asyncio.gather(followed(task), followed(task, 2))
    assert whole == [piece("a"), piece("b"), piece("c"), DONE]
    assert rest == whole[2:]
    assert ([*task.artifacts.values()], task.state) == (["abc"], "TASK_STATE_COMPLETED")
    assert task.place == 0  # nobody can follow it any more


async def test_a_slow_listener_holds_the_task_back() -> None:
    """It is not far ahead of who listens, so that it does not keep what nobody takes."""
    task = Task("c1", None)
    task.begin(piece("0"), steps(*[piece("x")] * 2000, DONE))
    listener = task.follow(0)
    await anext(listener)
    before = -1
    while before != task.place:
        before = task.place
        for _ in range(20):
            await asyncio.sleep(0)
    assert task.place < 300
    assert len([step async for step in listener]) == 2001


async def test_a_task_ends_some_time_after_its_last_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may come back until then."""
    monkeypatch.setattr(tasks, "GRACE_S", 0.0)
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[First, None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield piece("x")
        finally:
            ended.set()

    task = Task("c1", None)
    task.begin(piece("a"), endless())
    listener = task.follow(0)
    await anext(listener)
    await listener.aclose()
    await asyncio.wait_for(ended.wait(), 10)
    assert task.state == "TASK_STATE_CANCELED"


async def test_a_turn_that_goes_on_has_an_artifact_of_its_own() -> None:
    """Those of earlier turns stay."""
    task = Task("c1", None)
    task.begin(piece("a"), steps(Ended("TASK_STATE_INPUT_REQUIRED")))
    await followed(task)
    assert not task.is_running
    task.begin(piece("b"), steps(ev.TextRevised("c"), DONE))
    await followed(task)
    assert [*task.artifacts.values()] == ["a", "c"]


async def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, but those that run stay."""
    monkeypatch.setattr(tasks, "TASKS_KEPT", 3)
    monkeypatch.setattr(tasks, "CHARACTERS_KEPT", 10)
    kept = Tasks()
    running = Task("c1", None)
    kept.add(running)
    idle = [Task("c1", None) for _ in range(5)]
    for each in idle:
        each.state = "TASK_STATE_COMPLETED"
        kept.add(each)
    assert kept.find(running.id) is running
    assert [kept.find(each.id) is not None for each in idle] == [False, False, False, True, True]
    idle[4].artifacts["a"] = "x" * 11
    kept.add(Task("c1", None))
    assert kept.find(idle[4].id) is None
