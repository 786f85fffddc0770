"""Conversations: numbering, one turn at a time, and when the next turn is refused."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.client import BingClient
from bing_llm.conversation import Conversation
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import (
    BingError,
    ConnectionFailed,
    ConnectionLost,
    ConversationBusy,
    ConversationEnded,
    InvalidRequest,
    ServiceError,
    SessionExpired,
    TimedOut,
    TurnLimitReached,
)
from tests.fakes import FakeBackend, Line, Pause, Time, Turn, answer, client_of

PNG = b"\x89PNG\r\n\x1a\n"


async def chat_with(*turns: Turn, time: Time | None = None, **retries: Any) -> tuple[Conversation, FakeBackend]:
    """A conversation with a service that plays these turns."""
    backend = FakeBackend(*turns)
    return await client_of(backend, time, **retries).create_conversation(), backend


def turn_calls(backend: FakeBackend) -> list[str]:
    """The numbers of the turns that were asked for."""
    return [call.split()[1] for call in backend.calls if call.startswith("turn")]


# --- numbers and prompts ----------------------------------------------------------------------------------------------


async def test_turns_are_numbered_from_zero() -> None:
    """All turns go to the one conversation, as 0, 1, 2."""
    chat, backend = await chat_with(answer("a"), answer("b"), answer("c"))
    assert [(await chat.ask(prompt)).text for prompt in ("one", "two", "three")] == ["a", "b", "c"]
    assert backend.calls == ["create", *(f"turn {number} of conversation-1" for number in range(3))]
    assert [prompt.text for prompt in backend.prompts] == ["one", "two", "three"]
    assert chat.id == chat.handle.id == "conversation-1"


async def test_a_turn_takes_context_and_images(tmp_path: Path) -> None:
    """What goes with a prompt reaches the service, pictures as their bytes."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(PNG)
    chat, backend = await chat_with(answer("a"))
    await chat.ask("one", context="[user](#message)\nHi\n\n", images=[picture])
    (prompt,) = backend.prompts
    assert (prompt.text, prompt.context, [image.data for image in prompt.images]) == (
        "one",
        "[user](#message)\nHi\n\n",
        [PNG],
    )


async def test_bad_input_is_refused_before_anything_is_sent() -> None:
    """An empty prompt or an unreadable picture raises when the turn is made, and uses no number up."""
    chat, backend = await chat_with(answer("a"))
    with pytest.raises(InvalidRequest, match="empty"):
        chat.stream("")
    with pytest.raises(InvalidRequest, match=r"no-such\.png"):
        chat.stream("one", images=["no-such.png"])
    assert turn_calls(backend) == []
    assert (await chat.ask("one")).text == "a"


async def test_a_conversation_shows_no_secret() -> None:
    """The repr has the id and the quota, not the handle."""
    chat, _ = await chat_with(answer("a", quota=ev.Quota(1, 5)))
    assert repr(chat) == "Conversation(id='conversation-1', quota=None)"
    await chat.ask("one")
    assert repr(chat) == "Conversation(id='conversation-1', quota=Quota(used=1, limit=5))"


# --- one turn at a time -----------------------------------------------------------------------------------------------


async def test_a_second_turn_while_one_runs_is_refused_at_once() -> None:
    """`stream` and `ask` raise ConversationBusy without asking the service; the running turn goes on."""
    chat, backend = await chat_with(answer("a", "b"), answer("c"))
    async with chat.stream("one") as turn:
        await anext(turn)
        with pytest.raises(ConversationBusy, match="still running"):
            chat.stream("two")
        with pytest.raises(ConversationBusy):
            await chat.ask("two")
        assert (await turn.reply()).text == "ab"
    assert turn_calls(backend) == ["0"]
    assert (await chat.ask("two")).text == "c"


async def test_of_two_prepared_turns_the_second_to_start_is_refused() -> None:
    """Turns may be prepared side by side; only one may run. The refusal does not free the one that runs."""
    chat, backend = await chat_with(answer("a", "b"))
    first, second = chat.stream("one"), chat.stream("two")
    await anext(second)
    for _ in range(2):
        with pytest.raises(ConversationBusy):
            await first.reply()
    with pytest.raises(ConversationBusy):
        chat.stream("three")
    assert (await second.reply()).text == "ab"
    assert [prompt.text for prompt in backend.prompts] == ["two"]


async def test_a_turn_that_is_not_started_blocks_nothing() -> None:
    """A prepared turn counts only from its first event on; it may start when the other one is over."""
    chat, backend = await chat_with(answer("a"), answer("b"))
    prepared = chat.stream("two")
    assert (await chat.ask("one")).text == "a"
    assert (await prepared.reply()).text == "b"
    assert turn_calls(backend) == ["0", "1"]


async def _error(chat: Conversation) -> None:
    with pytest.raises(ServiceError):
        await chat.ask("one")


async def _cancel(chat: Conversation) -> None:
    reading = asyncio.create_task(chat.ask("one"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def _close(chat: Conversation) -> None:
    async with chat.stream("one") as turn:
        await anext(turn)


async def _drop(chat: Conversation) -> None:
    await anext(chat.stream("one"))
    gc.collect()


async def _stop(chat: Conversation) -> None:
    turn = chat.stream("one")
    await anext(turn)
    await turn.stop()
    assert (await turn.reply()).text == "a"


@pytest.mark.parametrize("leave", [_error, _cancel, _close, _drop, _stop])
async def test_however_a_turn_ends_the_conversation_is_free(leave: Callable[[Conversation], Awaitable[None]]) -> None:
    """After an error, a cancellation, a close, a drop or a stop the next turn may run."""
    last: Line = ServiceError("x") if leave is _error else Pause()
    chat, backend = await chat_with([ev.TextDelta("a"), last], answer("b"))
    await leave(chat)
    assert (await chat.ask("two")).text == "b"
    assert turn_calls(backend) == ["0", "1"]


def test_a_turn_whose_loop_is_closed_frees_the_conversation() -> None:
    """A turn that was left on a loop which is gone does not block the conversation on the next one."""
    backend = FakeBackend(answer("a", "b"), answer("c"))
    client = client_of(backend)

    async def leave() -> Conversation:
        chat = await client.create_conversation()
        turn = chat.stream("one")
        await anext(turn)
        turn.__dict__["itself"] = turn  # only the collector can drop it, when the loop is closed
        return chat

    chat = asyncio.run(leave())
    gc.collect()
    assert asyncio.run(chat.ask("two")).text == "c"


# --- attempts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [ConnectionFailed("x"), ServiceError("x"), TimedOut("x")], ids=lambda exc: type(exc).__name__
)
async def test_a_turn_that_was_not_sent_is_sent_again(failure: BingError) -> None:
    """A turn whose request was not sent is retried in the same conversation, under the same number."""
    time = Time()
    chat, backend = await chat_with(answer("a"), failure, failure, answer("b"), time=time)
    await chat.ask("one")
    assert (await chat.ask("two")).text == "b"
    assert backend.calls == ["create", *(f"turn {number} of conversation-1" for number in (0, 1, 1, 1))]
    assert time.waits == [0.5, 1.0]


async def test_the_attempts_of_a_turn_are_counted_for_each_turn() -> None:
    """One budget covers one turn; the error of the last attempt is raised as it is."""
    failures = [ConnectionFailed(str(number)) for number in range(4)]
    chat, backend = await chat_with(*failures, attempts=2)
    for last in (failures[1], failures[3]):
        with pytest.raises(ConnectionFailed) as caught:
            await chat.ask("one")
        assert caught.value is last
    assert turn_calls(backend) == ["0"] * 4


async def test_a_request_that_may_have_arrived_is_not_repeated() -> None:
    """A connection that broke while the request went out may have delivered it: the error is raised."""
    chat, backend = await chat_with(ConnectionLost("x"), answer("a"))
    with pytest.raises(ConnectionLost):
        await chat.ask("one")
    assert turn_calls(backend) == ["0"]


@pytest.mark.parametrize(
    "failure",
    [
        ServiceError("x"),
        ConnectionLost("x"),
        TimedOut("x"),
        SessionExpired("x"),
        errors.Throttled("x", retry_after=1.0),
    ],
    ids=lambda exc: type(exc).__name__,
)
async def test_a_turn_that_was_sent_is_not_repeated(failure: BingError) -> None:
    """The service may have taken the turn: its failure is raised, even before any text, and the next turn counts on."""
    time = Time()
    chat, backend = await chat_with([ev.SearchStarted("x"), failure], answer("b"), time=time)
    with pytest.raises(type(failure)) as caught:
        await chat.ask("one")
    assert caught.value is failure
    assert time.waits == []
    assert (await chat.ask("two")).text == "b"
    assert turn_calls(backend) == ["0", "1"]


async def test_an_expired_conversation_is_not_replaced() -> None:
    """SessionExpired on opening a turn is raised at once: an explicit conversation is the caller's."""
    chat, backend = await chat_with(SessionExpired("x"), answer("a"))
    with pytest.raises(SessionExpired):
        await chat.ask("one")
    assert backend.calls == ["create", "turn 0 of conversation-1"]


# --- the last turn ----------------------------------------------------------------------------------------------------


async def test_the_last_allowed_turn_returns_its_answer_and_the_next_raises() -> None:
    """Using the last turn of the quota is not an error; the next turn is refused without a request to the service."""
    chat, backend = await chat_with(answer("a", quota=ev.Quota(1, 2)), answer("b", quota=ev.Quota(2, 2)))
    await chat.ask("one")
    assert (await chat.ask("two")).text == "b"
    assert chat.quota == ev.Quota(2, 2)
    with pytest.raises(TurnLimitReached, match="2 of the 2 turns"):
        chat.stream("three")
    assert turn_calls(backend) == ["0", "1"]


async def test_a_prepared_turn_is_refused_once_the_quota_is_spent() -> None:
    """The check is made again when the turn starts."""
    chat, _ = await chat_with(answer("a", quota=ev.Quota(1, 1)))
    prepared = chat.stream("two")
    await chat.ask("one")
    with pytest.raises(TurnLimitReached):
        await prepared.reply()


async def test_a_reply_without_a_quota_leaves_the_last_one() -> None:
    """What the service said once holds until it says something else."""
    chat, _ = await chat_with(answer("a", quota=ev.Quota(1, 5)), answer("b"))
    await chat.ask("one")
    await chat.ask("two")
    assert chat.quota == ev.Quota(1, 5)


async def test_a_conversation_that_ended_after_text_takes_no_further_turn() -> None:
    """The disengaged turn returns what it has; the next one raises ConversationEnded at once."""
    chat, backend = await chat_with(answer("a", revoked=True, conversation_ended=True))
    states = [chat.ended, (await chat.ask("one")).text, chat.ended]
    assert states == [False, "a", True]
    with pytest.raises(ConversationEnded, match="takes no further turn"):
        await chat.ask("two")
    assert turn_calls(backend) == ["0"]


async def test_a_conversation_that_ended_before_text_takes_no_further_turn() -> None:
    """After the service has raised ConversationEnded it is not asked again."""
    chat, backend = await chat_with([ConversationEnded("Disengaged.")])
    with pytest.raises(ConversationEnded, match=r"Disengaged\."):
        await chat.ask("one")
    assert chat.ended
    with pytest.raises(ConversationEnded, match="takes no further turn"):
        await chat.ask("two")
    assert turn_calls(backend) == ["0"]


# --- delete -----------------------------------------------------------------------------------------------------------


async def test_a_deleted_conversation_takes_no_further_turn() -> None:
    """Deletion is asked of the service, with attempts; afterwards the conversation has ended."""
    time = Time()
    chat, backend = await chat_with(time=time)
    backend.creations.extend([ServiceError("x"), None])
    await chat.delete()
    assert backend.calls == ["create", "delete conversation-1", "delete conversation-1"]
    assert time.waits == [0.5]
    assert chat.ended
    with pytest.raises(ConversationEnded):
        chat.stream("one")


async def test_a_conversation_whose_deletion_failed_lives_on() -> None:
    """Only what the service has deleted is gone."""
    chat, backend = await chat_with(answer("a"))
    backend.creations.append(errors.Unauthorized("x"))
    with pytest.raises(errors.Unauthorized):
        await chat.delete()
    assert not chat.ended
    assert (await chat.ask("one")).text == "a"


# --- with the emulator ------------------------------------------------------------------------------------------------


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator that allows two turns a conversation."""
    async with Emulator(turn_limit=2) as running:
        yield running


async def test_invocation_ids_on_the_wire(emulator: Emulator) -> None:
    """The service sees "0" and "1" in one conversation, and the start of the session on the first alone."""
    emulator.brain = Scripted([["a"], ["b"]])
    async with BingClient(endpoint=emulator.url) as bing:
        chat = await bing.create_conversation()
        assert [(await chat.ask(prompt)).text for prompt in ("one", "two")] == ["a", "b"]
    asked = [request for request in emulator.requests if request.kind == "chat"]
    assert [request.invocation_id for request in asked] == ["0", "1"]
    assert {request.conversation_id for request in asked} == {chat.id}
    assert [request.arguments and request.arguments.is_start_of_session for request in asked] == [True, False]
    assert [request.kind for request in emulator.requests] == ["creation", "chat", "chat"]


async def test_the_turn_limit_on_the_wire(emulator: Emulator) -> None:
    """The second and last turn returns its answer; the third raises and is not sent."""
    emulator.brain = Scripted([["a"], ["b"]])
    async with BingClient(endpoint=emulator.url) as bing:
        chat = await bing.create_conversation()
        await chat.ask("one")
        assert (await chat.ask("two")).quota == ev.Quota(2, 2)
        with pytest.raises(TurnLimitReached):
            await chat.ask("three")
    assert len(emulator.requests) == 3


async def test_the_end_of_a_conversation_on_the_wire(emulator: Emulator) -> None:
    """Disengaged after text: the reply keeps the text, and the next turn raises ConversationEnded."""
    emulator.brain = Scripted([["Once ", ev.TextRevoked("Sorry.", ended=True)]])
    async with BingClient(endpoint=emulator.url) as bing:
        chat = await bing.create_conversation()
        reply = await chat.ask("one")
        assert (reply.text, reply.finish_reason, reply.revoked) == ("Once ", "content_filter", True)
        with pytest.raises(ConversationEnded):
            await chat.ask("two")


async def test_an_expired_conversation_on_the_wire(emulator: Emulator) -> None:
    """InvalidSession is raised as SessionExpired, with the service's own name for it, after one request."""
    emulator.brain = Scripted([[SessionExpired()]])
    async with BingClient(endpoint=emulator.url) as bing:
        chat = await bing.create_conversation()
        with pytest.raises(SessionExpired) as caught:
            await chat.ask("one")
    assert caught.value.value == "InvalidSession"
    assert caught.value.hint
    assert len(emulator.requests) == 2


async def test_delete_on_the_wire(emulator: Emulator) -> None:
    """The service deletes the conversation that was meant, and no longer lists it."""
    async with BingClient(endpoint=emulator.url, cookies="_U=1") as bing:
        first, second = await bing.create_conversation(), await bing.create_conversation()
        await first.ask("one")
        await second.ask("one")
        await first.delete()
        await bing.delete_conversation(second.id)
        assert await bing.list_conversations() == []
    assert [request.conversation_id for request in emulator.requests if request.kind == "deletion"] == [
        first.id,
        second.id,
    ]
