"""The Work IQ Chat API over real connections on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from socket import socket
from typing import Any, TypeVar

import pytest

from bing_llm import __version__, errors
from bing_llm import events as ev
from bing_llm.backends.base import TurnChannel
from bing_llm.backends.workiq.auth import Token
from bing_llm.backends.workiq.backend import WorkIQBackend, WorkIQConversation
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import BingError
from bing_llm.images import Image
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import WorkIQ
from tests.backends.serving import Answer, Request, Server, cut_off, reply, silent
from tests.backends.workiq.azure import AccessToken
from tests.backends.workiq.wire import final, partial

T = TypeVar("T")

SECRET = "hunter2-the-token"
CONVERSATION = WorkIQConversation("c1")
CREATED = reply(b'{"id": "c1", "state": "active", "turnCount": 0}', 201)
HI = reply(final("Hi"), headers={"Content-Type": "text/event-stream"})


def in_time(seconds: float = 60.0) -> Deadline:
    """A deadline that no test reaches, on a clock that stands still."""
    return Deadline(seconds, lambda: 0.0)


def backend_of(
    endpoint: str | None, token: Token | None, timeouts: Timeouts | None = None, **settings: Any
) -> WorkIQBackend:
    """A client of the service there, which nothing has used yet."""
    service = WorkIQ(endpoint=endpoint, token=token, time_zone="Europe/Zurich", **settings)
    return WorkIQBackend(service, timeouts=timeouts or Timeouts(), limits=DEFAULT_LIMITS)


@asynccontextmanager
async def backend_at(
    endpoint: str | None, token: Token | None = SECRET, timeouts: Timeouts | None = None, **settings: Any
) -> AsyncIterator[WorkIQBackend]:
    """A client of the service there."""
    backend = backend_of(endpoint, token, timeouts, **settings)
    try:
        yield backend
    finally:
        await backend.aclose()


async def ask(backend: WorkIQBackend, handle: WorkIQConversation = CONVERSATION, number: int = 0) -> ev.Reply:
    """A whole turn."""
    return await reply_of(await backend.open_turn(handle, Prompt("Ask"), number, in_time()))


async def reply_of(channel: TurnChannel) -> ev.Reply:
    """The reply that ends a turn, and the end of its channel."""
    try:
        while True:
            event = await channel.next_event()
            if isinstance(event, ev.TurnCompleted):
                return event.reply
    finally:
        channel.close()


async def failure(call: Awaitable[T]) -> BingError:
    """The error that a call raises; nothing that leads to it shows a secret."""
    with pytest.raises(BingError) as caught:
        await call
    left: list[BaseException | None] = [caught.value]
    for exc in left:
        if exc is not None:
            assert "hunter" not in f"{exc} {exc!r} {exc.args} {getattr(exc, 'service_message', '')}"
            left += [exc.__cause__, exc.__context__]
    return caught.value


def tokens(*given: str) -> tuple[Callable[[], str], list[str]]:
    """A function that gives these one after the other, and a list that fills with what it gave."""
    asked: list[str] = []

    def give() -> str:
        asked.append(given[len(asked)])
        return asked[-1]

    return give, asked


def refused(status: int, code: str = "", said: str = "", headers: dict[str, str] | None = None) -> bytes:
    """An answer with the service's envelope of an error."""
    return reply(json.dumps({"error": {"code": code, "message": said}}).encode(), status, headers)


async def to_open(backend: WorkIQBackend) -> object:
    """Create a conversation."""
    return await backend.create_conversation(in_time())


CALLS: list[Callable[[WorkIQBackend], Coroutine[Any, Any, object]]] = [to_open, ask]


# --- whole turns ------------------------------------------------------------------------------------------------------


async def test_turns_of_a_conversation() -> None:
    """A conversation is created once; its turns are calls of their own."""
    async with (
        Emulator(Scripted([["Hello ", "you"], ["Again"]])) as emulator,
        backend_at(emulator.workiq_url, emulator.token) as backend,
    ):
        conversation = await backend.create_conversation(in_time())
        for number, text in enumerate(["Hello you", "Again"]):
            channel = await backend.open_turn(conversation, Prompt(f"Turn {number}", "Before"), number, in_time())
            answered = await reply_of(channel)
            assert (answered.text, answered.conversation_id) == (text, conversation.id)
        _, first, second = emulator.requests
        assert [request.body["message"] for request in (first, second)] == [{"text": "Turn 0"}, {"text": "Turn 1"}]
        for request in (first, second):
            assert request.body["additionalContext"][0]["text"] == "Before"
            assert request.body["locationHint"] == {"timeZone": "Europe/Zurich"}


async def test_a_conversation_is_taken_up_by_its_id() -> None:
    """Nothing is sent for it: its turn shows whether it is there."""
    async with (
        Emulator(Scripted([["Hi"]])) as emulator,
        backend_at(emulator.workiq_url, emulator.token) as backend,
    ):
        made = await backend.create_conversation(in_time())
        again = await backend.open_conversation(made.id, in_time())
        assert len(emulator.requests) == 1
        assert (await ask(backend, again)).text == "Hi"
        gone = await backend.open_conversation("nowhere", in_time())
        assert type(await failure(ask(backend, gone))) is errors.SessionExpired


async def test_a_warm_conversation_is_one_that_was_created() -> None:
    """There is nothing to keep alive or to close; it may have expired before its turn."""
    async with (
        Emulator(Scripted([["Hi"]])) as emulator,
        backend_at(emulator.workiq_url, emulator.token) as backend,
    ):
        warm = await backend.warm_up(in_time())
        assert [request.kind for request in emulator.requests] == ["creation"]
        await warm.keep_alive()
        warm.close()
        assert warm.alive()
        assert (await reply_of(await backend.open_warm(warm, Prompt("Ask"), in_time()))).text == "Hi"
        assert [request.kind for request in emulator.requests] == ["creation", "chat"]
    async with Server(CREATED, refused(404)) as server, backend_at(server.url("")) as backend:
        warm = await backend.warm_up(in_time())
        turn = backend.open_warm(warm, Prompt("Ask"), in_time())
        assert type(await failure(reply_of(await turn))) is errors.SessionExpired


@pytest.mark.parametrize(
    ("call", "accept", "path"),
    [(to_open, "application/json", "/conversations"), (ask, "text/event-stream", "/conversations/c1/chatOverStream")],
)
async def test_headers_go_with_every_request(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]], accept: str, path: str
) -> None:
    """The token, our own name, and what is wanted; bodies are JSON, and no cookie is made up."""
    async with Server(CREATED if call is to_open else HI) as server, backend_at(server.url("/rest")) as backend:
        await call(backend)
        [request] = server.requests
        assert (request.method, request.target) == ("POST", f"/rest{path}")
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers["accept"] == accept
        assert request.headers["user-agent"] == f"bing-llm/{__version__}"
        assert request.headers["content-type"] == "application/json"
        assert "cookie" not in request.headers


async def test_options_shape_the_turn() -> None:
    """What the web may do and which files count is in the body, and tags are left out where that is wished."""
    file = "https://contoso.sharepoint.com/a.docx"
    settings: dict[str, Any] = {"search": False, "files": [file], "entity_tags": "strip"}
    answer = reply(final("<Person>Ada</Person> agrees"))
    async with Server(answer) as server, backend_at(server.url(""), **settings) as backend:
        assert (await ask(backend)).text == "Ada agrees"
        resources = json.loads(server.requests[0].body)["contextualResources"]
        assert resources == {"files": [{"uri": file}], "webContext": {"isWebEnabled": False}}


async def test_an_answer_may_come_at_once() -> None:
    """Without a stream, one JSON answer holds all that the stream's end does."""
    async with (
        Emulator(Scripted([["Hello ", "you"], [errors.Throttled(retry_after=7)]])) as emulator,
        backend_at(emulator.workiq_url, emulator.token, over_stream=False) as backend,
    ):
        conversation = await backend.create_conversation(in_time())
        reply = await ask(backend, conversation)
        assert (reply.text, reply.conversation_id) == ("Hello you", conversation.id)
        assert emulator.requests[-1].path.endswith("/chat")
        assert emulator.requests[-1].headers["Accept"] == "application/json"
        refused = await failure(ask(backend, conversation, 1))
        assert isinstance(refused, errors.Throttled)
        assert refused.retry_after == 7


async def test_a_turn_may_follow_at_once_on_the_same_connection() -> None:
    """An answer that has ended gives its connection back."""
    async with Server(CREATED, HI, HI) as server, backend_at(server.url("")) as backend:
        conversation = await backend.create_conversation(in_time())
        for number in range(2):
            await ask(backend, conversation, number)
        assert (len(server.requests), len(server._tasks)) == (3, 1)


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_a_refused_token_is_replaced_once(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]],
) -> None:
    """HTTP 401 asks for a fresh token, in the same attempt; a second one is the answer."""
    give, asked = tokens("first-token", "second-token", "third-token", "fourth-token")
    good = CREATED if call is to_open else HI
    async with Server(refused(401), good, refused(401)) as server, backend_at(server.url(""), give) as backend:
        await call(backend)
        assert asked == ["first-token", "second-token"]
        assert type(await failure(call(backend))) is errors.Unauthorized
        assert [request.headers["authorization"] for request in server.requests] == [
            "Bearer first-token",
            "Bearer second-token",
            "Bearer third-token",
            "Bearer fourth-token",
        ]


@pytest.mark.parametrize("call", CALLS)
async def test_a_token_that_does_not_change_is_not_sent_again(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]],
) -> None:
    """A str is what it is."""
    async with Server(refused(401, "InvalidAuthenticationToken")) as server, backend_at(server.url("")) as backend:
        error = await failure(call(backend))
        assert type(error) is errors.Unauthorized
        assert len(server.requests) == 1


CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1780000000"}}}'
CHALLENGE = (
    f'Bearer realm="", error="insufficient_claims", claims="{base64.urlsafe_b64encode(CLAIMS.encode()).decode()}"'
)


@pytest.mark.parametrize("call", CALLS)
async def test_a_challenge_is_answered_by_the_credential(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]],
) -> None:
    """In the same attempt, since the service did nothing; the claims are the decoded ones."""
    asked: list[dict[str, Any]] = []

    class Credential:
        def get_token(self, *_scopes: str, **options: Any) -> AccessToken:
            asked.append(options)
            return AccessToken(f"token-{len(asked)}", 2**40)

    answer = refused(401, "InvalidAuthenticationToken", headers={"WWW-Authenticate": CHALLENGE})
    good = CREATED if call is to_open else HI
    async with Server(answer, good) as server, backend_at(server.url(""), Credential()) as backend:
        await call(backend)
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert asked == [{}, {"claims": CLAIMS, "enable_cae": True}]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("token", [SECRET, lambda: SECRET])
async def test_a_challenge_that_cannot_be_answered_is_explained(
    token: Any, call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]]
) -> None:
    """A text or a function cannot ask for claims: somebody has to sign in, and the error says when."""
    answer = refused(401, "InvalidAuthenticationToken", headers={"WWW-Authenticate": CHALLENGE})
    async with Server(answer) as server, backend_at(server.url(""), token) as backend:
        error = await failure(call(backend))
        assert len(server.requests) == 1
    assert type(error) is errors.Unauthorized
    assert "Conditional access wants a new sign-in; one after 2026-05-28 20:26 UTC." in error.message
    assert "bing-llm login" in error.hint
    assert "essential" not in str(error)
    assert CHALLENGE[-20:-1] not in str(error)


@pytest.mark.parametrize("call", CALLS)
async def test_a_failing_source_of_tokens_sends_nothing(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]],
) -> None:
    """Its error is the error of the call, raised before anything is sent."""

    def give() -> str:
        raise KeyError("x")

    async with Server(HI) as server, backend_at(server.url(""), give) as backend:
        error = await failure(call(backend))
        assert type(error) is errors.Unauthorized
        assert server.requests == []


async def test_waiting_for_a_token_takes_no_longer_than_the_turn() -> None:
    """A credential that waits for its user is given up when the turn is over, before there is a channel."""

    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    loop = asyncio.get_running_loop()
    async with Server(HI) as server, backend_at(server.url(""), never) as backend:
        error = await failure(backend.open_turn(CONVERSATION, Prompt("Ask"), 0, Deadline(0.02, loop.time)))
        assert "(timeouts.turn)" in str(error)
        assert server.requests == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_service_that_repeats_the_token_is_not_quoted(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]], caplog: pytest.LogCaptureFixture
) -> None:
    """The token is neither in an error, whatever the service says, nor in a log."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    answer = refused(403, "Forbidden", f"Bearer {SECRET} has no licence")
    async with Server(answer) as server, backend_at(server.url("")) as backend:
        error = await failure(call(backend))
        assert type(error) is errors.Unauthorized
        assert "*** has no licence" in str(error)
    assert "hunter2" not in caplog.text
    assert "hunter2" not in f"{backend!r} {backend.__dict__!r}"


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the log of a turn has what came, without the token."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    async with Server(reply(final(f"You sent {SECRET}"))) as server, backend_at(server.url("")) as backend:
        await ask(backend)
    assert "You sent ***" in caplog.text
    assert "hunter2" not in caplog.text


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after"),
    [
        (refused(400, "BadRequest"), errors.InvalidRequest, None),
        (refused(403), errors.Unauthorized, None),
        (refused(413), errors.PromptTooLong, None),
        (refused(429, headers={"Retry-After": "7"}), errors.Throttled, 7.0),
        (refused(500), errors.ServiceError, None),
        (reply(b"<html>", 503), errors.ServiceError, None),
        (reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), errors.InvalidRequest, None),
        (reply(status=204), errors.ServiceError, None),
    ],
)
async def test_a_refused_turn_is_the_failure_of_its_channel(
    answer: bytes, kind: type[BingError], retry_after: float | None
) -> None:
    """The request went out, so the channel is there: who sends a turn twice may have it answered twice."""
    async with Server(answer) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time())
        error = await failure(reply_of(channel))
        assert (type(error), error.retry_after) == (kind, retry_after)


@pytest.mark.parametrize("status", [400, 404, 409, 410])
@pytest.mark.parametrize(("handle", "number"), [(CONVERSATION, 1), (WorkIQConversation("c1", taken_up=True), 0)])
async def test_a_conversation_that_is_gone_is_expired(status: int, handle: WorkIQConversation, number: int) -> None:
    """These statuses mean that of a conversation that has been used before."""
    async with Server(refused(status)) as server, backend_at(server.url("")) as backend:
        assert type(await failure(ask(backend, handle, number))) is errors.SessionExpired


async def test_a_refused_creation_is_raised() -> None:
    """With how long to wait, where the service says so."""
    async with Server(refused(429, headers={"Retry-After": "7"})) as server, backend_at(server.url("")) as backend:
        error = await failure(backend.create_conversation(in_time()))
        assert (type(error), error.retry_after) == (errors.Throttled, 7.0)


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_connection_nothing_was_sent(
    call: Callable[[WorkIQBackend], Coroutine[Any, Any, object]],
) -> None:
    """That is raised where the turn is opened, and may be tried again on the same conversation."""
    with closing(socket()) as held:
        held.bind(("127.0.0.1", 0))
        async with backend_at(f"http://127.0.0.1:{held.getsockname()[1]}") as backend:
            assert type(await failure(call(backend))) is errors.ConnectionFailed
            if call is ask:
                error = await failure(backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time()))
                assert type(error) is errors.ConnectionFailed


async def test_a_connection_that_breaks_before_the_answer_is_lost() -> None:
    """The service may have taken the turn."""
    async with Server(cut_off(b"")) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time())
        assert type(await failure(reply_of(channel))) is errors.ConnectionLost


async def test_an_answer_that_breaks_off_keeps_its_text() -> None:
    """The text that came is in the error."""
    begun = reply(partial("Hello"), headers={"Content-Length": "100000"})
    async with Server(cut_off(begun)) as server, backend_at(server.url("")) as backend:
        error = await failure(ask(backend))
        assert (type(error), error.partial_text) == (errors.ConnectionLost, "Hello")


async def test_what_the_service_does_not_offer_is_refused() -> None:
    """It lists and deletes nothing, and takes no picture; nothing is sent."""
    async with Server(HI) as server, backend_at(server.url("")) as backend:
        for call in (backend.list_conversations(in_time()), backend.delete_conversation(CONVERSATION, in_time())):
            assert type(await failure(call)) is errors.InvalidRequest
        image = Image(b"\x89PNG\r\n\x1a\n" + b"0" * 64)
        with pytest.raises(errors.InvalidRequest, match="takes text alone"):
            backend.check_prompt(Prompt("Ask", images=(image,)))
        with pytest.raises(errors.PromptTooLong, match="at most 16,000"):
            backend.check_prompt(Prompt("x" * 16_001))
        backend.check_prompt(Prompt("x" * backend.prompt_limit))
        assert server.requests == []


@pytest.mark.parametrize("token", [None, "", 7, "two words", "Bearer abc"])
def test_a_token_that_cannot_be_one_is_refused_at_once(token: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(errors.ConfigurationError):
        backend_of("http://127.0.0.1:1", token)


def test_a_model_is_one_that_is_known() -> None:
    """There is one; the backend for it shares connections and tokens."""
    backend = backend_of(None, SECRET)
    other = backend.with_model("copilot")
    assert other._http is backend._http
    assert other._calls is backend._calls
    with pytest.raises(errors.ConfigurationError, match="not known"):
        backend.with_model("gpt-5")


# --- ends -------------------------------------------------------------------------------------------------------------


def begun(*pieces: bytes) -> Answer:
    """An answer that begins with this and goes on for ever."""

    async def talk(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if pieces:
            writer.write(reply(b"".join(pieces), headers={"Content-Length": "100000"}))
        await silent(request, reader, writer)

    return talk


@pytest.mark.parametrize(("pieces", "text"), [((), ""), ((partial("Hello"),), "Hello")], ids=["before", "amid"])
async def test_a_stop_ends_the_answer(pieces: tuple[bytes, ...], text: str) -> None:
    """What came is the reply, at once, even while the service thinks; the connection is dropped."""
    async with Server(begun(*pieces), HI) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time())
        if pieces:
            assert await channel.next_event() == ev.TextDelta("Hello")
        else:
            await server.asked()
        waiting = asyncio.ensure_future(reply_of(channel))
        await asyncio.sleep(0)
        await channel.stop()
        assert (await waiting).text == text
        await server.idle()
        assert (await ask(backend)).text == "Hi"


@pytest.mark.parametrize("pieces", [(), (partial("Hello"),)], ids=["before", "amid"])
async def test_closing_drops_the_connection(pieces: tuple[bytes, ...]) -> None:
    """A channel that is closed before the answer is whole leaves nothing, and the client works on."""
    async with Server(begun(*pieces), HI) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time())
        await server.asked()
        if pieces:
            await channel.next_event()
        channel.close()
        await server.idle()
        assert (await ask(backend)).text == "Hi"


@pytest.mark.parametrize("pieces", [(), (partial("Hello"),)], ids=["before", "amid"])
async def test_a_cancelled_turn_leaves_nothing(pieces: tuple[bytes, ...]) -> None:
    """A caller that is cancelled while it waits drops the connection, and the client works on."""
    async with Server(begun(*pieces), HI) as server, backend_at(server.url("")) as backend:
        task = asyncio.ensure_future(ask(backend))
        await server.asked()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.idle()
        assert (await ask(backend)).text == "Hi"


async def test_a_turn_that_is_cancelled_before_it_is_sent_leaves_nothing() -> None:
    """Also while its token is waited for."""
    asked = asyncio.Event()

    async def never() -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with backend_at("http://127.0.0.1:1", never) as backend:
        task = asyncio.ensure_future(backend.open_turn(CONVERSATION, Prompt("Ask"), 0, in_time()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
