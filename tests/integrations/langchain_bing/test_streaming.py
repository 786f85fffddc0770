"""The chunks of one call, and what is left of a stream that is left early: nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question
from bing_llm.emulator.brains.base import Output
from langchain_bing import ChatBing
from langchain_bing.streaming import ChunkStream
from tests.fakes import FakeBackend, Line, Pause
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import turn


async def settle(rounds: int = 5) -> None:
    """Let the loop do what is due."""
    for _ in range(rounds):
        await asyncio.sleep(0)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is collected but when the test says so."""
    gc.disable()
    yield
    gc.enable()


def waiting() -> tuple[FakeBackend, Pause]:
    """A service that says one word and then waits."""
    pause = Pause()
    lines: list[Line] = [ev.TextDelta("One"), pause, *turn(" two")]
    return FakeBackend(lines), pause


async def leave_by_break(chunks: AsyncIterator[Any]) -> None:
    """Read one chunk, and let go."""
    async for _ in chunks:
        break


async def leave_by_aclose(chunks: AsyncIterator[Any]) -> None:
    """Read one chunk, and close."""
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]  # LangChain's are generators


async def leave_by_cancel(chunks: AsyncIterator[Any]) -> None:
    """Be cancelled while waiting for the second chunk."""
    came = asyncio.Event()

    async def read_all() -> None:
        async for _ in chunks:
            came.set()

    task = asyncio.create_task(read_all())
    await asyncio.wait_for(came.wait(), 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


WAYS = [leave_by_break, leave_by_aclose, leave_by_cancel]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", WAYS)
async def test_a_stream_that_is_left_closes_its_socket(leave: Callable[[AsyncIterator[Any]], Any]) -> None:
    """Broken off, closed or cancelled: without the collector's help."""
    backend, _ = waiting()
    await leave(model_of(backend).astream("Hello"))
    await settle()
    assert len(backend.channels) == 1
    assert backend.open_channels == 0


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", WAYS)
async def test_a_chain_that_is_left_closes_its_socket(leave: Callable[[AsyncIterator[Any]], Any]) -> None:
    """LangChain lets go of the model's stream step by step, each in a turn of the loop; that is all it takes."""
    backend, _ = waiting()
    await leave((model_of(backend) | StrOutputParser()).astream("Hello"))
    await settle(100)
    assert backend.open_channels == 0


@pytest.mark.parametrize("leave", WAYS)
async def test_the_socket_is_closed_at_the_service_too(leave: Callable[[AsyncIterator[Any]], Any]) -> None:
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

    async with Emulator(Waiting()) as emulator, ChatBing(endpoint=emulator.url) as model:
        await leave(model.astream("Hello"))
        await asyncio.wait_for(left.wait(), 10)


@pytest.mark.usefixtures("no_collector")
async def test_a_stream_that_is_dropped_before_its_end_closes_its_socket() -> None:
    """Nobody closes the iterator that LangChain is given, so it must not depend on that."""
    backend, _ = waiting()
    chunks = model_of(backend).astream("Hello")
    await anext(chunks)
    del chunks
    await settle()
    assert backend.open_channels == 0


async def test_a_stream_that_is_never_read_sends_nothing() -> None:
    """Also in a task that is cancelled before its first step."""
    backend, _ = waiting()
    chunks = model_of(backend).astream("Hello")
    await chunks.aclose()  # type: ignore[attr-defined]
    assert backend.calls == []


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("closed", [False, True])
def test_a_synchronous_stream_that_is_left_closes_its_socket(closed: bool) -> None:  # noqa: FBT001
    """At once, whether it is closed or dropped."""
    backend, _ = waiting()
    chunks = model_of(backend).stream("Hello")
    assert next(chunks).text == "One"
    if closed:
        chunks.close()  # type: ignore[attr-defined]
    del chunks
    assert backend.open_channels == 0


async def test_a_call_that_is_cancelled_closes_its_socket() -> None:
    """`ainvoke` in a task that has a time limit."""
    backend, pause = waiting()
    task = asyncio.create_task(model_of(backend).ainvoke("Hello"))
    await asyncio.wait_for(pause.reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.open_channels == 0


async def test_a_stream_has_a_chunk_for_what_has_come() -> None:
    """Text is given while the service still thinks."""
    backend, pause = waiting()
    chunks = model_of(backend).astream("Hello")
    assert (await anext(chunks)).text == "One"
    pause.go.set()
    rest: list[BaseMessage] = [chunk async for chunk in chunks]
    assert "".join(chunk.text for chunk in rest) == " two"
    assert backend.open_channels == 0


async def test_after_its_end_a_stream_stays_ended() -> None:
    """The iterator that LangChain is given ends once and for all."""
    chunks = model_of(FakeBackend(turn("One")))._astream([HumanMessage("Hello")])
    assert [chunk.message.text async for chunk in chunks] == ["One", ""]
    assert [chunk async for chunk in chunks] == []


async def test_the_iterator_itself_can_be_closed() -> None:
    """For whoever does close it: at once, and nothing more comes."""
    backend, _ = waiting()
    chunks = model_of(backend)._astream([HumanMessage("Hello")])
    assert isinstance(chunks, ChunkStream)
    assert (await anext(chunks)).text == "One"
    await chunks.aclose()
    assert backend.open_channels == 0
    assert [chunk async for chunk in chunks] == []
