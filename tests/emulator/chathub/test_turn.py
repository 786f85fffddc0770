"""One turn, from the request to what goes out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Emulator, PastTurn, Question, Scripted
from bing_llm.emulator.brains.base import Output
from bing_llm.images import Image
from tests.emulator.chathub.visitor import Visitor, chat


class Asked:
    """A brain that keeps its questions."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    async def answer(self, question: Question) -> AsyncIterator[Output]:
        """Keep the question."""
        self.questions.append(question)
        yield ev.TextDelta(f"Answer {len(self.questions)}")


class Failing:
    """A brain that yields one thing, raises the other, or stops there."""

    def __init__(self, output: Any = None, error: BaseException | None = None) -> None:
        self._output = output
        self._error = error

    async def answer(self, _question: Question) -> AsyncIterator[Output]:
        """Fail."""
        if self._output is not None:
            yield self._output
        if self._error is not None:
            raise self._error


async def test_a_brain_is_asked_with_all_there_is(emulator: Emulator, visitor: Visitor) -> None:
    """Text, context, style, pictures, history and number of the turn reach the brain."""
    emulator.brain = brain = Asked()
    created = await visitor.create()
    context = [{"author": "user", "description": "before", "messageType": "Context"}]
    await visitor.ask("one", created, tone="Precise", previousMessages=context)
    await visitor.ask("two", created, 1, message={"text": "two", "imageUrl": "https://x.example/a.png"})
    assert brain.questions == [
        Question(text="one", context="before", tone="Precise", conversation_id=created.id),
        Question(
            text="two",
            history=(PastTurn("one", "Answer 1", "before"),),
            images=(Image(url="https://x.example/a.png"),),
            conversation_id=created.id,
            number=1,
        ),
    ]


@pytest.mark.parametrize(("options", "search"), [([], True), (["deepleo", "nosearchall"], False), (None, True)])
async def test_search_is_off_by_an_option_set(
    emulator: Emulator, visitor: Visitor, options: list[str] | None, *, search: bool
) -> None:
    """The option set `nosearchall` tells the brain not to search."""
    emulator.brain = brain = Asked()
    await visitor.ask("one", optionsSets=options)
    assert brain.questions[0].search is search


async def test_the_quota_counts_turns() -> None:
    """Each answered turn counts; the last allowed one is answered, and the next is refused by the turn limit."""
    async with Emulator(Scripted(lambda _: ["Hi"]), turn_limit=2) as emulator, aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        quotas = [(await visitor.reply("x", created, number)).quota for number in range(2)]
        assert quotas == [ev.Quota(1, 2), ev.Quota(2, 2)]
        with pytest.raises(errors.TurnLimitReached):
            await visitor.ask("x", created, 2)


PLAYED = (
    errors.Throttled,
    errors.CaptchaRequired,
    errors.SessionExpired,
    errors.Unauthorized,
    errors.InvalidRequest,
    errors.ServiceError,
    errors.ConversationBusy,
    errors.ContentFiltered,
    errors.ConversationEnded,
    errors.TurnLimitReached,
)


@pytest.mark.parametrize("kind", PLAYED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("raised", [False, True], ids=["yielded", "raised"])
async def test_the_client_raises_what_a_brain_says(
    emulator: Emulator, visitor: Visitor, kind: type[errors.BingError], *, raised: bool
) -> None:
    """An error that a brain yields or raises before any text arrives at the client as that error."""
    emulator.brain = Failing(error=kind()) if raised else Failing(kind())
    with pytest.raises(errors.BingError) as caught:
        await visitor.ask("Hello")
    assert type(caught.value) is kind


async def test_an_error_after_text_keeps_the_text(emulator: Emulator, visitor: Visitor) -> None:
    """A turn that fails after text is refused in its final frame; the client has the text."""
    emulator.brain = Scripted([["Half", errors.ServiceError()]])
    with pytest.raises(errors.ServiceError) as caught:
        await visitor.ask("Hello")
    assert caught.value.partial_text == "Half"


@pytest.mark.parametrize(("kind", "ended"), [(errors.ContentFiltered, False), (errors.ConversationEnded, True)])
async def test_moderation_after_text_revokes_it(
    emulator: Emulator, visitor: Visitor, kind: type[errors.BingError], *, ended: bool
) -> None:
    """ContentFiltered and ConversationEnded after text are a revocation, with the error's words as its notice."""
    emulator.brain = Scripted([["Half", kind("No.")]])
    reply = await visitor.reply("Hello")
    assert (reply.text, reply.revoked, reply.notice, reply.conversation_ended) == ("Half", True, "No.", ended)


@pytest.mark.parametrize("last", [errors.ConversationEnded(), ev.TextRevoked("", ended=True)], ids=["error", "event"])
async def test_an_ended_conversation_takes_no_turn(
    emulator: Emulator, visitor: Visitor, last: errors.BingError | ev.TextRevoked
) -> None:
    """After the service disengaged, every further turn of the conversation gets that answer."""
    emulator.brain = Scripted([["Hi", last]])
    created = await visitor.create()
    await visitor.exchange(created, chat(created))
    with pytest.raises(errors.ConversationEnded):
        await visitor.ask("more", created, 1)


async def test_a_failed_turn_uses_its_number_up(emulator: Emulator, visitor: Visitor) -> None:
    """Clients count on after a failed turn, which is not part of the history and does not use up the quota."""
    emulator.brain = Scripted([[errors.Throttled()], ["Hi"]])
    created = await visitor.create()
    assert (await visitor.result(created, chat(created)))["value"] == "Throttled"
    reply = await visitor.reply("again", created, 1)
    assert (reply.text, reply.quota) == ("Hi", ev.Quota(1, 30))


@pytest.mark.parametrize(
    "brain",
    [
        Failing(ev.ImageCreated("https://x.example/")),
        Failing(errors.UploadFailed()),
        Failing("just text"),
        Failing(ev.TextDelta("\ud800")),
    ],
    ids=["event", "error", "neither", "surrogate"],
)
async def test_what_cannot_be_played_is_a_mistake_of_the_brain(
    emulator: Emulator, visitor: Visitor, brain: Failing
) -> None:
    """Such a turn is an invalid request that says what is wrong, so that no client tries it again."""
    emulator.brain = brain
    with pytest.raises(errors.InvalidRequest, match="brain failed"):
        await visitor.ask("Hello")


async def test_an_exception_of_the_brain_is_reported(
    emulator: Emulator, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Any exception of a brain is logged with its traceback and reported to the client."""
    emulator.brain = Failing(ev.TextDelta("Half"), LookupError("no such thing"))
    with caplog.at_level(logging.ERROR), pytest.raises(errors.InvalidRequest, match="LookupError: no such thing"):
        await visitor.ask("Hello")
    (record,) = caplog.records
    assert record.name == "bing_llm.emulator.brains.outputs"
    assert record.exc_info is not None


async def test_a_brain_may_be_any_iterator(emulator: Emulator, visitor: Visitor) -> None:
    """A brain need not be a generator: an iterator without `aclose` will do."""

    class Words:
        def __init__(self) -> None:
            self._words = iter("ab")

        def __aiter__(self) -> Words:
            return self

        async def __anext__(self) -> Output:
            for word in self._words:
                return ev.TextDelta(word)
            raise StopAsyncIteration

    class Simple:
        def answer(self, _question: Question) -> Words:
            return Words()

    emulator.brain = Simple()
    assert (await visitor.reply("Hello")).text == "ab"
