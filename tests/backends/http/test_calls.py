"""One HTTP call, and what fails of every connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from email import message_from_bytes
from typing import Any

import pytest

from bing_llm.backends import http as http_module
from bing_llm.backends.http import Http, UpgradeRefused
from bing_llm.backends.response import FormField
from bing_llm.errors import ConnectionFailed, ProtocolError, TimedOut
from tests.backends.connecting import (
    CALLS,
    TOKEN,
    failure,
    fetch,
    open_socket,
)
from tests.backends.serving import Request, Server, cut_off, reply, silent

FORM = [FormField("asked", "{}", "application/json"), FormField("picture", "0123")]


async def test_a_call_gives_status_headers_and_body() -> None:
    """Header names are in lower case, however they were spelled, and `Retry-After` is a number."""
    answer = reply(b"{}", 429, {"X-SYDNEY-ConversationSignature": "a+/=", "retry-AFTER": "7"})
    http = Http()
    async with Server(answer) as server:
        got = await fetch(http, server.url(f"/a{TOKEN}"))
        assert (got.status, got.body, got.retry_after) == (429, b"{}", 7.0)
        assert got.headers["x-sydney-conversationsignature"] == "a+/="
        assert server.requests[0].target == f"/a{TOKEN}"
        assert server.requests[0].headers["x-a"] == "b"
        await http.aclose()


async def test_calls_of_one_loop_share_a_connection() -> None:
    """A second call goes over the connection of the first."""
    http = Http()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        await fetch(http, server.url())
        assert len(server.requests) == 2
        assert len(server._tasks) == 1
        await http.aclose()
        await server.idle()


async def test_a_form_goes_as_multipart() -> None:
    """Also one of a single field; the standard library reads it."""
    http = Http()
    async with Server(reply()) as server:
        for fields in (FORM, FORM[:1]):
            await fetch(http, server.url(), form=fields)
            request = server.requests[-1]
            head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
            message = message_from_bytes(head + request.body)
            assert message.get_content_type() == "multipart/form-data"
            parts: Any = message.get_payload()
            assert [
                (part.get_param("name", header="Content-Disposition"), part.get_payload(decode=True)) for part in parts
            ] == [(field.name, field.value.encode()) for field in fields]
            assert parts[0].get_content_type() == "application/json"
        await http.aclose()


async def test_a_redirect_of_a_call_is_an_answer() -> None:
    """A redirect is not followed: where it leads is the caller's to judge."""
    http = Http()
    async with Server(reply(status=302, headers={"Location": "/elsewhere"})) as server:
        assert (await fetch(http, server.url())).status == 302
        assert len(server.requests) == 1
        await http.aclose()


async def test_a_body_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer body than any that the service was seen to send is not held in memory."""

    async def endless(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(headers={"Content-Length": "1000000000"}))
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 1000)
    http = Http()
    async with Server(reply(b"x" * 1000), endless) as server:
        assert len((await fetch(http, server.url())).body) == 1000
        error = await failure(ProtocolError, fetch(http, server.url()))
        assert error.message == "The answer to the call is longer than 1,000 bytes."
        await server.idle()
        await http.aclose()


# --- what fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_no_listener_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], unused_port: int
) -> None:
    """The error names the public part of the URL and the system's reason, and has the system's error as its cause."""
    http = Http()
    error = await failure(ConnectionFailed, call(http, f"http://127.0.0.1:{unused_port}/a{TOKEN}"))
    assert error.message.startswith(f"There was no connection to http://127.0.0.1:{unused_port}/a for the ")
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert not error.permanent
    await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_slow_server_times_out(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """The error names the limit and its length, and the connection is closed."""
    http = Http()
    async with Server(silent) as server:
        error = await failure(TimedOut, call(http, server.url(f"/a{TOKEN}"), seconds=0.05))
        assert error.message.endswith(f"from {server.url('/a')} within 0.05 seconds (timeouts.connect).")
        await server.idle()
        await http.aclose()


async def test_a_slow_body_times_out() -> None:
    """The limit is for the whole call, and the caller says which one it is."""

    async def slow(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"x" * 100)[:-50])
        await reader.read()

    http = Http()
    async with Server(slow) as server:
        error = await failure(TimedOut, fetch(http, server.url(), seconds=0.05, limit="silence"))
        assert error.message.endswith("(timeouts.silence).")
        await http.aclose()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Sydney-ConversationSignature: hunter2\r\nX-A: b\r\n",
        reply(b"x" * 100, headers={"X-Sydney-ConversationSignature": "hunter2"})[:-50],
    ],
    ids=["nothing", "garbage", "half a head", "half a body"],
)
@pytest.mark.parametrize("call", CALLS)
async def test_a_broken_answer_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], sent: bytes
) -> None:
    """An incomplete answer raises ConnectionFailed; neither the URL's token nor the answer's headers show."""
    http = Http()
    async with Server(cut_off(sent)) as server:
        if call is open_socket and b"200 OK" in sent and sent.endswith(b"x"):
            await failure(UpgradeRefused, call(http, server.url(f"/a{TOKEN}", "ws")))
        else:
            error = await failure(ConnectionFailed, call(http, server.url(f"/a{TOKEN}")))
            assert error.message.startswith("There was no answer to the ")
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_sent_once(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """A connection that breaks is one failed attempt: the library below sends nothing a second time by itself."""
    http = Http()
    async with Server(cut_off(b"")) as server:
        await failure(ConnectionFailed, call(http, server.url()))
        assert len(server.requests) == 1
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("url", ["http://exa mple/?hunter2", "nothing?hunter2", "ftp://127.0.0.1/?hunter2"])
async def test_a_bad_url_is_a_failed_connection(call: Callable[..., Coroutine[Any, Any, object]], url: str) -> None:
    """A URL that the library refuses is none of its exceptions."""
    http = Http()
    await failure(ConnectionFailed, call(http, url))
    await http.aclose()


async def test_headers_cannot_be_smuggled_in() -> None:
    """A line break in a header is refused before anything is sent."""
    http = Http()
    async with Server(reply()) as server:
        call = http.request("GET", server.url(), what="the call", seconds=5, headers={"A": "hunter2\r\nX: y"})
        assert type(await failure(ConnectionFailed, call)) is ConnectionFailed
        assert server.requests == []
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_cancelled_call_closes_its_connection(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """A cancelled caller gets its CancelledError, leaves nothing open, and the client works on."""
    http = Http()
    async with Server(silent, reply()) as server:
        task = asyncio.ensure_future(call(http, server.url()))
        await server.asked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.idle()
        assert (await fetch(http, server.url())).status == 200
        await http.aclose()
