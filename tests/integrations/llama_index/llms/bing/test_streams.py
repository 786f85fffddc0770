"""Streams: generators of Python, as tracers and LlamaIndex expect them."""

from __future__ import annotations

import gc
import inspect
from typing import Any

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llama_index.llms.bing.streams import aclosing_now, closing
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.models import asked, llm_of
from tests.integrations.turns import turn


class Mooring(BaseModel):
    """Where a boat lies."""

    number: int


class Held:
    """What a stream holds."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def _stream_of(way: str) -> Any:
    llm = llm_of(FakeBackend(turn('{"number": ', "12}")))
    if "predict" in way:
        return getattr(llm, way)(Mooring, PromptTemplate("Where?"))
    return getattr(llm, way)(asked() if "chat" in way else "Hello")


@pytest.mark.parametrize("way", ["stream_chat", "stream_complete", "stream_structured_predict"])
def test_a_stream_is_a_generator(way: str) -> None:
    """`inspect` says so, and it has a frame until it ends: tracers wait for a stream that has one."""
    stream = _stream_of(way)
    assert inspect.isgenerator(stream)
    next(stream)
    assert stream.gi_frame is not None
    for _ in stream:
        pass
    assert stream.gi_frame is None


@pytest.mark.parametrize("way", ["astream_chat", "astream_complete", "astream_structured_predict"])
async def test_an_asynchronous_stream_is_an_asynchronous_generator(way: str) -> None:
    """`inspect` says so, and it has a frame until it ends."""
    stream = await _stream_of(way)
    assert inspect.isasyncgen(stream)
    await anext(stream)
    assert stream.ag_frame is not None
    async for _ in stream:
        pass
    assert stream.ag_frame is None


def _numbers() -> Any:
    yield from range(3)


async def _anumbers() -> Any:
    for number in range(3):
        yield number


def test_a_generator_that_is_dropped_lets_go() -> None:
    """At once, and without the collector; also if it was never begun."""
    gc.disable()
    try:
        for steps in (0, 1):
            held = Held()
            stream = closing(_numbers(), held)
            for _ in range(steps):
                next(stream)
            del stream
            assert held.closed
    finally:
        gc.enable()


async def test_an_asynchronous_generator_that_is_dropped_lets_go() -> None:
    """At once: Python itself would close it in a later step of the loop."""
    for steps in (0, 1):
        held = Held()
        stream = aclosing_now(_anumbers(), held)
        for _ in range(steps):
            await anext(stream)
        del stream
        assert held.closed


async def test_an_asynchronous_generator_ends_with_the_one_around_it() -> None:
    """In the same step: what it reports in the end is not reported later, or to a loop that is gone."""
    ended: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            ended.append("inside")

    stream = aclosing_now(numbers(), Held())
    await anext(stream)
    await stream.aclose()
    assert ended == ["inside"]
