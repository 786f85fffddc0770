"""A completion's items as LangChain's chunks."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages import content as blocks
from langchain_core.output_parsers import StrOutputParser

from bing_llm import events as ev
from bing_llm.completion.stream import Completed, Item
from bing_llm.emulator import Emulator, Question
from bing_llm.emulator.brains.base import Output
from bing_llm.messages import Prompt
from bing_llm.tools.calls import Call, InvalidCall
from langchain_bing import ChatBing
from langchain_bing.chunks import BlockChunks, ChunkStream, TextChunks, result_of
from tests.fakes import FakeBackend, Line, Pause
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import turn

PAGE = ev.SearchResult("A page", "https://example.com/a", ("A line.",))
SOURCES = (ev.Citation(1, "https://example.com/a", "A page"), ev.Citation(2, "https://example.com/b"))


def numbered() -> Callable[[], str]:
    """Ids in order."""
    count = itertools.count(1)
    return lambda: f"id-{next(count)}"


def end(**more: Any) -> Completed:
    """The end of a completion; `more` goes into its reply."""
    finish = more.pop("finish", "stop")
    final = more.pop("final", None)
    prompts = (Prompt("Hello, you", "Before."),)
    return Completed(reply=ev.Reply(**more), finish_reason=finish, final=final, prompts=prompts)


def made(kind: type[TextChunks], *items: Item, **options: Any) -> list[AIMessageChunk]:
    """The messages of the chunks."""
    chunks = kind("bing-balanced", new_id=numbered(), **options)
    found = [chunk.message for item in items if (chunk := chunks.add(item)) is not None]
    assert all(isinstance(message, AIMessageChunk) for message in found)
    return found  # type: ignore[return-value]  # as just checked


def whole(kind: type[TextChunks], *items: Item, **options: Any) -> AIMessage:
    """The sum of the chunks."""
    chunks = kind("bing-balanced", new_id=numbered(), **options)
    message = generate_from_stream(chunk for item in items if (chunk := chunks.add(item))).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def annotations_of(block: Any) -> list[Any]:
    """The sources of a text."""
    return [*block["annotations"]]


def test_an_invalid_call_has_its_reason() -> None:
    """Of a whole message; of the sum of chunks LangChain drops it, so that it stands in the text too."""
    items: list[Item] = [
        "Well.",
        InvalidCall("<tool_call>{", "It is cut off.", "add"),
        InvalidCall("<tool_call>[", "It is empty."),
        end(),
    ]
    for kind in (TextChunks, BlockChunks):
        (generation,) = result_of(kind("bing-balanced"), items).generations
        assert isinstance(generation.message, AIMessage)
        assert [made["error"] for made in generation.message.invalid_tool_calls] == ["It is cut off.", "It is empty."]


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_the_last_chunk_says_that_it_is_the_last(kind: type[TextChunks]) -> None:
    """And no other does: LangChain adds one of its own where it is missing."""
    assert [chunk.chunk_position for chunk in made(kind, "One", " two.", end())] == [None, None, "last"]


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_a_key_of_the_metadata_comes_once(kind: type[TextChunks]) -> None:
    """LangChain joins the strings of several chunks: a model's name would come twice."""
    chunks = made(kind, "One", " two.", end(conversation_id="c", message_id="m"))
    keys = [key for chunk in chunks for key in chunk.response_metadata if key != "output_version"]
    assert len(keys) == len(set(keys))
    metadata = whole(kind, "One", " two.", end(conversation_id="c", message_id="m")).response_metadata
    assert {key: value for key, value in metadata.items() if key != "output_version"} == {
        "model_name": "bing-balanced",
        "model_provider": "bing",
        "finish_reason": "stop",
        "conversation_id": "c",
        "message_id": "m",
    }


def test_all_that_the_service_sent_is_in_the_metadata() -> None:
    """With text as content, which has no place for it."""
    metadata = whole(
        TextChunks,
        ev.Progress("Thinking"),
        ev.SearchStarted("weather"),
        ev.SearchResults((PAGE,)),
        "It rains.[^1^]",
        ev.Progress("Done"),
        ev.ImageCreated("https://example.com/p.png"),
        end(
            citations=SOURCES,
            searches=(ev.Search("weather", (PAGE,)),),
            images=("https://example.com/p.png",),
            image_prompts=("a cloud",),
            suggestions=("And tomorrow?",),
            quota=ev.Quota(1, 30),
            notice="",
        ),
    ).response_metadata
    page = {"title": "A page", "url": "https://example.com/a", "snippets": ["A line."]}
    assert metadata == {
        "model_name": "bing-balanced",
        "model_provider": "bing",
        "finish_reason": "stop",
        "quota": {"used": 1, "limit": 30},
        "citations": [
            {"number": 1, "url": "https://example.com/a", "title": "A page", "spans": [[9, 14]]},
            {"number": 2, "url": "https://example.com/b", "title": ""},
        ],
        "searches": [{"query": "weather", "results": [page]}],
        "reasoning": "Thinking\nDone",
        "images": ["https://example.com/p.png"],
        "image_prompts": ["a cloud"],
        "suggestions": ["And tomorrow?"],
    }


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_a_rewritten_text_is_given_at_the_end(kind: type[TextChunks]) -> None:
    """What was streamed cannot be recalled, so the final text comes besides."""
    assert whole(kind, "Hello", end(final=("Help!", Call("add", {"a": 1})))).response_metadata["final_text"] == "Help!"
    metadata = whole(kind, "Hello", end(final=("Help!", Call("add", {"a": 1})))).response_metadata
    assert metadata["final_tool_calls"] == [{"name": "add", "args": {"a": 1}}]
    assert not {"final_text", "final_tool_calls"} & whole(kind, "Hello", end()).response_metadata.keys()


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_a_withdrawn_answer_says_so(kind: type[TextChunks]) -> None:
    """Whoever has streamed it must be able to know."""
    assert whole(kind, "Hello", end(revoked=True)).response_metadata["revoked"] is True
    assert "revoked" not in whole(kind, "Hello", end()).response_metadata


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_a_text_that_was_rewritten_to_nothing_is_given_too(kind: type[TextChunks]) -> None:
    """An empty final text is not the same as none."""
    assert whole(kind, "Hello", end(final=())).response_metadata["final_text"] == ""


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_calls_are_calls(kind: type[TextChunks]) -> None:
    """Each has its name, its arguments with their types, and an id of its own."""
    message = whole(
        kind, Call("add", {"a": 1, "b": "二"}), Call("add", {"a": 1, "b": "二"}), Call("now"), end(finish="tool_calls")
    )
    assert message.tool_calls == [
        {"name": "add", "args": {"a": 1, "b": "二"}, "id": "id-1", "type": "tool_call"},
        {"name": "add", "args": {"a": 1, "b": "二"}, "id": "id-2", "type": "tool_call"},
        {"name": "now", "args": {}, "id": "id-3", "type": "tool_call"},
    ]
    assert [block["type"] for block in message.content_blocks] == ["tool_call"] * 3
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.invalid_tool_calls == []


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_text_and_calls_never_merge(kind: type[TextChunks]) -> None:
    """Text before calls and text after them stay apart, in every version of the content."""
    message = whole(kind, "One.", Call("add", {"a": 1}), Call("mul", {"a": 2}), end(finish="tool_calls"))
    assert [call["name"] for call in message.tool_calls] == ["add", "mul"]
    assert [call["args"] for call in message.tool_calls] == [{"a": 1}, {"a": 2}]
    assert [block["type"] for block in message.content_blocks] == ["text", "tool_call", "tool_call"]
    assert message.text == "One."


def test_text_after_a_call_is_a_block_of_its_own() -> None:
    """LangChain joins what has the same index, so each block has another."""
    message = whole(BlockChunks, "One.", Call("add"), "Two.", " Three.", end())
    assert [(block["type"], block.get("text")) for block in message.content_blocks] == [
        ("text", "One."),
        ("tool_call", None),
        ("text", "Two. Three."),
    ]


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
@pytest.mark.parametrize("text", ['<tool_call>{"name": "add", "arguments": {"a": 1', "<tool_call>", "```tool_call\n{}"])
def test_an_invalid_call_stays_invalid(kind: type[TextChunks], text: str) -> None:
    """LangChain completes half a JSON object to a call that nobody made; raw text with its tag it cannot read."""
    invalid = InvalidCall(text, "The JSON is not complete.", "add")
    message = whole(kind, invalid, Call("mul", {"a": 2}), end(finish="tool_calls"))
    assert [call["name"] for call in message.tool_calls] == ["mul"]
    (kept,) = message.invalid_tool_calls
    assert (kept["name"], kept["args"], kept["id"]) == ("add", text, "id-1")
    assert message.response_metadata["tool_parse_errors"] == ["The JSON is not complete."]
    if kind is BlockChunks:  # LangChain shows none for a message of text
        assert [block["type"] for block in message.content_blocks] == ["invalid_tool_call", "tool_call"]


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_text_and_a_call_never_share_a_chunk(kind: type[TextChunks]) -> None:
    """LangChain's newer events would give a finished call without its deltas."""
    for chunk in made(kind, "One.", Call("add"), "Two.", end()):
        assert not (chunk.text and chunk.tool_call_chunks)


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_indexes_of_calls_are_numbers(kind: type[TextChunks]) -> None:
    """LangChain merges by them, and takes no others."""
    chunks = made(kind, "One.", Call("add"), Call("mul"), end())
    indexes = [call["index"] for chunk in chunks for call in chunk.tool_call_chunks]
    assert all(type(index) is int for index in indexes)
    assert len(set(indexes)) == 2


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_blocks_come_in_the_order_of_the_turn() -> None:
    """Reasoning, a search with its results, text, a picture: each a standard block."""
    message = whole(
        BlockChunks,
        ev.Progress("Thinking"),
        ev.SearchStarted("weather"),
        ev.SearchResults((PAGE,)),
        "It ",
        "rains.",
        ev.ImageCreated("https://example.com/p.png"),
        end(searches=(ev.Search("weather", (PAGE,)),), images=("https://example.com/p.png",)),
    )
    search = {"type": "server_tool_call", "id": "id-1", "name": "web_search", "args": {"query": "weather"}}
    page = {"title": "A page", "url": "https://example.com/a", "snippets": ["A line."]}
    result = {"type": "server_tool_result", "tool_call_id": "id-1", "status": "success", "output": [page]}
    expected: list[dict[str, Any]] = [
        {"type": "reasoning", "reasoning": "Thinking"},
        search,
        result,
        {"type": "text", "text": "It rains."},
        {"type": "image", "url": "https://example.com/p.png"},
    ]
    assert message.content_blocks == [{**block, "index": index} for index, block in enumerate(expected)]
    assert message.content == message.content_blocks


def test_what_the_final_frame_alone_tells_comes_last() -> None:
    """Searches and pictures that were not announced are not lost."""
    message = whole(
        BlockChunks,
        "It rains.",
        end(searches=(ev.Search("weather", (PAGE,)), ev.Search("rain")), images=("https://example.com/p.png",)),
    )
    assert [block["type"] for block in message.content_blocks] == [
        "text",
        "server_tool_call",
        "server_tool_result",
        "server_tool_call",
        "image",
    ]


def test_results_go_to_the_first_search_that_has_none() -> None:
    """Results go to the earliest search without any; results of an unannounced search bring one."""
    message = whole(
        BlockChunks,
        ev.SearchStarted("a"),
        ev.SearchStarted("b"),
        ev.SearchResults((PAGE,)),
        ev.SearchResults(()),
        ev.SearchResults((PAGE,)),
        end(),
    )
    calls = [block["id"] for block in message.content_blocks if block["type"] == "server_tool_call"]
    answered = [block["tool_call_id"] for block in message.content_blocks if block["type"] == "server_tool_result"]
    assert len(calls) == 3
    assert answered == calls


def test_sources_are_annotations_at_their_markers() -> None:
    """One for each marker, with its place in the text; then those that no marker names."""
    text = "Rain.[^1^] More rain.[^1^]"
    message = whole(BlockChunks, text[:8], text[8:], end(citations=SOURCES))
    (block,) = message.content_blocks
    assert block["type"] == "text"
    assert block["text"] == text
    first, second, unnamed = annotations_of(block)
    for annotation in (first, second):
        assert annotation["type"] == "citation"
        assert annotation["url"] == "https://example.com/a"
        assert text[annotation["start_index"] : annotation["end_index"]] == "[^1^]"
    assert (first["start_index"], second["start_index"]) == (5, 21)
    assert unnamed == {"type": "citation", "url": "https://example.com/b", "title": "", "extras": {"number": 2}}


def test_links_are_annotations_in_the_text_of_their_block() -> None:
    """Places count from the beginning of each block; the number is an extra."""
    marker = "[1](https://a.example/x.docx#k)"
    first, second = f"Rain.{marker}", f"Snow.{marker}"
    citation = ev.Citation(1, "https://a.example/x.docx#k", "x.docx", ((5, 36), (41, 72)))
    ended = end(text=first + second, citations=(citation,))
    message = whole(BlockChunks, first[:9], first[9:], Call("add"), second, ended)
    texts = [block for block in message.content_blocks if block["type"] == "text"]
    assert [block["text"] for block in texts] == [first, second]
    for block in texts:
        assert annotations_of(block) == [
            {
                "type": "citation",
                "url": citation.url,
                "title": "x.docx",
                "start_index": 5,
                "end_index": 36,
                "extras": {"number": 1},
            }
        ]


def test_a_source_without_an_address_has_none() -> None:
    """What reads annotations would take an empty one for a link."""
    message = whole(BlockChunks, "Rain.[^1^]", end(citations=(ev.Citation(1, "", "Plan.docx"),)))
    (annotation,) = annotations_of(message.content_blocks[0])
    assert "url" not in annotation
    assert annotation["title"] == "Plan.docx"


def test_a_marker_of_no_source_has_no_annotation() -> None:
    """Also one with a number of any length."""
    message = whole(BlockChunks, f"Rain.[^7^][^{'9' * 5000}^]", end(citations=SOURCES[:1]))
    (block,) = message.content_blocks
    assert block["type"] == "text"
    assert [annotation.get("start_index") for annotation in annotations_of(block)] == [None]


def test_sources_of_a_text_before_a_call_are_kept() -> None:
    """They stand at the text, though the call came last."""
    message = whole(BlockChunks, "Rain.[^1^]", Call("add"), end(citations=SOURCES[:1]))
    text, made_call = message.content_blocks
    assert (text["type"], made_call["type"]) == ("text", "tool_call")
    assert [annotation["url"] for annotation in annotations_of(text)] == ["https://example.com/a"]


def test_results_of_the_final_frame_go_to_their_own_search() -> None:
    """Not to another that is still without."""
    message = whole(BlockChunks, ev.SearchStarted("a"), "Yes.", end(searches=(ev.Search("a"), ev.Search("b", (PAGE,)))))
    first, _, second, result = message.content_blocks
    assert first["id"] != second["id"]
    assert result["tool_call_id"] == second["id"]  # type: ignore[typeddict-item]


def test_a_withdrawn_answer_has_a_refusal() -> None:
    """The text that came stays, and the notice is a refusal, where LangChain has such blocks."""
    message = whole(BlockChunks, "Once", end(revoked=True, notice="I cannot.", finish="content_filter"))
    text, refusal = message.content_blocks
    assert text.get("text") == "Once"
    if hasattr(blocks, "RefusalContentBlock"):
        assert refusal == {"type": "refusal", "refusal": "I cannot.", "index": 1}
    else:
        assert refusal.get("value") == {"type": "refusal", "refusal": "I cannot."}
    assert message.response_metadata["finish_reason"] == "content_filter"


def test_prompts_of_pictures_and_suggestions_have_blocks() -> None:
    """LangChain has no standard for them."""
    message = whole(BlockChunks, "Yes.", end(image_prompts=("a cloud",), suggestions=("And?",)))
    assert [block.get("value") for block in message.content_blocks[1:]] == [
        {"type": "image_prompts", "prompts": ["a cloud"]},
        {"type": "suggestions", "suggestions": ["And?"]},
    ]


def test_an_answer_without_text_has_no_empty_text() -> None:
    """A turn that gave only a call, or nothing."""
    assert whole(BlockChunks, end(citations=SOURCES)).content == []
    assert whole(TextChunks, end()).content == ""


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TextChunks, BlockChunks])
def test_usage_comes_only_on_request_and_once(kind: type[TextChunks]) -> None:
    """The service counts no tokens; an estimate is marked as one, on the last chunk."""
    items: list[Item] = ["Four", "five5", Call("add", {"a": 1}), end()]
    assert all(chunk.usage_metadata is None for chunk in made(kind, *items))
    chunks = made(kind, *items, estimate_usage=True)
    assert [chunk.usage_metadata is None for chunk in chunks] == [True, True, True, False]
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert usage["input_tokens"] == 3 + 2  # of "Hello, you" and "Before."
    assert usage["output_tokens"] == 1 + 2 + 2
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert chunks[-1].response_metadata["usage_estimated"] is True


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
