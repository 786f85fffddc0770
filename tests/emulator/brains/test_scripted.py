"""A brain that says what a test wrote down."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Pause, Question, Scripted
from bing_llm.emulator.brains.base import Output


async def said(brain: Scripted, text: str = "Hello") -> list[Output]:
    """The outputs of one turn."""
    return [output async for output in brain.answer(Question(text=text))]


async def test_turns_come_in_order() -> None:
    """Each request gets the next turn; text is a delta, events and errors are what they are."""
    error = errors.Throttled()
    brain = Scripted([["a", ev.Quota(1, 2)], [error], []])
    assert await said(brain) == [ev.TextDelta("a"), ev.Quota(1, 2)]
    assert await said(brain) == [error]
    assert await said(brain) == []
    assert brain.played == 3


async def test_a_script_that_has_run_out_says_so() -> None:
    """A request without a turn is refused as invalid, which no client tries again, and the text says why."""
    brain = Scripted([["a"]])
    await said(brain)
    (refusal,) = await said(brain)
    assert isinstance(refusal, errors.InvalidRequest)
    assert refusal.service_message == "The script of the emulator has no turn number 2; it has 1."


async def test_a_mapping_goes_by_the_message() -> None:
    """A mapping has a turn for each message, any number of times; another message is refused."""
    brain = Scripted({"Hello": ["a"], "nothing": []})
    assert await said(brain) == await said(brain) == [ev.TextDelta("a")]
    assert await said(brain, "nothing") == []
    (refusal,) = await said(brain, "Bye")
    assert isinstance(refusal, errors.InvalidRequest)
    assert "'Bye'" in (refusal.service_message or "")


async def test_a_function_makes_the_turn() -> None:
    """A function gets the question and gives the turn; a wrong turn is an error when it is asked for."""
    assert await said(Scripted(lambda question: [question.text, "!"])) == [ev.TextDelta("Hello"), ev.TextDelta("!")]
    with pytest.raises(errors.ConfigurationError, match="for 'Hello'"):
        await said(Scripted(lambda _: [1]))  # type: ignore[list-item]


async def test_a_script_may_be_any_iterable() -> None:
    """Turns and lines may come from generators: they are read once, when the script is made."""
    brain = Scripted((word for word in ("a", "b")) for _ in range(2))
    assert await said(brain) == await said(brain) == [ev.TextDelta("a"), ev.TextDelta("b")]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("text", "script is a str"),
        (5, "script is a int"),
        (["text"], "Turn 0 of the script is a str"),
        ([["a"], 5], "Turn 1 of the script is a int"),
        ([["a", 5]], "Line 1 of turn 0 of the script is a int"),
        ([[errors.Throttled]], "is the class Throttled"),
        ([[errors.ConnectionFailed()]], "cannot play ConnectionFailed"),
        ([[errors.UploadFailed()]], "cannot play UploadFailed"),
        ([[ev.Restarted("x")]], "Restarted"),
        ([[ev.ImageCreated("x")]], "ImageCreated"),
        ([[errors.Throttled(), "a"]], "goes on after line 0, Throttled"),
        ([[ev.TurnCompleted(ev.Reply()), "a"]], "goes on after line 0, TurnCompleted"),
        ({"Hello": "a"}, "Turn 'Hello'"),
    ],
)
def test_a_wrong_script_is_refused_when_it_is_made(script: Any, words: str) -> None:
    """What cannot be played is an error at once, and its text says where it stands."""
    with pytest.raises(errors.ConfigurationError, match=words):
        Scripted(script)


async def test_a_pause_waits() -> None:
    """It is waited for in its place, and nothing is sent for it."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    brain = Scripted([["a", Pause(0.5), "b", Pause(2)]], sleep=sleep)
    assert await said(brain) == [ev.TextDelta("a"), ev.TextDelta("b")]
    assert waited == [0.5, 2]
    with pytest.raises(errors.ConfigurationError, match=r"Pause\(seconds=-1\) must have 0 or more seconds"):
        Pause(-1)
