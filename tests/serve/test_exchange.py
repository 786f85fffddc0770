"""Answers as they are written, and callers who leave."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bing_llm import events as ev
from bing_llm.errors import ConnectionLost, InvalidRequest, ServiceError, Throttled, Unauthorized
from bing_llm.serve.app import FRONT, application
from bing_llm.serve.record import ACCESS_LOG
from tests.fakes import FakeBackend, Pause, answer, client_of
from tests.serve.visitor import HELLO, fronting

LOST = ConnectionLost("The connection ended.")


@pytest.mark.parametrize("path", ["chat", "respond"])
@pytest.mark.parametrize(
    ("error", "status"),
    [(ServiceError("Down."), 503), (Throttled("Slow.", retry_after=7), 429), (Unauthorized("Who?"), 401),
     (InvalidRequest("Bad."), 400)],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_any_text_has_its_status(*, path: str, error: Any, status: int, stream: bool) -> None:
    """Also if a stream was asked for: nothing was written yet. The client has made all its attempts."""
    backend = FakeBackend(error, error, error)
    async with fronting(backend, attempts=2) as visitor:
        answered = await getattr(visitor, path)(stream=stream)
    assert answered.status == status
    assert answered.headers["x-should-retry"] == "false"
    assert answered.error["message"].startswith(error.message)
    assert len(backend.prompts) <= 2


async def test_an_error_that_passes_is_not_seen() -> None:
    """The client tries again."""
    async with fronting(FakeBackend(ServiceError("Down."), answer("Hi"))) as visitor:
        assert (await visitor.chat()).json["choices"][0]["message"]["content"] == "Hi"


async def test_an_error_after_text_ends_the_stream() -> None:
    """As an event that OpenAI's SDKs raise; nothing says that all is well."""
    backend = FakeBackend([ev.TextDelta("Hi"), LOST], [ev.TextDelta("Hi"), LOST])
    async with fronting(backend) as visitor:
        chat = await visitor.chat(stream=True)
        response = await visitor.respond(stream=True)
    assert (chat.status, chat.events[1]["choices"][0]["delta"]) == (200, {"content": "Hi"})
    assert chat.events[-1]["error"]["code"] == "upstream_error"
    assert response.kinds[-2:] == ["error", "response.failed"]
    assert len(backend.prompts) == 2  # no turn was sent again


async def test_an_error_after_text_is_the_status_of_a_whole_answer() -> None:
    """Half an answer is none."""
    async with fronting(FakeBackend([ev.TextDelta("Hi"), LOST])) as visitor:
        assert (await visitor.chat()).status == 503


async def closed(backend: FakeBackend) -> None:
    """Wait until no turn holds a connection."""
    while backend.open_channels:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0)


async def left_during(backend: FakeBackend, pause: Pause, url: str, *, stream: bool) -> None:
    """A caller leaves while the service answers, and it is waited for until the turn is closed."""
    async with aiohttp.ClientSession() as http:
        sent = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json={"messages": HELLO, "stream": stream}))
        await pause.reached.wait()
        sent.cancel()
        await asyncio.gather(sent, return_exceptions=True)
    await closed(backend)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_ends_the_turn(caplog: pytest.LogCaptureFixture, *, stream: bool) -> None:
    """At the service, too; the log says that it was not the server's fault."""
    caplog.set_level("INFO", ACCESS_LOG)
    pause = Pause()
    backend = FakeBackend([pause, *answer("Hi")], answer("Fine"))
    async with fronting(backend) as visitor:
        await left_during(backend, pause, visitor.base, stream=stream)
        assert (await visitor.chat()).status == 200
    assert [record.message.split(" ")[2] for record in caplog.records if record.name == ACCESS_LOG] == ["499", "200"]


async def test_a_caller_who_leaves_is_noticed_by_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by one that does not cancel its handlers: it is looked again and again whether the caller is there."""
    monkeypatch.setattr("bing_llm.serve.exchange._LOOK_S", 0.0)
    pause = Pause()
    backend = FakeBackend([pause, *answer("Hi")])
    async with client_of(backend) as client:
        runner = web.AppRunner(application(client))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await left_during(backend, pause, f"http://127.0.0.1:{runner.addresses[0][1]}", stream=False)
        finally:
            await runner.cleanup()


async def test_a_caller_who_waits_and_leaves_is_noticed_by_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn is begun for nobody."""
    monkeypatch.setattr("bing_llm.serve.exchange._LOOK_S", 0.0)
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")], answer("three"))
    async with client_of(backend) as client:
        app = application(client, max_concurrency=1)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/chat/completions"
        async with aiohttp.ClientSession() as http, aiohttp.ClientSession() as leaving:
            first = asyncio.create_task(http.post(url, json={"messages": HELLO}))
            await pause.reached.wait()
            second = asyncio.create_task(leaving.post(url, json={"messages": HELLO}))
            while app[FRONT]._taken < 2:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0)
            second.cancel()
            while app[FRONT]._taken > 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            pause.go.set()
            (await first).close()
        await runner.cleanup()
    assert len(backend.prompts) == 1


async def test_a_caller_who_leaves_in_the_middle_of_a_stream_ends_the_turn() -> None:
    """After some text."""
    pause = Pause()
    backend = FakeBackend([ev.TextDelta("Hi"), pause, *answer("Hi", " you")[1:]])
    async with fronting(backend) as visitor:
        async with visitor.http.post(
            f"{visitor.base}/v1/chat/completions", json={"messages": HELLO, "stream": True}
        ) as response:
            await response.content.readany()
            await pause.reached.wait()
            response.close()
        await closed(backend)


async def test_a_caller_who_waits_may_leave_the_queue() -> None:
    """The place is free for the next one, and no turn is begun."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")], answer("three"))
    async with fronting(backend, max_concurrency=1) as visitor:
        first = asyncio.create_task(visitor.chat())
        await pause.reached.wait()
        async with aiohttp.ClientSession() as http:
            second = asyncio.create_task(http.post(f"{visitor.base}/v1/chat/completions", json={"messages": HELLO}))
            await visitor.send("GET", "/healthz")
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
        pause.go.set()
        await first
        assert (await visitor.chat()).json["choices"][0]["message"]["content"] == "three"
    assert len(backend.prompts) == 2
