"""When faults hit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.brains.base import Thought
from bing_llm.emulator.faults import Fault, Service, What
from bing_llm.emulator.plan import Moment, Plan
from bing_llm.emulator.wire_faults import Cut, HttpAnswer, Raw, Silence

ONE, TWO = ev.TextDelta("one"), ev.TextDelta("two")


async def said(*thoughts: Thought) -> AsyncGenerator[Thought, None]:
    """What a brain says."""
    for thought in thoughts:
        yield thought


async def turn(plan: Plan, *thoughts: Thought, service: Service = "chathub") -> list[object]:
    """One turn, with what hits it."""
    return [each async for each in plan.interrupt(service, said(*thoughts))]


async def test_faults_hit_between_the_pieces() -> None:
    """Before the first piece, behind so many, and behind the last; each is used up by that."""
    first, mid, last = Raw("first"), Raw("mid"), Raw("last")
    plan = Plan([Fault(last, "last"), Fault(mid, "mid", after=2), Fault(first, "first")])
    assert await turn(plan, ONE, TWO) == [first, ONE, TWO, mid, last]
    assert await turn(plan, ONE, TWO) == [ONE, TWO]
    assert plan.left == []


async def test_a_fault_may_wait_for_its_turn() -> None:
    """`turn` is the number of the turn that is answered; without one it is the next."""
    plan = Plan([Fault(Cut(), "first", turn=3), Fault(Silence(), "first")])
    assert await turn(plan, ONE) == [Silence(), ONE]
    assert await turn(plan, ONE) == [ONE]
    assert await turn(plan, ONE) == [Cut(), ONE]


def test_steps_are_counted_each_for_itself() -> None:
    """The second creation may come before the first upgrade; services have counts of their own."""
    plan = Plan([Fault(Cut(), "creation", turn=2), Fault(Cut(), "upgrade", turn=1)])
    came = [plan.come_to("chathub", "creation"), plan.come_to("workiq", "creation")]
    assert came == [None, None]
    assert (plan.come_to("chathub", "creation"), plan.come_to("chathub", "upgrade")) == (Cut(), Cut())


def test_faults_of_one_step_are_used_in_order() -> None:
    """One each time that the step comes by."""
    plan = Plan([Fault(HttpAnswer(500), "creation"), Fault(HttpAnswer(502), "creation")])
    came = [plan.come_to("chathub", "creation") for _ in range(3)]
    assert came == [HttpAnswer(500), HttpAnswer(502), None]


async def test_a_fault_waits_for_its_service() -> None:
    """What only one service can play leaves the other alone."""
    plan = Plan([Fault(Cut("end"), "last")])
    assert await turn(plan, ONE) == [ONE]
    assert await turn(plan, ONE, service="workiq") == [ONE, Cut("end")]


async def test_nothing_follows_an_error() -> None:
    """An error of the brain ends the turn: no fault hits behind it."""
    error = errors.Throttled()
    plan = Plan([Fault(Cut(), "mid"), Fault(Cut(), "last")])
    assert await turn(plan, error) == [error]
    assert len(plan.left) == 2


async def test_a_function_is_asked_at_each_moment() -> None:
    """It is told service, step, turn and piece."""
    asked: list[Moment] = []

    def choose(moment: Moment) -> What | None:
        asked.append(moment)
        return Cut() if moment.step == "last" else None

    plan = Plan(choose)
    assert plan.come_to("chathub", "creation") is None
    assert await turn(plan, ONE, TWO) == [ONE, TWO, Cut()]
    assert asked == [
        Moment("chathub", "creation", 1),
        Moment("chathub", "first", 1),
        Moment("chathub", "mid", 1, 1),
        Moment("chathub", "mid", 1, 2),
        Moment("chathub", "last", 1),
    ]
    assert plan.left == []


@pytest.mark.parametrize("what", [Cut("end"), Raw("x"), errors.UploadFailed(), "text"])
def test_what_a_function_gives_must_fit(what: Any) -> None:
    """What the step of this service cannot have is refused."""
    plan = Plan(lambda _: what)
    with pytest.raises(errors.ConfigurationError):
        plan.come_to("chathub", "creation")


def test_a_function_may_not_name_the_other_service() -> None:
    """What only the other service can play is refused, with the names of both."""
    with pytest.raises(errors.ConfigurationError, match="'first' of chathub"):
        Plan(lambda _: Cut("end"))._at(Moment("chathub", "first", 1))
