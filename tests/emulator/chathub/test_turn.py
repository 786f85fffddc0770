"""One turn: which requests are taken, and what goes out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.emulator import Emulator, PastTurn, Question, Scripted
from bing_llm.emulator.brains.base import Output
from bing_llm.emulator.chathub.turn import admit
from bing_llm.emulator.conversations import Conversation, Conversations, signature_fits
from bing_llm.images import Image
from tests.emulator.chathub.visitor import Created, Visitor, chat


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
    assert record.name == "bing_llm.emulator.brains.base"
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


# --- admission -------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept() -> Conversations:
    """Conversations of two turns."""
    return Conversations(turn_limit=2, lifetime=3600, clock=lambda: 0.0)


@pytest.fixture
def one(kept: Conversations) -> Conversation:
    """A conversation without turns."""
    return kept.create(signed_in=False)


def request(one: Conversation, number: int | str = 0, **changes: Any) -> frames.Chat:
    """A request on this conversation."""
    return msgspec.convert(chat(Created(one.id, one.client_id, one.signature), "Hello", number, **changes), frames.Chat)


def admitted(kept: Conversations, asked: frames.Chat, token: str | None, **options: Any) -> Conversation:
    """The conversation that takes the request."""
    return admit(kept, asked, token, **({"context_limit": 100} | options))


def test_a_right_request_is_taken(kept: Conversations, one: Conversation) -> None:
    """A request with the token, the signature, the participant and a first number belongs to its conversation."""
    assert admitted(kept, request(one), one.token) is one


@pytest.mark.parametrize("number", ["0", "3", "17"])
def test_the_first_turn_may_have_any_number(kept: Conversations, one: Conversation, number: str) -> None:
    """Public clients count from 0 or from 3 (re-edge-gpt); the first number is the base."""
    assert admitted(kept, request(one, number), one.token) is one
    one.begin(int(number), "")
    one.finish(None)
    assert admitted(kept, request(one, int(number) + 1, isStartOfSession=False), one.token) is one


@pytest.mark.parametrize("number", ["0", "2", "5"])
def test_a_later_turn_must_have_the_next_number(kept: Conversations, one: Conversation, number: str) -> None:
    """Each turn counts up by one; the refusal counts the messages that there are (recording 04)."""
    one.begin(0, "")
    one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.InvalidRequest) as caught:
        admitted(kept, request(one, number, isStartOfSession=False), one.token)
    assert caught.value.service_message == f"Conversation '{one.id}' with 2 messages already exists."


def test_a_session_starts_once(kept: Conversations, one: Conversation) -> None:
    """`isStartOfSession` on a later turn is refused, right number or not."""
    one.begin(0, "")
    one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.InvalidRequest) as caught:
        admitted(kept, request(one, 1, isStartOfSession=True), one.token)
    assert "already exists" in (caught.value.service_message or "")


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "٣", "9" * 5000])
def test_a_number_is_a_number(kept: Conversations, one: Conversation, number: str) -> None:
    """An invocation id that is not a number of up to nine digits is refused."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, request(one, number), one.token)


@pytest.mark.parametrize(
    ("token", "changes", "said"),
    [
        (None, {}, "is not set"),
        ("", {}, "is not set"),
        ("wrong", {}, "Cannot retrieve user status."),
        ("right", {"conversationSignature": "wrong"}, "Cannot retrieve user status."),
        ("right", {"participant": {"id": "somebody"}}, "Cannot retrieve user status."),
    ],
)
def test_whoever_has_not_the_signatures_is_refused(
    kept: Conversations, one: Conversation, token: str | None, changes: dict[str, Any], said: str
) -> None:
    """A missing or wrong token, a wrong signature and another participant are unauthorized."""
    with pytest.raises(errors.Unauthorized) as caught:
        admitted(kept, request(one, **changes), one.token if token == "right" else token)
    assert said in (caught.value.service_message or "")


def test_the_signature_in_the_json_may_be_left_out(kept: Conversations, one: Conversation) -> None:
    """Since October 2023 the token on the URL is enough."""
    assert admitted(kept, request(one, conversationSignature=None), one.token) is one


def test_without_tokens_the_signature_in_the_json_counts(kept: Conversations, one: Conversation) -> None:
    """Where the creation gave one signature in its body, that one is expected and no token."""
    assert admitted(kept, request(one), None, signed_in_body=True) is one
    with pytest.raises(errors.Unauthorized):
        admitted(kept, request(one, conversationSignature=None), None, signed_in_body=True)


@pytest.mark.parametrize(
    "changes",
    [{"conversationId": None}, {"participant": None}, {"message": None}, {"message": {"text": "", "author": "user"}}],
    ids=["no conversation", "no participant", "no message", "no text"],
)
def test_what_every_request_needs(kept: Conversations, one: Conversation, changes: dict[str, Any]) -> None:
    """A request without conversation, participant, message or text is invalid."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, request(one, **changes), one.token)


def test_a_request_needs_arguments(kept: Conversations) -> None:
    """A request with an empty list of arguments is invalid."""
    with pytest.raises(errors.InvalidRequest):
        admitted(kept, frames.Chat([], "0"), None)


def test_an_unknown_conversation_has_expired(kept: Conversations, one: Conversation) -> None:
    """A conversation that is not there is an invalid session, whatever the signatures."""
    kept.delete(one)
    with pytest.raises(errors.SessionExpired) as caught:
        admitted(kept, request(one), one.token)
    assert caught.value.service_message == kept.expired_text(one.id)


def test_one_turn_at_a_time(kept: Conversations, one: Conversation) -> None:
    """While a turn runs, another one is refused, even with the next number."""
    one.begin(0, "")
    with pytest.raises(errors.ConversationBusy):
        admitted(kept, request(one, 1), one.token)


def test_a_long_context_is_too_long(kept: Conversations, one: Conversation) -> None:
    """Prompt and context together may have as many characters as the limit says, and no more."""
    context = [{"author": "user", "description": "x" * 95, "contextType": "WebPage", "messageType": "Context"}]
    assert admitted(kept, request(one, previousMessages=context), one.token) is one
    with pytest.raises(errors.PromptTooLong):
        admitted(kept, request(one, previousMessages=context), one.token, context_limit=99)


def test_a_request_on_an_ended_conversation_is_refused(kept: Conversations, one: Conversation) -> None:
    """After the service disengaged there is no further turn."""
    one.ended = True
    with pytest.raises(errors.ConversationEnded):
        admitted(kept, request(one), one.token)


def test_turns_are_limited(kept: Conversations, one: Conversation) -> None:
    """After as many turns as the limit says, there is no further one."""
    for number in range(2):
        one.begin(number, "")
        one.finish(PastTurn("q", "a"))
    with pytest.raises(errors.TurnLimitReached):
        admitted(kept, request(one, 2), one.token)


def test_signatures_are_compared_whole() -> None:
    """A signature fits only when it is the same, non-ASCII characters included."""
    assert signature_fits("abc", "abc")
    assert not signature_fits("abc", "ab")
    assert not signature_fits("abc", "äbc")
