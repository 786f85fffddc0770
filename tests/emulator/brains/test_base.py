"""What a brain is asked, and what it says, made safe."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Brain, Obedient, Question, Scripted, Upstream
from bing_llm.emulator.brains.base import Output, brain_failure, checked_output, ends_conversation, outputs_of
from tests.emulator.chathub.test_turn import Failing

QUESTION = Question(text="Hello")


def test_a_question_needs_only_its_text() -> None:
    """Everything but the text has a default: a first turn without context, with search."""
    question = Question(text="Hello")
    assert (question.context, question.history, question.search, question.images, question.number) == (
        "",
        (),
        True,
        (),
        0,
    )


def test_our_brains_are_brains() -> None:
    """Each of the three brains offers what a brain must."""
    brains: list[Brain] = [Obedient(), Scripted([]), Upstream("http://127.0.0.1:1/v1", "m")]
    assert all(callable(brain.answer) for brain in brains)


async def test_what_a_brain_raises_comes_last() -> None:
    """An error that a brain raises is given as if it had yielded it."""
    error = errors.Throttled()
    assert [output async for output in outputs_of(Failing(ev.TextDelta("Hi"), error), QUESTION)] == [
        ev.TextDelta("Hi"),
        error,
    ]


async def test_an_exception_is_a_mistake_of_the_brain(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else a brain raises is logged, and given as an error that no client tries again."""
    (output,) = [output async for output in outputs_of(Failing(error=LookupError("no such thing")), QUESTION)]
    assert isinstance(output, errors.InvalidRequest)
    assert output.service_message == "The emulator's brain failed (LookupError: no such thing)."
    (record,) = caplog.records
    assert (record.name, record.exc_info is None) == ("bing_llm.emulator.brains.base", False)


async def test_a_brain_is_closed_with_its_reader() -> None:
    """Who stops reading ends the brain's generator."""
    outputs = outputs_of(Scripted([["Hello ", "there."]]), QUESTION)
    assert await anext(outputs) == ev.TextDelta("Hello ")
    await outputs.aclose()


@pytest.mark.parametrize("output", [ev.TextDelta("Hi"), errors.Throttled(), ev.Unknown({"a": 1})])
def test_what_can_be_sent_stays(output: Output) -> None:
    """Events and errors that a service sends are given as they are."""
    assert checked_output(output) is output


@pytest.mark.parametrize("output", [ev.Restarted("x"), errors.UploadFailed(), "just text", ev.Unknown("text")])
def test_what_cannot_be_sent_is_a_mistake(output: Output) -> None:
    """In place of anything else there is an error that says what is wrong."""
    made = checked_output(output)
    assert isinstance(made, errors.InvalidRequest)
    assert "brain failed" in (made.service_message or "")


def test_a_mistake_has_one_full_stop() -> None:
    """The reason may end with one or not."""
    assert brain_failure("why.").service_message == brain_failure("why").service_message


@pytest.mark.parametrize(
    ("output", "is_end"),
    [
        (errors.ConversationEnded(), True),
        (ev.TextRevoked("", ended=True), True),
        (ev.TextRevoked(""), False),
        (errors.ContentFiltered(), False),
    ],
)
def test_some_thoughts_end_the_conversation(output: Output, is_end: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A conversation ends by its own error, or by a revocation that says so."""
    assert ends_conversation(output) is is_end
