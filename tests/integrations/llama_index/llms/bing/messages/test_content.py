"""What stands in a message: text and calls, in the forms of several libraries."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection

from bing_llm.completion.prompt import HistoryCall
from bing_llm.errors import InvalidRequest
from bing_llm.tools.calls import Call
from bing_llm.tools.prompt import DEFAULT_PROMPT, render_history_call
from llama_index.llms.bing.messages import calls_of, collect, text_and_problem_of, text_of

render_call = DEFAULT_PROMPT.call


def as_shown(call: HistoryCall) -> str:
    """The call as the prompt shows it."""
    return render_history_call(call.name, call.arguments)


WRITTEN = render_call(Call("add", {"a": 1}))
IMAGE = ImageBlock(url="https://example.com/a.png?secret=1")
AUDIO, VIDEO = AudioBlock(audio=b"secret"), VideoBlock(video=b"secret")
PDF = DocumentBlock(data=b"%PDF-1.7 secret")
NOTED = CitationBlock(
    cited_content=TextBlock(text="Paris is big."),
    source="https://example.com",
    title="Paris",
    additional_location_info={},
)

ROLES = ("system", "user", "assistant", "tool")


def text(role: str, *blocks: Any) -> str:
    """The text of a message."""
    message = ChatMessage()
    message.blocks = list(blocks)
    return text_of(message, role)


def problem(role: str, *blocks: Any) -> str:
    """What the service cannot take of a message, as the error that a turn of its author raises."""
    message = ChatMessage()
    message.blocks = list(blocks)
    _, found = text_and_problem_of(message, role)
    assert found is not None
    return str(found)


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_texts_and_documents_are_lines(role: str) -> None:
    """They are kept in their order, each on a line of its own, whoever has them."""
    blocks = [TextBlock(text="One."), DocumentBlock(data=b"Two."), TextBlock(text=""), TextBlock(text="Three.")]
    assert text(role, *blocks) == "One.\nTwo.\nThree."


@pytest.mark.parametrize("role", ROLES)
def test_a_picture_is_a_word(role: str) -> None:
    """The history says where it stood."""
    assert text(role, TextBlock(text="Look:"), IMAGE) == "Look:\n[image]"


@pytest.mark.parametrize("role", ["system", "user", "tool"])
@pytest.mark.parametrize(
    ("block", "word"),
    [
        (AUDIO, "[audio]"),
        (VIDEO, "[video]"),
        (PDF, "[file: application/pdf]"),
        (
            DocumentBlock(data=b"\xff", title="scan.tiff", document_mimetype="image/tiff"),
            "scan.tiff\n[file: image/tiff]",
        ),
        (DocumentBlock(url="https://example.com/a.pdf"), "[file: application/pdf]"),
        (DocumentBlock(url="data:application/zip;base64,AA=="), "[file: application/zip]"),
        (DocumentBlock(), "[file]"),
        (ToolCallBlock(tool_name="x"), "[tool_call]"),
        ("secret", "[block]"),
        (None, "[block]"),
    ],
)
def test_a_word_stands_for_what_cannot_be_sent(role: str, block: Any, word: str) -> None:
    """Whoever has it: only the author of a turn can take it back."""
    assert text(role, TextBlock(text="See:"), block) == f"See:\n{word}"


@pytest.mark.parametrize("block", [AUDIO, VIDEO, "secret", None])
def test_the_problem_names_the_block(block: Any) -> None:
    """It says who has what, but nothing of its content; the first block counts."""
    found = problem("user", TextBlock(text="See:"), block, PDF)
    assert f"A user message holds a block of type {type(block).__name__}, which the service does not take." in found
    assert "secret" not in found


@pytest.mark.parametrize("block", [AUDIO, VIDEO, PDF, DocumentBlock(url="https://example.com/secret"), None])
def test_what_a_model_made_is_left_out_with_a_word(block: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An old answer does not hold up the chat; the log says what it lost."""
    caplog.set_level(logging.DEBUG, logger="llama_index.llms.bing")
    assert text("assistant", TextBlock(text="Hi"), block) == "Hi"
    assert "not sent back:" in caplog.text
    assert type(block).__name__ in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("role", ROLES)
def test_thoughts_and_caches_are_left_out(role: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are not said to anybody."""
    caplog.set_level(logging.DEBUG, logger="llama_index.llms.bing")
    cache = CachePoint(cache_control=CacheControl(type="ephemeral"))
    assert text(role, ThinkingBlock(content="Hm."), cache, TextBlock(text="Hi")) == "Hi"
    assert not caplog.records


def test_what_can_be_cited_has_its_title_and_its_source() -> None:
    """So the model can name it; the blocks in it follow the rules of others."""
    content: list[Any] = [TextBlock(text="One."), IMAGE, DocumentBlock(data=b"Two.", title="D")]
    block = CitableBlock(title="T", source="S", content=content)
    assert text("user", block, TextBlock(text="So?")) == "T\nS\nOne.\n[image]\nD\nTwo.\nSo?"


@pytest.mark.parametrize("role", ["system", "user", "tool"])
def test_a_citation_has_its_title_and_its_source(role: str) -> None:
    """What somebody quotes is theirs to tell."""
    assert text(role, NOTED) == "Paris\nhttps://example.com\nParis is big."


def test_a_citation_of_an_assistant_is_left_out() -> None:
    """It was a service's own note to what stands in the text."""
    assert text("assistant", TextBlock(text="It is big."), NOTED) == "It is big."


def test_what_is_quoted_quotes_nothing() -> None:
    """So no depth ends the program, not even of a block that holds itself."""
    block = CitableBlock(title="T", source="S", content=[])
    block.content.append(block)  # type: ignore[arg-type] # nothing checks it
    assert "A user message holds a block of type CitableBlock" in problem("user", block)


def test_only_a_model_makes_calls() -> None:
    """A call in a user's message is a problem, and not passed over; in its own it is not text."""
    block = ToolCallBlock(tool_name="add", tool_kwargs={"a": "secret"})
    assert "A user message holds a block of type ToolCallBlock" in problem("user", block)
    assert text("assistant", block) == ""


# --- calls ------------------------------------------------------------------------------------------------------------


def message(*blocks: ToolCallBlock, **more: Any) -> ChatMessage:
    """A message of a model."""
    return ChatMessage(list(blocks), role="assistant", additional_kwargs=more)


@pytest.mark.parametrize("arguments", [{"a": 1}, '{"a": 1}'])
def test_a_call_is_written_as_the_model_is_to_write_it(arguments: Any) -> None:
    """Arguments are an object, or its JSON."""
    (call,) = calls_of(message(ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs=arguments)))
    assert (call.ids, call.name, as_shown(call)) == (frozenset({"call_1"}), "add", WRITTEN)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("", render_call(Call("add"))),
        ({}, render_call(Call("add"))),
        ('{"a": 1', 'add {"a": 1'),
        ("[1]", "add [1]"),
        ("[" * 100_000, "add " + "[" * 100_000),
        ('<tool_call>{"name": "add"', '<tool_call>{"name": "add"'),
    ],
)
def test_arguments_that_are_not_an_object_stand_as_they_are(arguments: Any, written: str) -> None:
    """The model sees its own mistake; without the tool's name in them, it goes before them."""
    (call,) = calls_of(message(ToolCallBlock(tool_name="add", tool_kwargs=arguments)))
    assert as_shown(call) == written


def test_arguments_that_are_not_json_are_refused() -> None:
    """Those that hold themselves end nothing but the request."""
    block = ToolCallBlock(tool_name="add")
    assert isinstance(block.tool_kwargs, dict)
    block.tool_kwargs["a"] = block.tool_kwargs
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        collect([message(block)])


OPENAI = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    "call",
    [
        OPENAI,
        {"id": "call_1", "function": {"name": "add", "arguments": {"a": 1}}},
        SimpleNamespace(id="call_1", function=SimpleNamespace(name="add", arguments='{"a": 1}')),
        SimpleNamespace(id="call_1", function=SimpleNamespace(name="add", arguments={"a": 1})),
        SimpleNamespace(id="fc_1", call_id="call_1", name="add", arguments='{"a": 1}'),
        {"id": "call_1", "type": "tool_use", "name": "add", "input": {"a": 1}},
        ToolSelection(tool_id="call_1", tool_name="add", tool_kwargs={"a": 1}),
        ToolSelection(tool_id="call_1", tool_name="add", tool_kwargs={"a": 1}).model_dump(),
        ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs={"a": 1}),
    ],
)
def test_a_call_of_the_additional_arguments_is_read_once(call: Any) -> None:
    """Alone, or beside the block that says the same."""
    block = ToolCallBlock(tool_call_id="call_1", tool_name="add", tool_kwargs={"a": 1})
    for given in (message(tool_calls=[call]), message(block, tool_calls=[call])):
        (made,) = calls_of(given)
        assert (made.name, as_shown(made)) == ("add", WRITTEN)
        assert "call_1" in made.ids


def test_calls_of_the_additional_arguments_without_ids_are_all_read() -> None:
    """Ollama's have none."""
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    assert [as_shown(made) for made in calls_of(message(tool_calls=[call, call]))] == [WRITTEN, WRITTEN]


@pytest.mark.parametrize(
    ("block_id", "call_id", "count"),
    [("call_1", "call_1", 1), ("call_2", "call_1", 2), (None, "call_1", 1), ("call_1", None, 1), (None, None, 1)],
)
def test_calls_are_the_same_by_their_ids(block_id: str | None, call_id: str | None, count: int) -> None:
    """Where one side has none, the blocks count alone."""
    block = ToolCallBlock(tool_call_id=block_id, tool_name="add", tool_kwargs={"a": 1})
    assert len(calls_of(message(block, tool_calls=[{**OPENAI, "id": call_id}]))) == count


@pytest.mark.parametrize("calls", [None, [], [OPENAI], ()])
def test_an_additional_function_call_is_read_where_there_is_no_other(calls: Any) -> None:
    """OpenAI's first form of a call."""
    made = calls_of(message(function_call={"name": "add", "arguments": '{"a": 1}'}, tool_calls=calls))
    assert [as_shown(call) for call in made] == [WRITTEN]


@pytest.mark.parametrize("call", ["add(a=1)", {}, {"function": "add"}, {"name": 7}, None, 7])
def test_what_cannot_be_read_as_a_call_is_left_out_with_a_word(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A memory may have made it a str."""
    caplog.set_level(logging.DEBUG, logger="llama_index.llms.bing")
    assert calls_of(message(tool_calls=[call])) == []
    assert f"a call of type {type(call).__name__} in an assistant message cannot be read" in caplog.text
