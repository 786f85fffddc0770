"""Streams own their turn: what is left early leaves no socket open."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question
from bing_llm.emulator.brains.base import Output
from bing_llm.errors import ConnectionLost
from bing_llm.sync import run
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend, Line, Pause
from tests.integrations.llama_index.llms.bing.models import asked, llm_of
from tests.integrations.turns import turn

ASYNC = ("astream_chat", "astream_complete")
SYNC = ("stream_chat", "stream_complete")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is collected but when the test says so."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=[False, True], ids=["plain", "debugged"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Those of an LLM, once with a handler that keeps all it is told: exceptions too, and so their frames."""
    handlers: Any = [LlamaDebugHandler(print_trace_on_end=False)] if request.param else []
    return {"callback_manager": CallbackManager(handlers)}


def waiting() -> FakeBackend:
    """A service that says one word and then waits."""
    lines: list[Line] = [ev.TextDelta("One"), Pause(), *turn(" two")]
    return FakeBackend(lines)


def prompt_for(way: str) -> Any:
    """What this way takes."""
    return asked() if "chat" in way else "Hello"


async def leave_by_break(responses: AsyncIterator[Any]) -> None:
    """Read one response, and let go."""
    async for _ in responses:
        break


async def leave_by_aclose(responses: AsyncGenerator[Any, None]) -> None:
    """Read one response, and close."""
    await anext(responses)
    await responses.aclose()


async def leave_by_throw(responses: AsyncGenerator[Any, None]) -> None:
    """Read one response, and raise in it."""
    await anext(responses)
    with pytest.raises(KeyError):
        await responses.athrow(KeyError())


async def leave_by_cancel(responses: AsyncIterator[Any]) -> None:
    """Be cancelled while waiting for the second response."""
    came = asyncio.Event()

    async def read_all() -> None:
        async for _ in responses:
            came.set()

    task = asyncio.create_task(read_all())
    await asyncio.wait_for(came.wait(), 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", [leave_by_break, leave_by_aclose, leave_by_throw, leave_by_cancel])
@pytest.mark.parametrize("way", ASYNC)
async def test_an_async_stream_that_is_left_closes_its_socket(
    way: str, leave: Callable[[Any], Any], settings: dict[str, Any]
) -> None:
    """Broken off, closed, raised in or cancelled: without the collector, and whoever keeps the exception."""
    backend = waiting()
    await leave(await getattr(llm_of(backend, **settings), way)(prompt_for(way)))
    assert len(backend.channels) == 1
    assert backend.open_channels == 0
    await asyncio.sleep(0)  # the loop closes the generators that were dropped


def close(responses: Generator[Any, None, None]) -> None:
    """Close it."""
    responses.close()


def throw(responses: Generator[Any, None, None]) -> None:
    """Raise in it."""
    with pytest.raises(KeyError):
        responses.throw(KeyError())


def drop(responses: Generator[Any, None, None]) -> None:
    """Let go of it."""
    del responses


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", [close, throw, drop])
@pytest.mark.parametrize("way", SYNC)
def test_a_sync_stream_that_is_left_closes_its_socket(
    way: str, leave: Callable[[Any], None], settings: dict[str, Any]
) -> None:
    """On its own loop, which is the background one."""
    backend = waiting()
    llm = llm_of(backend, **settings)

    def read() -> None:
        responses = getattr(llm, way)(prompt_for(way))
        assert next(responses).delta == "One"
        if leave is not drop:
            leave(responses)

    read()
    run(asyncio.sleep(0))  # the background loop has closed it by then
    assert len(backend.channels) == 1
    assert backend.open_channels == 0


@pytest.mark.parametrize("way", ASYNC)
async def test_the_socket_is_closed_at_the_service_too(way: str) -> None:
    """Over a real connection: the service sees that its client left."""
    left = asyncio.Event()

    class Waiting:
        async def answer(self, question: Question) -> AsyncIterator[Output]:
            del question
            try:
                yield ev.TextDelta("One")
                await asyncio.Event().wait()
            finally:
                left.set()

    async with Emulator(Waiting()) as emulator, Bing(endpoint=emulator.url) as llm:
        await leave_by_aclose(await getattr(llm, way)(prompt_for(way)))
        await asyncio.wait_for(left.wait(), 10)


@pytest.mark.parametrize("way", SYNC)
def test_a_sync_stream_may_be_read_in_another_thread(way: str) -> None:
    """As chat engines do."""
    responses = getattr(llm_of(FakeBackend(turn("One ", "two"))), way)(prompt_for(way))
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(response.delta for response in responses))
    thread.start()
    thread.join(10)
    assert "".join(texts) == "One two"


@pytest.mark.parametrize("way", SYNC)
def test_a_sync_stream_is_a_generator(way: str) -> None:
    """LlamaIndex tells streams from answers by that."""
    responses = getattr(llm_of(FakeBackend(turn("One"))), way)(prompt_for(way))
    assert isinstance(responses, Generator)
    assert responses.send(None).delta == "One"
    assert [response.delta for response in responses] == [""]
    responses.close()


@pytest.mark.parametrize("way", ASYNC)
async def test_an_async_stream_is_an_async_generator(way: str) -> None:
    """As above."""
    responses = await getattr(llm_of(FakeBackend(turn("One"))), way)(prompt_for(way))
    assert isinstance(responses, AsyncGenerator)
    assert (await responses.asend(None)).delta == "One"
    assert [response.delta async for response in responses] == [""]
    await responses.aclose()


@pytest.mark.parametrize("way", ASYNC)
async def test_nothing_is_opened_before_the_first_response_is_asked_for(way: str) -> None:
    """A stream that is never read costs nothing."""
    backend = waiting()
    responses = await getattr(llm_of(backend), way)(prompt_for(way))
    assert backend.channels == []
    await responses.aclose()


@pytest.mark.parametrize("way", ASYNC)
async def test_a_turn_that_fails_raises_and_closes_its_socket(way: str) -> None:
    """What came before was given."""
    backend = FakeBackend([ev.TextDelta("One"), ConnectionLost("It broke.")])
    responses = await getattr(llm_of(backend), way)(prompt_for(way))
    assert (await anext(responses)).delta == "One"
    with pytest.raises(ConnectionLost):
        await anext(responses)
    assert backend.open_channels == 0


async def test_waiting_text_is_joined_unless_it_is_said() -> None:
    """Fewer chunks, the same text."""
    counts = []
    for join in (True, False):
        llm = llm_of(FakeBackend(turn(*"abcde")), join_deltas=join)
        responses: list[ChatResponse] = [response async for response in await llm.astream_chat(asked())]
        assert responses[-1].message.content == "abcde"
        counts.append(len(responses))
    assert counts[0] < counts[1] == 6
