"""Which faults there may be, where, and when they hit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, get_args

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.brains.base import Output
from bing_llm.emulator.fault_plan import Fault, FaultKind, FaultPlan, FaultPoint, Service, Step, fits
from bing_llm.emulator.faults import (
    Cut,
    Duplicate,
    HandshakeRefused,
    HttpAnswer,
    Late,
    Merge,
    NewMessage,
    Raw,
    Silence,
    Split,
)

TURN = "first mid last"
TASK = "subscription task"
ALL = f"creation request {TURN} {TASK}"
GENTLY: Any = "gently"


@pytest.mark.parametrize(
    ("what", "chathub", "workiq", "a2a"),
    [
        (HttpAnswer(503), "creation upgrade", "creation request", f"creation request {TASK}"),
        (Cut(), f"creation upgrade handshake {TURN}", f"creation request {TURN}", ALL),
        (Cut("close 1000"), f"handshake {TURN}", "", ""),
        (Cut("type 7"), f"handshake {TURN}", "", ""),
        (Cut("type 3"), TURN, "", ""),
        (Cut("end"), "", TURN, TURN),
        (Silence(), f"creation upgrade handshake {TURN}", f"creation request {TURN}", ALL),
        (Silence(pings=True), TURN, TURN, TURN),
        (Late(1.0), "creation", "creation request", "creation request"),
        (Raw("{"), f"handshake {TURN}", TURN, TURN),
        (Split(), f"creation handshake {TURN}", f"creation {TURN}", f"creation {TURN}"),
        (Merge(), "first mid", "first mid", "first mid"),
        (Duplicate(), TURN, TURN, TURN),
        (NewMessage(), "first mid", "first mid", ""),
        (HandshakeRefused(), "handshake", "", ""),
        (errors.Throttled(), f"creation {TURN}", f"creation {TURN}", f"creation {TURN} {TASK}"),
        (errors.SessionExpired(), TURN, TURN, f"{TURN} {TASK}"),
        (errors.ContentFiltered(), TURN, TURN, TURN),
        (errors.CaptchaRequired(), TURN, "", ""),
        (ev.TextRevised("new"), TURN, TURN, TURN),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fault_fits_some_steps(what: FaultKind, chathub: str, workiq: str, a2a: str) -> None:
    """Each kind may hit the steps of the table in the docstring, and is refused for those of no service."""
    allowed: dict[Service, list[str]] = {"chathub": chathub.split(), "workiq": workiq.split(), "a2a": a2a.split()}
    for step in get_args(Step):
        places = [service for service, steps in allowed.items() if step in steps]
        if places:
            Fault(what, step)
            assert [service for service in allowed if fits(what, service, step)] == places
        else:
            with pytest.raises(errors.ConfigurationError):
                Fault(what, step)


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        (Cut(), {"step": "middle"}, "'middle'; it must be one of creation, upgrade"),
        (Cut(), {"step": "mid", "after": 0}, "after of a fault is 0"),
        (Cut(), {"step": "mid", "turn": "2"}, "turn of a fault is '2'"),
        (Cut(), {"step": "last", "after": 2}, "after is of step 'mid' alone"),
        (
            Cut(GENTLY),
            {"step": "mid"},
            "'gently'.*abort",
        ),
        (HttpAnswer(101), {"step": "upgrade"}, "101; it must be from 200 to 599"),
        (Split(0), {"step": "mid"}, "size from 1 on"),
        (Split(1, pause=-1), {"step": "mid"}, "pause of 0 or more"),
        (Merge(), {"step": "last"}, r"Merge\(\) cannot hit the step 'last'"),
        (errors.UploadFailed(), {"step": "first"}, "cannot play UploadFailed"),
        (errors.TimedOut(), {"step": "creation"}, "refuse a creation with TimedOut"),
        (ev.Restarted("why"), {"step": "mid"}, "cannot send Restarted"),
        ("text", {"step": "mid"}, "cannot play a str"),
        (Cut, {"step": "mid"}, "cannot play the class Cut"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(what: Any, options: dict[str, Any], said: str) -> None:
    """The error says what is wrong and what is allowed."""
    with pytest.raises(errors.ConfigurationError, match=said):
        Fault(what, **options)


ONE, TWO = ev.TextDelta("one"), ev.TextDelta("two")


async def said(*outputs: Output) -> AsyncGenerator[Output, None]:
    """What a brain says."""
    for output in outputs:
        yield output


async def turn(plan: FaultPlan, *outputs: Output, service: Service = "chathub") -> list[object]:
    """One turn, with what hits it."""
    return [each async for each in plan.interrupt(service, said(*outputs))]


async def test_faults_hit_between_the_pieces() -> None:
    """A fault hits before the first piece, after a number of pieces or after the last, and is used up by that."""
    first, mid, last = Raw("first"), Raw("mid"), Raw("last")
    plan = FaultPlan([Fault(last, "last"), Fault(mid, "mid", after=2), Fault(first, "first")])
    assert await turn(plan, ONE, TWO) == [first, ONE, TWO, mid, last]
    assert await turn(plan, ONE, TWO) == [ONE, TWO]
    assert plan.left == []


async def test_a_fault_may_wait_for_its_turn() -> None:
    """`turn` is the number of the turn that is answered; without one it is the next."""
    plan = FaultPlan([Fault(Cut(), "first", turn=3), Fault(Silence(), "first")])
    assert await turn(plan, ONE) == [Silence(), ONE]
    assert await turn(plan, ONE) == [ONE]
    assert await turn(plan, ONE) == [Cut(), ONE]


def test_steps_are_counted_each_for_itself() -> None:
    """The second creation may come before the first upgrade; services have counts of their own."""
    plan = FaultPlan([Fault(Cut(), "creation", turn=2), Fault(Cut(), "upgrade", turn=1)])
    came = [plan.fault_at("chathub", "creation"), plan.fault_at("workiq", "creation")]
    assert came == [None, None]
    assert (plan.fault_at("chathub", "creation"), plan.fault_at("chathub", "upgrade")) == (Cut(), Cut())


def test_faults_of_one_step_are_used_in_order() -> None:
    """One each time that the step comes by."""
    plan = FaultPlan([Fault(HttpAnswer(500), "creation"), Fault(HttpAnswer(502), "creation")])
    came = [plan.fault_at("chathub", "creation") for _ in range(3)]
    assert came == [HttpAnswer(500), HttpAnswer(502), None]


async def test_a_fault_waits_for_its_service() -> None:
    """What only one service can play leaves the other alone."""
    plan = FaultPlan([Fault(Cut("end"), "last")])
    assert await turn(plan, ONE) == [ONE]
    assert await turn(plan, ONE, service="workiq") == [ONE, Cut("end")]


async def test_nothing_follows_an_error() -> None:
    """An error of the brain ends the turn: no fault hits after it."""
    error = errors.Throttled()
    plan = FaultPlan([Fault(Cut(), "mid"), Fault(Cut(), "last")])
    assert await turn(plan, error) == [error]
    assert len(plan.left) == 2


async def test_a_function_is_asked_at_each_moment() -> None:
    """The function is given service, step, turn and piece."""
    asked: list[FaultPoint] = []

    def choose(point: FaultPoint) -> FaultKind | None:
        asked.append(point)
        return Cut() if point.step == "last" else None

    plan = FaultPlan(choose)
    assert plan.fault_at("chathub", "creation") is None
    assert await turn(plan, ONE, TWO) == [ONE, TWO, Cut()]
    assert asked == [
        FaultPoint("chathub", "creation", 1),
        FaultPoint("chathub", "first", 1),
        FaultPoint("chathub", "mid", 1, 1),
        FaultPoint("chathub", "mid", 1, 2),
        FaultPoint("chathub", "last", 1),
    ]
    assert plan.left == []


@pytest.mark.parametrize("what", [Cut("end"), Raw("x"), errors.UploadFailed(), "text"])
def test_what_a_function_gives_must_fit(what: Any) -> None:
    """What the step of this service cannot have is refused."""
    plan = FaultPlan(lambda _: what)
    with pytest.raises(errors.ConfigurationError):
        plan.fault_at("chathub", "creation")


def test_a_function_may_not_name_the_other_service() -> None:
    """What only the other service can play is refused, with the names of both."""
    with pytest.raises(errors.ConfigurationError, match="'first' of chathub"):
        FaultPlan(lambda _: Cut("end"))._at(FaultPoint("chathub", "first", 1))
