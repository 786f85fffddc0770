"""A brain that asks a model, tested against a server in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Cited, PastTurn, Question, Upstream
from bing_llm.emulator.brains.base import Output
from bing_llm.fold import fold


def chunk(text: str | None) -> str:
    """One chunk as OpenAI sends it."""
    return json.dumps({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})


class Model:
    """What the server answers, and what it was asked."""

    def __init__(self, *events: str, status: int = 200, breaks: bool = False, end: str = "\n\n") -> None:
        self.events = events
        self.end = end
        self.status = status
        self.breaks = breaks
        self.asked: list[Any] = []
        self.headers: list[Any] = []

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(await request.json())
        self.headers.append(request.headers)
        response = web.StreamResponse(status=self.status, headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in self.events:
            await response.write(f"data: {event}{self.end}".encode())
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        return response


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[str]:
    """The base URL of a server with this model."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.complete)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def outputs(model: Model, question: Question | None = None, **options: Any) -> list[Output]:
    """What the brain yields for one question."""
    async with serving(model) as url:
        brain = Upstream(url, "small", **options)
        return [output async for output in brain.answer(question or Question(text="Hello"))]


def text_of(found: list[Output]) -> str:
    """The text of outputs that are all events."""
    return fold([output for output in found if not isinstance(output, errors.BingError | Cited)]).text


async def test_words_are_passed_on() -> None:
    """The content of each chunk is a piece of text; chunks without choices or content are none."""
    model = Model(
        chunk("Hel"), chunk(None), '{"choices": []}', '{"choices": [{"delta": {}}]}', chunk("lo"), "[DONE]", "x"
    )
    assert text_of(await outputs(model)) == "Hello"


async def test_a_stream_may_end_without_done() -> None:
    """Some servers just close the stream, even within the last event."""
    assert text_of(await outputs(Model(chunk("Hello")))) == "Hello"
    assert text_of(await outputs(Model(chunk("Hello"), end=""))) == "Hello"
    assert await outputs(Model("[DONE]", end="")) == []


async def test_the_model_sees_the_conversation() -> None:
    """A context is a system message before what it came with; earlier turns come first, the question last."""
    model = Model("[DONE]")
    question = Question(text="two", context="new", history=(PastTurn("one", "first", "before"),))
    await outputs(model, question)
    assert model.asked == [
        {
            "model": "small",
            "stream": True,
            "messages": [
                {"role": "system", "content": "before"},
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": "first"},
                {"role": "system", "content": "new"},
                {"role": "user", "content": "two"},
            ],
        }
    ]


async def test_the_key_is_sent_and_never_shown() -> None:
    """The key is a bearer token, and not in the repr; without a key none is sent."""
    model = Model("[DONE]")
    await outputs(model, api_key="secret")
    await outputs(model)
    assert model.headers[0]["Authorization"] == "Bearer secret"
    assert "Authorization" not in model.headers[1]
    assert repr(Upstream("http://user:pass@127.0.0.1/v1", "m", "secret")) == "Upstream('127.0.0.1', model='m')"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model(status=401), "HTTP 401"),
        (Model('{"error": {"message": "no"}}'), "reported an error"),
        (Model("nonsense"), "cannot be read"),
        (Model(chunk("Half"), breaks=True), "cannot be read"),
        (Model("x" * 1_100_000), "cannot be read"),
    ],
    ids=["status", "error", "no json", "broken", "too long"],
)
async def test_whatever_goes_wrong_is_a_service_error(model: Model, words: str) -> None:
    """A refusal, an error in the stream, nonsense and a lost connection all end the turn with a ServiceError."""
    *_, last = await outputs(model)
    assert isinstance(last, errors.ServiceError)
    assert words in (last.service_message or "")


async def test_no_server_is_a_service_error() -> None:
    """Where nothing listens the turn fails, it does not raise."""
    async with serving(Model()) as url:
        brain = Upstream(url, "small")
    (failure,) = [output async for output in brain.answer(Question(text="Hello"))]
    assert isinstance(failure, errors.ServiceError)


async def test_a_silent_server_is_a_service_error() -> None:
    """A server that says nothing for as long as allowed is given up."""
    (failure,) = await outputs(Model("[DONE]"), silence=1e-9)
    assert isinstance(failure, errors.ServiceError)


@pytest.mark.parametrize(
    ("base_url", "model"), [("127.0.0.1/v1", "m"), ("ftp://x/v1", "m"), ("http://", "m"), ("http://x/v1", "")]
)
def test_wrong_settings_are_refused(base_url: str, model: str) -> None:
    """A base that is not an http(s) URL, and a model without a name, are errors when the brain is made."""
    with pytest.raises(errors.ConfigurationError):
        Upstream(base_url, model)


async def test_a_brain_can_be_left_early() -> None:
    """Closing the iterator closes the connection."""
    async with serving(Model(chunk("a"), chunk("b"))) as url:
        words = Upstream(url, "small").answer(Question(text="Hello"))
        assert await anext(words) == ev.TextDelta("a")
        await words.aclose()


def test_a_key_does_not_go_unencrypted_to_another_machine() -> None:
    """Plain http with a key is for loopback; without a key there is nothing to lose."""
    with pytest.raises(errors.ConfigurationError, match=r"unencrypted to models\.example"):
        Upstream("http://models.example/v1", "small", "hunter2")
    Upstream("http://models.example/v1", "small")
    Upstream("http://127.0.0.1:1/v1", "small", "hunter2")


def impatient(url: str) -> Upstream:
    """A brain that reports progress each millisecond."""
    return Upstream(url, "small", progress=0.001)


async def test_progress_comes_while_the_model_says_nothing() -> None:
    """So a client goes on waiting: a prompt that takes minutes to read is not sent again."""
    said = asyncio.Event()

    class Slow(Model):
        async def complete(self, request: web.Request) -> web.StreamResponse:
            await said.wait()
            return await super().complete(request)

    model = Slow(chunk("Hello"), "[DONE]")
    async with (
        serving(model) as url,
        aclosing(impatient(url).answer(Question(text="?"))) as found,
    ):
        first = [await anext(found) for _ in range(3)]
        said.set()
        rest = [output async for output in found]
    assert {type(output) for output in first} == {ev.Progress}
    assert text_of(rest) == "Hello"
    assert len(model.asked) == 1


async def test_leaving_early_lets_the_model_go() -> None:
    """The connection is closed although the model has not said anything yet."""
    begun, gone = asyncio.Event(), asyncio.Event()

    class Endless(Model):
        async def complete(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - it only waits
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            raise AssertionError

    async with serving(Endless()) as url:
        async with aclosing(impatient(url).answer(Question(text="?"))) as found:
            assert isinstance(await anext(found), ev.Progress)
            await begun.wait()
        await gone.wait()
