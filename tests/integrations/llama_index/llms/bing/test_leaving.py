"""Streams that LlamaIndex makes of ours: who leaves one early leaves no connection open, whoever else still looks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from bing_llm.emulator import Emulator
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.knowledge import index_of, memory
from tests.integrations.llama_index.llms.bing.models import asked, llm_of
from tests.integrations.llama_index.llms.bing.services import GRACE_S, Waiting, becomes_idle
from tests.integrations.turns import turn

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # in LlamaIndex

PROMPT = PromptTemplate("What is my mooring?")


class Mooring(BaseModel):
    """Where a boat lies."""

    number: int
    quay: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = FunctionTool.from_defaults(add)


@pytest.fixture
def brain(bing_emulator: Emulator) -> Waiting:
    """The service says the beginning of an object, and then waits."""
    bing_emulator.brain = brain = Waiting('{"number": 12, ')
    return brain


@pytest.fixture(params=[False, True], ids=["plain", "debugged"])
def llm(request: pytest.FixtureRequest, brain: Waiting, bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM of that service, once with a handler that keeps all it is given: exceptions too, and so their frames."""
    del brain
    handlers: Any = [LlamaDebugHandler(print_trace_on_end=False)] if request.param else []
    with Bing(endpoint=bing_emulator.url, callback_manager=CallbackManager(handlers)) as llm:
        yield llm


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is collected but when the test says so."""
    gc.disable()
    yield
    gc.enable()


# --- synchronous ------------------------------------------------------------------------------------------------------

STREAMS: dict[str, Callable[[Bing], Any]] = {
    "chat": lambda llm: llm.stream_chat(asked()),
    "complete": lambda llm: llm.stream_complete("Hello"),
    "template": lambda llm: llm.stream(PROMPT),
    "tools": lambda llm: llm.stream_chat_with_tools([ADD], user_msg="Hello"),
    "object": lambda llm: llm.stream_structured_predict(Mooring, PROMPT),
    "structured": lambda llm: llm.as_structured_llm(Mooring).stream_chat(asked()),
    "query": lambda llm: _queried(llm).response_gen,
}


def _queried(llm: Bing) -> Any:
    return index_of().as_query_engine(llm=llm, streaming=True).query("Hello")


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", ["break", "raise", "close"])
@pytest.mark.parametrize("source", STREAMS)
def test_a_stream_that_is_left_is_closed(source: str, leave: str, llm: Bing, brain: Waiting) -> None:
    """By `break`, by an exception or by `close`, after what came first; at once, and without the collector."""
    if leave == "close":
        stream = STREAMS[source](llm)
        next(stream)
        stream.close()
        del stream  # LlamaIndex's own generators let go of ours only then, on Python 3.13
    elif leave == "raise":
        with pytest.raises(KeyError):
            _raise_in(STREAMS[source], llm)
    else:
        for _ in STREAMS[source](llm):
            break
    assert brain.was_left()


def _raise_in(make: Callable[[Bing], Any], llm: Bing) -> None:
    for _ in make(llm):
        raise KeyError


# --- asynchronous -----------------------------------------------------------------------------------------------------


async def _aqueried(llm: Bing) -> Any:
    response: Any = await index_of().as_query_engine(llm=llm, streaming=True).aquery("Hello")
    return response.async_response_gen()


ASYNC_STREAMS: dict[str, Callable[[Bing], Any]] = {
    "chat": lambda llm: llm.astream_chat(asked()),
    "complete": lambda llm: llm.astream_complete("Hello"),
    "template": lambda llm: llm.astream(PROMPT),
    "tools": lambda llm: llm.astream_chat_with_tools([ADD], user_msg="Hello"),
    "object": lambda llm: llm.astream_structured_predict(Mooring, PROMPT),
    "structured": lambda llm: llm.as_structured_llm(Mooring).astream_chat(asked()),
    "query": _aqueried,
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", ["break", "raise", "aclose", "cancel"])
@pytest.mark.parametrize("source", ASYNC_STREAMS)
async def test_an_async_stream_that_is_left_is_closed(source: str, leave: str, llm: Bing, brain: Waiting) -> None:
    """Leaving an asynchronous stream closes it; so does the end of its task."""
    if leave == "aclose":
        stream = await ASYNC_STREAMS[source](llm)
        await anext(stream)
        await stream.aclose()
    elif leave == "raise":
        with pytest.raises(KeyError):
            await _araise_in(ASYNC_STREAMS[source], llm)
    elif leave == "cancel":
        await _cancel_reader(await ASYNC_STREAMS[source](llm))
    else:
        async for _ in await ASYNC_STREAMS[source](llm):
            break
    assert await asyncio.to_thread(brain.was_left)


async def _araise_in(make: Callable[[Bing], Any], llm: Bing) -> None:
    async for _ in await make(llm):
        raise KeyError


async def _cancel_reader(stream: AsyncIterator[Any]) -> None:
    came = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            came.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(came.wait(), GRACE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("way", ["astream_chat", "astream_complete"])
async def test_a_step_keeps_its_stream(way: str) -> None:
    """A stream of which nothing is kept but the step that is awaited gives that step, as generators do."""
    llm = llm_of(FakeBackend(turn("One ", "two")))
    response = await anext(await getattr(llm, way)(asked() if "chat" in way else "Hello"))
    assert response.delta == "One two"


# --- many, and loops that end -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_collector")
async def test_ten_streams_are_left_at_once(llm: Bing, brain: Waiting, bing_emulator: Emulator) -> None:
    """None of them stays."""
    streams = [await llm.astream_chat(asked()) for _ in range(10)]
    await asyncio.gather(*(stream.__anext__() for stream in streams))
    assert brain.turns == 10
    del streams
    assert await asyncio.to_thread(brain.was_left, 10)
    await llm.aclose()
    assert await asyncio.to_thread(becomes_idle, bing_emulator)


def test_a_loop_ends_with_its_streams(llm: Bing, brain: Waiting, bing_emulator: Emulator) -> None:
    """Those that somebody still holds are closed, too, and may be dropped later."""

    async def begin() -> Any:
        stream = await llm.astream_chat(asked())
        await anext(stream)
        return stream

    held = [asyncio.run(begin()) for _ in range(3)]
    assert brain.was_left(3)
    assert becomes_idle(bing_emulator)
    held.clear()
    gc.collect()


def test_a_loop_ends_with_its_chats(llm: Bing, brain: Waiting, bing_emulator: Emulator) -> None:
    """A chat engine reads its stream in a task of its own, which ends with the loop."""

    async def begin() -> None:
        response = await SimpleChatEngine.from_defaults(llm=llm, memory=memory()).astream_chat("Hello")
        async for token in response.async_response_gen():
            assert token == '{"number": 12, '
            break

    asyncio.run(begin())
    assert brain.was_left()
    assert becomes_idle(bing_emulator)


async def test_an_agent_is_cancelled(llm: Bing, brain: Waiting) -> None:
    """While its model streams."""
    handler = FunctionAgent(tools=[ADD], llm=llm).run("Hello")
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            break
    await handler.cancel_run()
    assert await asyncio.to_thread(brain.was_left)
