"""The ChatHub over real connections on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, TypeVar

import aiohttp
import pytest

from bing_llm import __version__, errors
from bing_llm import events as ev
from bing_llm.backends.base import ConversationInfo, TurnChannel
from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.backends.chathub.request import ChatHubConversation
from bing_llm.backends.http import Socket
from bing_llm.emulator import Emulator, Question, Scripted
from bing_llm.errors import BingError
from bing_llm.images import Image
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import ChatHub
from tests.backends.chathub.wire import ACK, bot, final, update
from tests.backends.serving import Answer, Request, Server, cut_off, deaf, frame, reply, silent, upgraded

T = TypeVar("T")

PIXELS = b"\x89PNG\r\n\x1a\n" + b"0" * 64
CREATE, SOCKET = "/turing/conversation/create", "/sydney/ChatHub"
UPLOAD, CHATS, DELETE = "/images/kblob", "/turing/conversation/chats", "/sydney/DeleteSingleConversation"

CONVERSATION = ChatHubConversation("51D|BingProd|00", "844426050463147", "hunter2+/=", "hunter3+/=")
CREATED = reply(
    json.dumps({"conversationId": CONVERSATION.id, "clientId": CONVERSATION.client_id}).encode(),
    headers={"x-SYDNEY-conversationSIGNATURE": "hunter2+/=", "X-Sydney-EncryptedConversationSignature": "hunter3+/="},
)


def in_time(seconds: float = 60.0) -> Deadline:
    """A deadline that no test reaches, on a clock that stands still."""
    return Deadline(seconds, lambda: 0.0)


def backend_of(service: ChatHub, timeouts: Timeouts | None = None) -> ChatHubBackend:
    """A client of this service."""
    return ChatHubBackend(service, timeouts=timeouts or Timeouts(), limits=DEFAULT_LIMITS)


@asynccontextmanager
async def backend_at(endpoint: str, timeouts: Timeouts | None = None, **settings: Any) -> AsyncIterator[ChatHubBackend]:
    """A client of the service there."""
    backend = backend_of(ChatHub(endpoint=endpoint, **settings), timeouts)
    try:
        yield backend
    finally:
        await backend.aclose()


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
            assert "hunter" not in f"{exc} {exc!r} {exc.args}"
            left += [exc.__cause__, exc.__context__]
    return caught.value


def talk(*messages: str) -> Answer:
    """A socket that says this after it was asked, and waits for its end."""

    async def say(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        for message in messages:
            writer.write(frame(b"", 9))  # a WebSocket ping, which aiohttp answers itself
            payload = message.encode()
            writer.write(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload)
        await silent(request, reader, writer)

    return upgraded(say)


# --- whole turns ------------------------------------------------------------------------------------------------------


async def test_turns_of_a_conversation() -> None:
    """A conversation is created once; its turns go over a socket each, and count up."""
    async with Emulator(Scripted([["Hello ", "you"], ["Again"]])) as emulator, backend_at(emulator.url) as backend:
        conversation = await backend.create_conversation(in_time())
        for number, text in enumerate(["Hello you", "Again"]):
            channel = await backend.open_turn(conversation, Prompt(f"Turn {number}", "Before"), number, in_time())
            assert (await reply_of(channel)).text == text
        assert [request.kind for request in emulator.requests] == ["creation", "chat", "chat"]
        _, first, second = emulator.requests
        assert (first.invocation_id, second.invocation_id) == ("0", "1")
        assert (first.text, first.context) == ("Turn 0", "Before")
        assert first.query["sec_access_token"] == second.query["sec_access_token"] == conversation.encrypted_signature


async def test_each_request_has_a_stamp_of_its_own() -> None:
    """Ids are fresh for each turn, and the time is local with its offset."""
    async with Emulator(Scripted([["One"], ["Two"]])) as emulator, backend_at(emulator.url) as backend:
        conversation = await backend.create_conversation(in_time())
        for number in range(2):
            await reply_of(await backend.open_turn(conversation, Prompt("Hi"), number, in_time()))
        first, second = (request.body["arguments"][0] for request in emulator.requests[1:])
        for arguments in (first, second):
            message = arguments["message"]
            assert uuid.UUID(arguments["requestId"]).version == 4
            assert message["messageId"] == message["requestId"] == arguments["requestId"]
            assert len(bytes.fromhex(arguments["traceId"])) == 16
            assert datetime.fromisoformat(message["timestamp"]).utcoffset() is not None
        assert first["requestId"] != second["requestId"]
        assert first["traceId"] != second["traceId"]


async def test_headers_go_with_every_request() -> None:
    """Cookies, language, the address that the caller set and our own name go with HTTP calls and sockets."""
    settings: dict[str, Any] = {"locale": "de-DE", "cookies": "_U=hunter2; a=b", "ip_address": "192.0.2.1"}
    async with (
        Emulator(Scripted([["Hi"]])) as emulator,
        backend_at(emulator.url, **settings) as backend,
    ):
        conversation = await backend.create_conversation(in_time())
        image = Image(PIXELS)
        await reply_of(await backend.open_turn(conversation, Prompt("Hi", images=(image,)), 0, in_time()))
        await backend.list_conversations(in_time())
        await backend.delete_conversation(conversation, in_time())
        assert [request.kind for request in emulator.requests] == ["creation", "upload", "chat", "list", "deletion"]
        for request in emulator.requests:
            assert request.headers["Cookie"] == "_U=hunter2; a=b"
            assert request.headers["x-forwarded-for"] == "192.0.2.1"
            assert request.headers["Accept-Language"] == "de-DE"
            assert request.headers["User-Agent"] == f"bing-llm/{__version__}"
            assert request.headers["Accept"] == "application/json"


async def test_no_address_and_no_cookie_are_made_up() -> None:
    """What the caller did not set is not sent."""
    async with Server(CREATED) as server, backend_at(server.url("")) as backend:
        await backend.create_conversation(in_time())
        assert not {"cookie", "x-forwarded-for"} & set(server.requests[0].headers)


async def test_signatures_are_found_in_whatever_case() -> None:
    """Header names have been spelled in four ways; the encrypted one goes percent-encoded into the socket's URL."""
    async with Server(CREATED, talk(ACK, final(bot("Hi")))) as server, backend_at(server.url("")) as backend:
        conversation = await backend.create_conversation(in_time())
        assert conversation == CONVERSATION
        await reply_of(await backend.open_turn(conversation, Prompt("Hi"), 0, in_time()))
        assert server.requests[1].target == f"{SOCKET}?sec_access_token=hunter3%2B%2F%3D"


async def test_a_conversation_is_taken_up_again() -> None:
    """A conversation that the service keeps gets fresh signatures, and is not a new one."""
    async with Emulator(Scripted([["Hi"]])) as emulator, backend_at(emulator.url) as backend:
        known = await backend.create_conversation(in_time())
        again = await backend.open_conversation(known.id, in_time())
        assert again.id == known.id
        assert again.secrets != known.secrets
        assert emulator.requests[1].query["conversationId"] == known.id
        await reply_of(await backend.open_turn(again, Prompt("Hi"), 0, in_time()))


async def test_a_conversation_that_is_gone_is_expired() -> None:
    """What the service does not keep any more cannot be taken up."""
    async with Emulator(Scripted([])) as emulator, backend_at(emulator.url) as backend:
        error = await failure(backend.open_conversation("51D|a&b", in_time()))
        assert type(error) is errors.SessionExpired
        assert emulator.requests[0].query["conversationId"] == "51D|a&b"


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the log of a turn has neither signatures nor cookies."""
    caplog.set_level(logging.DEBUG, "bing_llm")
    echo = update(bot("You are hunter2+/= with _U=hunter4 at hunter3%2B%2F%3D"))
    script = (CREATED, talk(ACK, echo, final(bot("You are"))))
    async with Server(*script) as server, backend_at(server.url(""), cookies="_U=hunter4") as backend:
        conversation = await backend.create_conversation(in_time())
        await reply_of(await backend.open_turn(conversation, Prompt("Hi"), 0, in_time()))
    assert "You are *** with *** at ***" in caplog.text
    assert "hunter" not in caplog.text
    labels = {record.getMessage().partition(" ")[0] for record in caplog.records if record.name.endswith(".channel")}
    assert len(labels) == 1


# --- pictures ---------------------------------------------------------------------------------------------------------


async def test_a_picture_is_uploaded_first() -> None:
    """The bytes of a picture go up before the turn, and the request names what they became."""
    seen: list[Question] = []

    def script(question: Question) -> list[str]:
        seen.append(question)
        return ["A picture"]

    async with Emulator(Scripted(script)) as emulator, backend_at(emulator.url) as backend:
        conversation = await backend.create_conversation(in_time())
        for image in (Image(PIXELS), Image(url="https://example.com/a.png")):
            number = len(seen)
            prompt = Prompt("What is this?", images=(image,))
            await reply_of(await backend.open_turn(conversation, prompt, number, in_time()))
        assert [question.images for question in seen] == [(Image(PIXELS),), (Image(url="https://example.com/a.png"),)]
        message = emulator.requests[2].body["arguments"][0]["message"]
        assert message["imageUrl"] == message["originalImageUrl"]
        assert message["imageUrl"].startswith(f"{emulator.url}/images/blob?bcid=")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(b'{"blobId":"","processedBlobId":""}'), errors.UploadFailed),
        (reply(status=400), errors.UploadFailed),
        (reply(status=403), errors.Unauthorized),
        (reply(b"<html>"), errors.ServiceError),
        (cut_off(b""), errors.ConnectionFailed),
    ],
)
async def test_a_turn_whose_picture_was_not_taken_is_not_sent(answer: Answer, kind: type[BingError]) -> None:
    """An upload that fails raises its error, and no socket is opened."""
    async with Server(routes={UPLOAD: answer}) as server, backend_at(server.url("")) as backend:
        prompt = Prompt("What is this?", images=(Image(PIXELS),))
        error = await failure(backend.open_turn(CONVERSATION, prompt, 0, in_time()))
        assert type(error) is kind
        assert len(server.requests) == 1


async def test_a_slow_upload_names_its_own_limit() -> None:
    """An upload may take as long as the socket may be silent; it is larger than other calls."""
    timeouts = Timeouts(connect=600, silence=0.05)
    async with Server(silent) as server, backend_at(server.url(""), timeouts) as backend:
        prompt = Prompt("What is this?", images=(Image(PIXELS),))
        error = await failure(backend.open_turn(CONVERSATION, prompt, 0, in_time()))
        assert type(error) is errors.TimedOut
        assert error.message.endswith("within 0.05 seconds (timeouts.silence).")


def test_a_prompt_is_checked_before_anything_is_sent() -> None:
    """An empty or over-long prompt, and a second picture, are refused with what is allowed."""
    backend = backend_of(ChatHub())
    image = Image(PIXELS)
    backend.check_prompt(Prompt("Hi", "x" * 100_000, (image,)))
    for prompt, kind, says in [
        (Prompt(" \n"), errors.InvalidRequest, "The prompt is empty"),
        (Prompt("x" * 4001), errors.PromptTooLong, "4,001 characters; bing-balanced takes at most 4,000"),
        (Prompt("Hi", images=(image, image)), errors.InvalidRequest, "has 2 images; a ChatHub message takes one"),
    ]:
        with pytest.raises(kind, match=says):
            backend.check_prompt(prompt)


# --- the list of conversations ----------------------------------------------------------------------------------------


async def test_conversations_are_listed_and_deleted() -> None:
    """The list has what the service keeps; deletion is proved by the plain signature as a bearer token."""
    async with Emulator(Scripted([["Hi"]])) as emulator, backend_at(emulator.url) as backend:
        conversation = await backend.create_conversation(in_time())
        await reply_of(await backend.open_turn(conversation, Prompt("Say hi"), 0, in_time()))
        [info] = await backend.list_conversations(in_time())
        assert info.id == conversation.id
        assert info.name == info.raw["chatName"] != ""
        await backend.delete_conversation(conversation, in_time())
        assert await backend.list_conversations(in_time()) == []
        deletion = next(request for request in emulator.requests if request.kind == "deletion")
        assert deletion.headers["Authorization"] == f"Bearer {conversation.signature}"
        assert deletion.body == {
            "conversationId": conversation.id,
            "participant": {"id": conversation.client_id},
            "source": "cib",
            "optionsSets": ["autosave"],
        }
        assert type(await failure(backend.delete_conversation(conversation, in_time()))) is errors.SessionExpired


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (b"{}", []),
        (b'{"chats":null,"result":{"value":"Success"}}', []),
        (b'{"chats":[{}]}', [ConversationInfo("", "", {})]),
        (
            b'{"chats":[{"conversationId":null,"chatName":null}]}',
            [ConversationInfo("", "", {"conversationId": None, "chatName": None})],
        ),
    ],
)
async def test_an_entry_may_have_no_name(body: bytes, listed: list[ConversationInfo]) -> None:
    """What the list leaves out is the empty text."""
    async with Server(routes={CHATS: reply(body)}) as server, backend_at(server.url("")) as backend:
        assert await backend.list_conversations(in_time()) == listed


REFUSED = reply(b'{"result":{"value":"UnauthorizedRequest","message":"Sorry, you need to login first."}}')


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (REFUSED, errors.Unauthorized),
        (reply(status=404), errors.InvalidRequest),
        (reply(status=503), errors.ServiceError),
        (reply(b"[]"), errors.ServiceError),
    ],
)
async def test_a_refused_call_is_an_error(answer: bytes, kind: type[BingError]) -> None:
    """The list and the deletion are read by the same rules as a creation."""
    async with Server(answer) as server, backend_at(server.url("")) as backend:
        listing = await failure(backend.list_conversations(in_time()))
        deletion = await failure(backend.delete_conversation(CONVERSATION, in_time()))
        assert (type(listing), type(deletion)) == (kind, kind)
        assert "the list of conversations" in str(listing)
        assert "the deletion of a conversation" in str(deletion)


# --- what fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (200, errors.Unauthorized, "with HTTP 200 instead of opening it, as it does to hosts it refuses"),
        (204, errors.Unauthorized, "The chat socket was not opened"),
        (302, errors.Unauthorized, "The service answered the chat socket with HTTP 302"),
        (403, errors.Unauthorized, "HTTP 403"),
        (404, errors.ConnectionFailed, "HTTP 404"),
        (407, errors.Unauthorized, "HTTP 407"),
        (429, errors.Throttled, "HTTP 429"),
        (502, errors.ServiceError, "HTTP 502"),
        (101, errors.ProtocolError, "opens a WebSocket, but not by the rules"),
    ],
)
async def test_a_refused_socket_is_an_error(status: int, kind: type[BingError], says: str) -> None:
    """Each status that refuses the upgrade has its error; the token of the URL does not show."""
    answer = reply(status=status, headers={"Retry-After": "3", "Location": "https://cn.bing.com"})
    async with Server(answer) as server, backend_at(server.url("")) as backend:
        error = await failure(backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time()))
        assert type(error) is kind
        assert says in error.message
        assert error.value == str(status)
        assert error.retry_after == (3.0 if status in {429, 502} else None)


async def test_a_service_that_is_not_there_is_a_failed_connection() -> None:
    """Creation and socket both say so, without the token."""
    async with Server(cut_off(b"")) as server, backend_at(server.url("")) as backend:
        assert type(await failure(backend.create_conversation(in_time()))) is errors.ConnectionFailed
        opening = backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time())
        assert type(await failure(opening)) is errors.ConnectionFailed


async def test_a_failure_at_the_public_host_says_that_it_is_retired() -> None:
    """Whatever a creation fails with there, the hint names the likely reason; elsewhere it does not."""
    async with Server(reply(status=403)) as proxy:
        backend = backend_of(ChatHub(proxy=proxy.url()))
        error = await failure(backend.create_conversation(in_time()))
        assert proxy.requests[0].method == "CONNECT"
        assert error.hint.startswith("Bing's public host was retired by March 2025: name an endpoint. ")
        assert error.message.startswith("The proxy refused the connection to https://www.bing.com/")
        await backend.aclose()
        async with backend_at(proxy.url("")) as other:
            assert "retired" not in (await failure(other.create_conversation(in_time()))).hint


@pytest.mark.parametrize(("connect", "turn", "limit"), [(0.05, 60.0, "connect"), (60.0, 0.05, "turn")])
async def test_the_limit_that_passed_is_named(connect: float, turn: float, limit: str) -> None:
    """A service that does not answer fails by the shorter limit: that of the step, or that of the whole turn."""
    async with Server(silent) as server, backend_at(server.url(""), Timeouts(connect=connect)) as backend:
        for call in (backend.create_conversation, backend.list_conversations):
            error = await failure(call(in_time(turn)))
            assert type(error) is errors.TimedOut
            assert f"0.05 seconds (timeouts.{limit})" in error.message


async def test_no_call_is_made_after_the_deadline() -> None:
    """When the time of the turn is up, nothing is sent any more."""
    async with Server(CREATED) as server, backend_at(server.url("")) as backend:
        late = Deadline(0, lambda: 0.0)
        prompt = Prompt("Hi", images=(Image(PIXELS),))
        for call in (
            backend.create_conversation(late),
            backend.open_conversation("id", late),
            backend.list_conversations(late),
            backend.delete_conversation(CONVERSATION, late),
            backend.open_turn(CONVERSATION, Prompt("Hi"), 0, late),
            backend.open_turn(CONVERSATION, prompt, 0, late),
        ):
            error = await failure(call)
            assert type(error) is errors.TimedOut
            assert "(timeouts.turn)" in error.message
        assert server.requests == []


async def test_a_request_that_cannot_be_sent_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that breaks while the request goes out is ours to drop."""

    async def broken(*_args: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_frame", broken)
    async with Server(upgraded(silent)) as server, backend_at(server.url("")) as backend:
        error = await failure(backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time()))
        assert type(error) is errors.ConnectionLost
        await server.idle()


async def test_a_dropped_socket_is_a_lost_connection() -> None:
    """A connection that ends in the middle of an answer is an error that keeps the text."""

    async def drop(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        for message in (ACK, update(bot("Hi"))):
            payload = message.encode()
            writer.write(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload)

    async with Server(upgraded(drop)) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time())
        error = await failure(reply_of(channel))
        assert type(error) is errors.ConnectionLost
        assert error.partial_text == "Hi"


async def test_a_reset_socket_is_a_lost_connection() -> None:
    """A connection that is reset is the same, not a breach of the protocol."""

    async def reset(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        socket = writer.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # then closing sends a reset
        writer.transport.abort()

    async with Server(upgraded(reset)) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time())
        assert type(await failure(reply_of(channel))) is errors.ConnectionLost


# --- warm conversations -----------------------------------------------------------------------------------------------


async def test_a_warm_conversation_is_asked_without_a_further_step() -> None:
    """Creation, socket and handshake go before; the turn sends its request alone, as its own backend words it."""
    async with Emulator(Scripted([["Hi"]])) as emulator, backend_at(emulator.url) as backend:
        warm = await backend.warm_up(in_time())
        assert [request.kind for request in emulator.requests] == ["creation"]
        assert warm.alive()
        channel = await backend.with_model("bing-precise").open_warm(warm, Prompt("Hello", "Before"), in_time())
        answered = await reply_of(channel)
        assert (answered.text, answered.conversation_id) == ("Hi", warm.handle.id)
        _, turn = emulator.requests
        assert (turn.kind, turn.text, turn.context, turn.invocation_id) == ("chat", "Hello", "Before", "0")
        assert turn.body["arguments"][0]["tone"] == "Precise"


async def test_a_picture_goes_up_before_a_warm_turn() -> None:
    """A picture is uploaded before a warm turn, as before every turn."""
    async with Emulator(Scripted([["A picture"]])) as emulator, backend_at(emulator.url) as backend:
        warm = await backend.warm_up(in_time())
        channel = await backend.open_warm(warm, Prompt("What?", images=(Image(PIXELS),)), in_time())
        assert (await reply_of(channel)).text == "A picture"
        assert [request.kind for request in emulator.requests] == ["creation", "upload", "chat"]


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [(Prompt("Hi"), errors.ConnectionLost), (Prompt("Hi", images=(Image(PIXELS),)), errors.UploadFailed)],
)
async def test_a_warm_turn_that_cannot_be_sent_leaves_no_socket(
    prompt: Prompt, kind: type[BingError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its picture was not taken or its socket broke."""
    async with (
        Server(talk(ACK), routes={CREATE: CREATED, UPLOAD: reply(status=400)}) as server,
        backend_at(server.url("")) as backend,
    ):
        warm = await backend.warm_up(in_time())

        async def broken(*_args: Any) -> None:
            raise ConnectionResetError

        monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "send_frame", broken)
        assert type(await failure(backend.open_warm(warm, prompt, in_time()))) is kind
        await backend._http.aclose()
        await server.idle()


@pytest.mark.parametrize(
    ("socket", "kind"),
    [
        (reply(status=403), errors.Unauthorized),
        (talk('{"error":"No."}\x1e'), errors.ProtocolError),
        (upgraded(cut_off(b"")), errors.ConnectionLost),
    ],
)
async def test_what_cannot_be_made_warm_leaves_no_socket(socket: Answer, kind: type[BingError]) -> None:
    """A refused socket, a refused handshake and a dropped connection are raised."""
    async with Server(socket, routes={CREATE: CREATED}) as server, backend_at(server.url("")) as backend:
        assert type(await failure(backend.warm_up(in_time()))) is kind
        await backend._http.aclose()
        await server.idle()


async def test_a_dropped_warm_socket_is_seen() -> None:
    """A service that closes what waits is noticed without sending anything."""
    ended = asyncio.Event()

    async def leave(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(frame(ACK.encode()))
        await ended.wait()
        writer.write(frame(b"", 8))

    async with Server(upgraded(leave), routes={CREATE: CREATED}) as server, backend_at(server.url("")) as backend:
        warm = await backend.warm_up(in_time())
        assert warm.alive()
        ended.set()
        while warm.alive():  # noqa: ASYNC110 - a look has no event
            await asyncio.sleep(0)
        warm.close()


# --- cancellation -----------------------------------------------------------------------------------------------------


async def open_turn(backend: ChatHubBackend) -> object:
    """A turn up to its request."""
    return await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time())


async def create(backend: ChatHubBackend) -> object:
    """A creation."""
    return await backend.create_conversation(in_time())


async def upload(backend: ChatHubBackend) -> object:
    """A turn up to its upload."""
    return await backend.open_turn(CONVERSATION, Prompt("Hi", images=(Image(PIXELS),)), 0, in_time())


async def warm_up(backend: ChatHubBackend) -> object:
    """A conversation that is made ready."""
    return await backend.warm_up(in_time())


@pytest.mark.parametrize("call", [create, upload, open_turn, warm_up])
async def test_a_cancelled_call_leaves_nothing(call: Callable[[ChatHubBackend], Awaitable[object]]) -> None:
    """A caller that is cancelled while it waits for an answer closes its connection, and the client works on."""
    async with Server(silent, talk(ACK, final(bot("Hi")))) as server, backend_at(server.url("")) as backend:
        task = asyncio.ensure_future(call(backend))
        await server.asked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.idle()
        assert (await reply_of(await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time()))).text == "Hi"


async def test_a_cancelled_turn_leaves_nothing() -> None:
    """A caller that is cancelled in the middle of an answer drops the socket, and the client works on."""
    heard = asyncio.Event()

    async def listen(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        heard.set()
        await silent(request, reader, writer)

    script = (upgraded(listen), talk(ACK, final(bot("Hi"))))
    async with Server(*script) as server, backend_at(server.url("")) as backend:
        channel = await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time())
        task = asyncio.ensure_future(reply_of(channel))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.idle()
        assert (await reply_of(await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time()))).text == "Hi"


async def test_a_cancelled_request_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that is cancelled while its request goes out to a service that reads nothing drops the socket."""
    sending = asyncio.Event()
    send = Socket.send

    async def noted(*args: Any) -> None:
        sending.set()
        await send(*args)

    monkeypatch.setattr(Socket, "send", noted)
    async with Server(upgraded(deaf), talk(ACK, final(bot("Hi")))) as server, backend_at(server.url("")) as backend:
        long = Prompt("Hi", "x" * 50_000_000)
        task = asyncio.ensure_future(backend.open_turn(CONVERSATION, long, 0, in_time()))
        await sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [connection] = server._tasks
        connection.cancel()  # it would never notice
        assert (await reply_of(await backend.open_turn(CONVERSATION, Prompt("Hi"), 0, in_time()))).text == "Hi"
