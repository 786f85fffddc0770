"""The front as a server of its own."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bing_llm.errors import ConfigurationError
from bing_llm.serve import Server
from tests.fakes import FakeBackend, Pause, answer, client_of
from tests.serve.visitor import fronting


async def test_running_answers_end_and_new_ones_are_refused() -> None:
    """When it is asked to end; its health says so. Then it has ended."""
    pause = Pause()
    async with fronting(FakeBackend([pause, *answer("Hi")])) as visitor:
        server = visitor.server
        ended = asyncio.create_task(server.run())
        running = asyncio.create_task(visitor.chat(stream=True))
        await pause.reached.wait()
        assert server.stop()
        assert not server.stop()  # a second time
        refused, health = await visitor.chat(), await visitor.send("GET", "/healthz")
        assert not ended.done()
        pause.go.set()
        assert (await running).events[-1] == "[DONE]"
        await ended
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "shutting_down", "5")
    assert "x-should-retry" not in refused.headers
    assert (health.status, health.json) == (503, {"status": "draining"})


async def test_a_server_without_requests_ends_at_once() -> None:
    """There is nothing to wait for."""
    async with client_of(FakeBackend()) as client, Server(client, port=0) as server:
        server.stop()
        await server.run()


async def test_closing_breaks_what_is_open() -> None:
    """No turn is left running at the service."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("Hi")])
    async with fronting(backend) as visitor:
        running = asyncio.create_task(visitor.chat())
        await pause.reached.wait()
        await visitor.server.aclose()
        await visitor.server.aclose()
        (broken,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(broken, Exception)
    assert backend.open_channels == 0


async def test_it_listens_once() -> None:
    """Its URL is where."""
    async with client_of(FakeBackend()) as client:
        server = Server(client, port=0)
        with pytest.raises(ConfigurationError, match="not running"):
            _ = server.url
        async with server:
            assert server.url.startswith("http://127.0.0.1:")
            assert server.url.endswith("/v1")
            with pytest.raises(ConfigurationError, match="running already"):
                await server.start()


async def test_a_taken_port_is_an_error() -> None:
    """Of ours, which says where."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with client_of(FakeBackend()) as client:
            with pytest.raises(ConfigurationError, match=f"port {port}"):
                await Server(client, port=port).start()


async def test_beyond_loopback_a_key_is_required() -> None:
    """Before anything is listened on."""
    async with client_of(FakeBackend()) as client:
        with pytest.raises(ConfigurationError, match="has no key"):
            Server(client, host="0.0.0.0")  # noqa: S104 - refused


async def test_what_is_not_http_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It may hold a key."""
    async with client_of(FakeBackend()) as client, Server(client, port=0) as server:
        host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nAuthorization: Bearer secret\r\nbad header\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
        writer.close()
        await writer.wait_closed()
    assert "secret" not in caplog.text
