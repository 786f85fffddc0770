"""The client: single turns and their attempts, conversations, other models, and the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.base import ConversationInfo
from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    InvalidRequest,
    PromptTooLong,
    ServiceError,
    SessionExpired,
    Throttled,
    TimedOut,
)
from bing_llm.limits import Retries, Timeouts
from bing_llm.messages import convert
from tests.client.helpers import PNG, name_of
from tests.fakes import FakeBackend, Pause, Time, answer, client_of

PERMANENT = [
    errors.Unauthorized("x"),
    errors.CaptchaRequired("x"),
    errors.InvalidRequest("x"),
    errors.ContentFiltered("x"),
    errors.PromptTooLong("x"),
    errors.Throttled("x"),
    errors.UploadFailed("x"),
    errors.ConversationEnded("x"),
    errors.TurnLimitReached("x"),
    errors.ProtocolError("x"),
]
TRANSIENT = [
    ServiceError("x"),
    ConnectionFailed("x"),
    ConnectionLost("x"),
    TimedOut("x"),
    Throttled("x", retry_after=0.5),
]


# --- single turns -----------------------------------------------------------------------------------------------------


async def test_ask_is_one_turn_in_a_conversation_of_its_own(tmp_path: Path) -> None:
    """Two calls are two conversations; context and images go with the prompt."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(PNG)
    backend = FakeBackend(answer("a"), answer("b"))
    client = client_of(backend)
    context = convert([{"role": "user", "content": "Hi"}])
    assert (await client.ask("one", context=context, images=[picture])).text == "a"
    assert (await client.ask("two")).text == "b"
    assert backend.calls == ["create", "turn 0 of conversation-1", "create", "turn 0 of conversation-2"]
    sent = [(prompt.text, prompt.context, [image.data for image in prompt.images]) for prompt in backend.prompts]
    assert sent == [("one", context, [PNG]), ("two", None, [])]
    assert backend.open_channels == 0


@pytest.mark.parametrize("failure", TRANSIENT, ids=name_of)
async def test_creation_and_turn_are_tried_again(failure: BingError) -> None:
    """Wherever a transient failure happens before the first text, the turn is opened again in a new conversation."""
    time = Time()
    backend = FakeBackend(failure, [failure], [ev.SearchStarted("x"), failure], answer("Hi"), creations=[failure])
    assert (await client_of(backend, time).ask("Hello")).text == "Hi"
    assert backend.calls.count("create") == 5
    assert len(time.waits) == 4


@pytest.mark.parametrize("failure", PERMANENT, ids=name_of)
@pytest.mark.parametrize("where", ["creation", "opening", "turn"])
async def test_what_another_attempt_cannot_mend_is_raised_at_once(failure: BingError, where: str) -> None:
    """One request, no wait, and the very error."""
    time = Time()
    if where == "creation":
        backend = FakeBackend(creations=[failure])
    else:
        backend = FakeBackend(failure if where == "opening" else [failure])
    with pytest.raises(type(failure)) as caught:
        await client_of(backend, time).ask("Hello")
    assert caught.value is failure
    assert (backend.calls.count("create"), time.waits) == (1, [])


async def test_an_expired_conversation_of_a_single_turn_is_replaced() -> None:
    """Nobody holds on to the conversation of a single turn: SessionExpired opens the turn again in a new one."""
    backend = FakeBackend([SessionExpired("x")], SessionExpired("x"), answer("Hi"))
    assert (await client_of(backend).ask("Hello")).text == "Hi"
    assert backend.calls.count("create") == 3


@pytest.mark.parametrize("attempts", [1, 4, 5])
async def test_creation_and_turn_share_the_attempts(attempts: int) -> None:
    """Failed creations, failed openings and failed turns count together; the last one's error is raised."""
    failures = [ServiceError(str(number)) for number in range(4)]
    backend = FakeBackend(failures[2], [failures[3]], answer("Hi"), creations=failures[:2])
    client = client_of(backend, attempts=attempts)
    if attempts == 5:
        assert (await client.ask("Hello")).text == "Hi"
    else:
        with pytest.raises(ServiceError) as caught:
            await client.ask("Hello")
        assert caught.value is failures[attempts - 1]
    assert backend.calls.count("create") == attempts


async def test_creation_and_turn_share_the_deadline() -> None:
    """Every step of every attempt gets the one deadline of the turn, which began with it."""
    time = Time()
    backend = FakeBackend([ServiceError("x")], answer("Hi"), creations=[ServiceError("x")])
    await client_of(backend, time, timeouts=Timeouts(turn=60.0)).ask("Hello")
    assert len(backend.deadlines) == 5
    assert len(set(map(id, backend.deadlines))) == 1
    assert backend.deadlines[0].remaining() == 60.0 - sum(time.waits)


async def test_the_deadline_ends_the_attempts() -> None:
    """No attempt begins after the deadline, however many are left."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x") for _ in range(100)])
    with pytest.raises(ServiceError):
        await client_of(backend, time, timeouts=Timeouts(turn=10.0), attempts=100, first_wait=4.0).ask("Hello")
    assert time.waits == [4.0]
    assert backend.calls == ["create", "create"]


async def test_retry_after_is_honoured() -> None:
    """The service's own wait is kept; one beyond the deadline raises at once."""
    time = Time()
    backend = FakeBackend(answer("Hi"), creations=[Throttled("x", retry_after=40.0)])
    await client_of(backend, time).ask("Hello")
    assert time.waits == [40.0]
    time = Time()
    backend = FakeBackend(answer("Hi"), creations=[Throttled("x", retry_after=900.0)])
    with pytest.raises(Throttled):
        await client_of(backend, time).ask("Hello")
    assert (time.waits, backend.calls) == ([], ["create"])


# --- conversations ----------------------------------------------------------------------------------------------------


async def test_creating_a_conversation_is_tried_again() -> None:
    """`create_conversation` has the attempts and the deadline of a turn."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x"), TimedOut("x")])
    chat = await client_of(backend, time).create_conversation()
    assert chat.id == "conversation-1"
    assert (backend.calls, time.waits) == (["create"] * 3, [0.5, 1.0])
    assert len(set(map(id, backend.deadlines))) == 1


async def test_attempts_never_nest() -> None:
    """A creation that always fails is tried as often as was asked for, no more."""
    backend = FakeBackend(creations=[ServiceError(str(number)) for number in range(50)])
    for call in (
        client_of(backend, attempts=3).create_conversation,
        lambda: client_of(backend, attempts=3).ask("Hello"),
    ):
        backend.calls.clear()
        with pytest.raises(ServiceError):
            await call()
        assert backend.calls == ["create"] * 3


async def test_conversations_are_listed_and_deleted() -> None:
    """The service's list comes as it is; deletion takes the conversation up and deletes it; both are tried again."""
    time = Time()
    backend = FakeBackend(creations=[ServiceError("x"), None, ServiceError("x"), None, ServiceError("x"), None])
    backend.chats.append(ConversationInfo("one", "Name", {"chatName": "Name"}))
    client = client_of(backend, time)
    with pytest.raises(InvalidRequest, match="conversation id"):
        await client.delete_conversation(None)  # type: ignore[arg-type]
    assert await client.list_conversations() == backend.chats
    await client.delete_conversation("one")
    assert backend.calls == ["list"] * 2 + ["reopen one"] * 2 + ["delete one"] * 2
    assert time.waits == [0.5] * 3


# --- other models -----------------------------------------------------------------------------------------------------


async def test_another_model_shares_the_connections() -> None:
    """Each turn goes to the one service with its client's model; what else the client was given stays."""
    time, backend = Time(), FakeBackend(answer("a"), answer("b"), [ServiceError("x")], answer("c"))
    client = client_of(backend, time, timeouts=Timeouts(turn=60.0))
    precise = client.with_options(model="bing-precise")
    assert (client.model, precise.model) == ("bing-balanced", "bing-precise")
    assert (precise.backend_name, precise.timeouts, precise.retries) == ("chathub", client.timeouts, client.retries)
    assert repr(precise) == "BingClient(backend='chathub', model='bing-precise')"
    await client.ask("one")
    await precise.ask("two")
    await precise.with_options(model="bing-creative").ask("three")
    assert backend.models == [None, "bing-precise", "bing-creative", "bing-creative"]
    assert precise.service == BingClient(backend="chathub", model="bing-precise").service


def test_another_model_costs_nothing() -> None:
    """It can be asked for at each request: the backend of a model is made once."""
    client = BingClient(backend="chathub")
    backends = {
        client.with_options(model=model).backend for _ in range(3) for model in ("bing-precise", "bing-balanced")
    }
    assert len(backends) == 2
    assert client.backend in backends
    assert client.with_options(model="bing-balanced").backend is client.backend


@pytest.mark.parametrize("model", ["bing-huge", "", ["bing-precise"]])
def test_another_model_must_be_known(model: Any) -> None:
    """The error names the models that are allowed."""
    with pytest.raises(ConfigurationError, match="allowed: bing-creative, bing-balanced, bing-precise"):
        BingClient(backend="chathub").with_options(model=model)


async def test_the_same_connections_may_have_other_retries() -> None:
    """`with_options` keeps what is not named, and checks what is."""
    backend = FakeBackend([Throttled(retry_after=0.0)], answer("one"))
    client = client_of(backend, attempts=2)
    with pytest.raises(Throttled):
        await client.with_options(retries=Retries(attempts=1)).ask("Hello")
    assert (await client.with_options(model="bing-precise").ask("Hello")).text == "one"
    assert client.with_options(model="bing-precise").retries is client.retries
    with pytest.raises(ConfigurationError, match="from 1 on"):
        client.with_options(retries=Retries(attempts=0))


async def test_only_the_origin_closes() -> None:
    """Closing a client of another model closes nothing, not even when it has the same one; the origin closes all."""
    backend = FakeBackend(answer("a"), answer("b"))
    client = client_of(backend)
    for model in ("bing-precise", "bing-balanced"):
        async with client.with_options(model=model) as derived:
            pass
        assert "close" not in backend.calls
        await derived.ask("Hello")
    await client.aclose()
    assert backend.calls[-1] == "close"
    with pytest.raises(ConfigurationError, match="This client was closed"):
        await derived.ask("Hello")
    with pytest.raises(ConfigurationError, match="This client was closed"):
        await client.with_options(model="bing-precise").ask("Hello")


async def test_another_model_on_the_wire(bing_emulator: Emulator) -> None:
    """The service hears of the model in each turn, over one session."""
    async with BingClient(endpoint=bing_emulator.url) as bing:
        await bing.ask("one")
        await bing.with_options(model="bing-precise").ask("two")
        chats = [request for request in bing_emulator.requests if request.kind == "chat"]
        assert [chat.body["arguments"][0]["tone"] for chat in chats] == ["Balanced", "Precise"]
        made = list(bing._backends.opened.values())
        assert [type(backend) for backend in made] == [ChatHubBackend] * 2
        assert len({id(vars(backend)["_http"]) for backend in made}) == 1


async def test_the_limit_of_a_prompt_can_be_asked_for() -> None:
    """`prompt_limit` is the longest accepted prompt: the model's, or the one given to the client."""
    for client, limit in (
        (BingClient(backend="chathub"), 4000),
        (BingClient(backend="emulator").with_options(model="bing-creative"), 8000),
        (BingClient(backend="chathub", prompt_limit=10).with_options(model="bing-creative"), 10),
        (client_of(FakeBackend(prompt_limit=7)), 7),
    ):
        assert client.prompt_limit == limit
        client.stream("x" * limit)
        with pytest.raises(PromptTooLong):
            client.stream("x" * (limit + 1))
    await client.aclose()
    with pytest.raises(ConfigurationError, match="This client was closed"):
        _ = client.prompt_limit


# --- life -------------------------------------------------------------------------------------------------------------


async def test_the_client_closes_what_it_opened() -> None:
    """Leaving the block closes the backend; closing again is harmless."""
    backend = FakeBackend()
    async with client_of(backend) as client:
        assert backend.calls == []
    await client.aclose()
    assert backend.calls == ["close", "close"]


async def test_a_cancelled_ask_leaves_the_client_usable() -> None:
    """Cancelled amid an answer, the connection is closed, and the next question is answered."""
    pause = Pause()
    backend = FakeBackend([ev.TextDelta("one"), pause], answer("Hi"))
    client = client_of(backend)
    asking = asyncio.create_task(client.ask("Hello"))
    await pause.reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert backend.open_channels == 0
    assert (await client.ask("Hello")).text == "Hi"
