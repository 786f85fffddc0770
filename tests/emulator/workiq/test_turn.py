"""One turn of Work IQ, from the request to what goes out."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Emulator, PastTurn, Question
from tests.emulator.chathub.test_turn import Asked, Failing
from tests.emulator.workiq.visitor import WorkIQVisitor


async def test_a_brain_is_asked_with_all_there_is(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """Text, context, search, history and number of the turn reach the brain; context is that of one turn."""
    emulator.brain = brain = Asked()
    conversation = await workiq.create()
    off = {"webContext": {"isWebEnabled": False}}
    context = [{"text": "before", "description": "history"}, {"text": "and this"}]
    await workiq.chat("one", conversation, additionalContext=context, contextualResources=off)
    await workiq.stream("two", conversation)
    assert brain.questions == [
        Question(text="one", context="before\n\nand this", search=False, conversation_id=conversation),
        Question(
            text="two",
            history=(PastTurn("one", "Answer 1"),),
            conversation_id=conversation,
            number=1,
        ),
    ]


@pytest.mark.parametrize(
    "brain",
    [
        Failing(ev.ImageCreated("https://x.example/")),
        Failing(errors.UploadFailed()),
        Failing(errors.CaptchaRequired()),
        Failing("just text"),
        Failing(ev.TextDelta("\ud800")),
    ],
    ids=["event", "error", "captcha", "neither", "surrogate"],
)
async def test_what_cannot_be_played_is_a_mistake_of_the_brain(
    emulator: Emulator, workiq: WorkIQVisitor, brain: Failing
) -> None:
    """Such a turn is answered with 400 and says what is wrong, so that no client tries it again."""
    emulator.brain = brain
    answer = await workiq.stream()
    assert answer.status == 400
    assert "brain failed" in answer.json["error"]["message"]


async def test_nothing_comes_after_an_error(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """What a brain says after it ended the conversation is not sent."""

    class Talking:
        async def answer(self, _question: Question):  # type: ignore[no-untyped-def]  # noqa: ANN202
            yield ev.TextDelta("Half")
            yield errors.ConversationEnded("No.")
            yield ev.TextDelta(" an answer")

    emulator.brain = Talking()
    assert (await workiq.stream("x")).texts == [[], ["Half"], [], ["x", "No."]]


async def test_an_answer_without_text_is_empty(emulator: Emulator, workiq: WorkIQVisitor) -> None:
    """A brain that says nothing gives an answer whose text is empty."""
    emulator.brain = Failing()
    assert (await workiq.stream("x")).texts == [[], ["x", ""]]
