"""A completion's items as responses: each holds all that came so far."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler

from bing_llm import events as ev
from bing_llm.completion.stream import Completed, Item
from bing_llm.emulator import Emulator, Question
from bing_llm.emulator.brains.base import Output
from bing_llm.errors import ConnectionLost
from bing_llm.messages import Prompt
from bing_llm.sync import run
from bing_llm.tools.calls import Call, InvalidCall
from llama_index.llms.bing import Bing
from llama_index.llms.bing.responses import ChatResponses, CompletionResponses
from tests.fakes import FakeBackend, Line, Pause
from tests.integrations.llama_index.llms.bing.models import asked, llm_of
from tests.integrations.turns import turn

CITATION = ev.Citation(number=1, url="https://example.com", title="Example")
REPLY = ev.Reply(text="Hello", citations=(CITATION,), suggestions=("More?",), conversation_id="c1")
PLAIN = [{"number": 1, "url": "https://example.com", "title": "Example"}]


def end(reply: ev.Reply = REPLY, **fields: Any) -> Completed:
    """The last item."""
    prompts = (Prompt("Hello", None),)
    return Completed(**{"reply": reply, "finish_reason": "stop", "final": None, "prompts": prompts, **fields})


def ids() -> Any:
    """Makes the ids x1, x2, ..."""
    numbers = itertools.count(1)
    return lambda: f"x{next(numbers)}"


def chat(*items: Item) -> list[ChatResponse]:
    """The responses of a chat."""
    responses = ChatResponses("bing-balanced", new_id=ids())
    return [response for item in items if (response := responses.add(item)) is not None]


def complete(*items: Item) -> list[CompletionResponse]:
    """The responses of a completion."""
    responses = CompletionResponses("bing-balanced", new_id=ids())
    return [response for item in items if (response := responses.add(item)) is not None]


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_response_has_the_new_text_and_the_whole() -> None:
    """Streams are read by their deltas, agents by the last message; there is one block of text in it."""
    first, second, last = chat("Hel", "lo", end())
    assert [response.delta for response in (first, second, last)] == ["Hel", "lo", ""]
    assert [response.message.blocks for response in (first, second)] == [
        [TextBlock(text="Hel")],
        [TextBlock(text="Hello")],
    ]
    assert last.message.content == "Hello"


def test_a_completion_has_the_same_text() -> None:
    """A completion, which has no message, has the same text."""
    steps = [(response.delta, response.text) for response in complete("Hel", "lo", end())]
    assert steps == [("Hel", "Hel"), ("lo", "Hello"), ("", "Hello")]


def test_a_response_keeps_what_it_was() -> None:
    """What comes later does not change it: consumers may keep them all."""
    first, *_ = chat("Hello", Call("add", {"a": 1}), end())
    assert first.message.blocks == [TextBlock(text="Hello")]
    assert first.message.additional_kwargs == {}


def test_an_empty_answer_is_the_empty_text() -> None:
    """Its content is "", not None."""
    (last,) = chat(end(ev.Reply()))
    assert (last.message.content, last.delta) == ("", "")


def test_a_whole_answer_has_no_delta() -> None:
    """Nothing was streamed."""
    whole = ChatResponses("bing-balanced").whole(["Hel", "lo", end()])
    assert (whole.message.content, whole.delta) == ("Hello", None)


# --- citations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_a_marker_is_a_block_after_the_text(way: str) -> None:
    """Also in a stream, with its place and what it names; a source that is not marked is one without a place."""
    text = "Rain.[1](https://a.example/x.docx#k) Snow.[^1^]"
    cited = ev.Citation(1, "https://a.example/x.docx#k", "x.docx", ((5, 36),))
    reply = ev.Reply(text=text, citations=(cited, ev.Citation(2, "https://b.example", "Not marked")))
    if way == "whole":
        last = ChatResponses("bing-balanced").whole([text, end(reply)])
    else:
        *_, last = chat(text[:8], text[8:], end(reply))
    block = CitationBlock(
        cited_content=TextBlock(text="x.docx"),
        source=cited.url,
        title="x.docx",
        additional_location_info={"start_index": 5, "end_index": 36},
    )
    unmarked = CitationBlock(
        cited_content=TextBlock(text="Not marked"),
        source="https://b.example",
        title="Not marked",
        additional_location_info={},
    )
    assert last.message.blocks == [TextBlock(text=text), block, unmarked]
    assert last.message.content == text


def test_what_is_cited_is_what_was_found() -> None:
    """The snippets of the search result at the URL; the title if there are none."""
    found = ev.SearchResult("Tides", "https://a.example", ("High water is at noon.", "Low water at six."))
    reply = ev.Reply(
        text="At noon.[^1^] Or six.[^2^]",
        citations=(ev.Citation(1, "https://a.example", "Tides"), ev.Citation(2, "https://b.example", "Ports")),
        searches=(ev.Search("tides", (found,)),),
    )
    *_, last = chat(reply.text, end(reply))
    cited = [block for block in last.message.blocks if isinstance(block, CitationBlock)]
    assert [block.cited_content for block in cited] == [
        TextBlock(text="High water is at noon.\nLow water at six."),
        TextBlock(text="Ports"),
    ]
    places = [block.additional_location_info for block in cited]
    assert [reply.text[place["start_index"] : place["end_index"]] for place in places] == ["[^1^]", "[^2^]"]


# --- calls ------------------------------------------------------------------------------------------------------------


def test_a_call_is_a_block_and_stands_in_openai_form() -> None:
    """Agents look for the first, LlamaIndex's own programs for the second; both have the same id."""
    *_, last = chat("Let me see.", Call("add", {"a": 1, "b": "ü"}), end(finish_reason="tool_calls"))
    text, *_, block = last.message.blocks
    assert text == TextBlock(text="Let me see.")
    assert block == ToolCallBlock(tool_call_id="x1", tool_name="add", tool_kwargs={"a": 1, "b": "ü"})
    (call,) = last.message.additional_kwargs["tool_calls"]
    assert (call["id"], call["type"], call["function"]["name"]) == ("x1", "function", "add")
    assert json.loads(call["function"]["arguments"]) == {"a": 1, "b": "ü"}


def test_calls_alone_have_no_text() -> None:
    """Not even an empty block; the content is None."""
    first, second, _ = chat(Call("add", {}), Call("add", {}), end(ev.Reply()))
    assert [type(block) for block in second.message.blocks] == [ToolCallBlock, ToolCallBlock]
    assert (first.message.content, len(first.message.blocks)) == (None, 1)


def test_an_invalid_call_keeps_what_the_model_wrote() -> None:
    """With the reason by its id."""
    *_, last = chat(InvalidCall("<tool_call>{", "It is no JSON.", "add"), end())
    block = last.message.blocks[-1]
    assert block == ToolCallBlock(tool_call_id="x1", tool_name="add", tool_kwargs="<tool_call>{")
    assert last.message.additional_kwargs["tool_parse_errors"] == {"x1": "It is no JSON."}
    assert last.message.additional_kwargs["tool_calls"][0]["function"]["arguments"] == "<tool_call>{"


def test_a_completion_tells_of_calls_beside_its_text() -> None:
    """There is no message to hold them."""
    *_, last = complete("a", Call("add", {"a": 1}), end())
    assert last.additional_kwargs["tool_calls"][0]["function"]["name"] == "add"


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_reasoning_is_thinking() -> None:
    """New lines as a delta, all of them as a block before the text."""
    first, second, third, _ = chat(ev.Progress("Searching"), ev.Progress("Reading"), "Hello", end())
    assert (
        first.additional_kwargs["thinking_delta"] + second.additional_kwargs["thinking_delta"] == "Searching\nReading"
    )
    assert second.delta == ""
    assert third.message.blocks == [ThinkingBlock(content="Searching\nReading"), TextBlock(text="Hello")]
    assert "thinking_delta" not in third.additional_kwargs


@pytest.mark.parametrize(
    "item", [ev.SearchStarted("x"), ev.SearchResults(()), ev.ImageCreated("https://example.com/a.png")]
)
def test_what_the_service_does_makes_no_response(item: Item) -> None:
    """The reply tells of it at last."""
    assert (chat(item), complete(item)) == ([], [])


def test_the_last_response_tells_what_came_with_the_text() -> None:
    """For callers in the response, for agents and memories, which keep the message alone, in the message."""
    *others, last = chat("Hello", end())
    expected = {"citations": PLAIN, "suggestions": ["More?"]}
    assert last.additional_kwargs == last.message.additional_kwargs == expected
    assert all(other.additional_kwargs == other.message.additional_kwargs == {} for other in others)
    assert complete("Hello", end())[-1].additional_kwargs == expected
    last.message.additional_kwargs["x"] = 1
    assert "x" not in last.additional_kwargs


def test_pictures_are_given_as_urls() -> None:
    """Not as `images`, which LlamaIndex takes for documents of its own."""
    url = "https://example.com/a.png"
    (last,) = chat(end(ev.Reply(images=(url,))))
    assert last.additional_kwargs == last.message.additional_kwargs == {"image_urls": [url]}
    assert ChatResponse.model_validate_json(last.model_dump_json()).message == last.message


def test_raw_says_all_and_invents_no_usage() -> None:
    """The service counts no tokens."""
    first, last = chat("Hello", end())
    assert first.raw == {"model": "bing-balanced"}
    assert last.raw == {
        "model": "bing-balanced",
        "finish_reason": "stop",
        "conversation_id": "c1",
        "citations": PLAIN,
        "suggestions": ["More?"],
    }


def test_a_rewritten_text_is_what_holds() -> None:
    """The last response has it, and the calls in it: agents and memories take that one."""
    *_, last = chat("Hello", Call("add", {}), end(final=("Goodbye", Call("mul", {"a": 1}))))
    assert (last.message.content, last.delta) == ("Goodbye", "")
    assert [block.tool_name for block in last.message.blocks if isinstance(block, ToolCallBlock)] == ["mul"]
    assert [call["function"]["name"] for call in last.message.additional_kwargs["tool_calls"]] == ["mul"]
    assert last.raw is not None
    assert last.raw["final_text"] == "Goodbye"


def test_no_call_out_of_a_withdrawn_answer_is_made() -> None:
    """Its text stays, as the service's own reply keeps it."""
    *_, last = chat("Hello", Call("add", {}), end(ev.Reply(text="Hello", revoked=True), finish_reason="content_filter"))
    assert last.message.content == "Hello"
    assert "tool_calls" not in last.message.additional_kwargs


def test_responses_are_json() -> None:
    """Agents write them into their context."""
    *_, last = chat("Hello", Call("add", {"a": 1}), InvalidCall("<", "No.", ""), end())
    assert ChatResponse.model_validate_json(last.model_dump_json()).message == last.message


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
    """Settings of an LLM, once with a handler that keeps all it is given: exceptions too, and so their frames."""
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
    """A stream may be read in another thread, as chat engines do."""
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
    """An asynchronous stream has `aclose`."""
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
