"""The forms of a call as JSON; test_parser.py has them all, in the text of a reply."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from bing_llm.tools.call_formats import (
    ARGUMENT_KEYS,
    CALL_TAGS,
    CLOSERS,
    FENCES,
    MORE,
    NAME_KEYS,
    CallDecoder,
    Delimiter,
    closer_at,
    fence_at,
    tag_at,
)
from bing_llm.tools.calls import Call, InvalidCall, Piece, SchemaCheck, Tool, Toolbox
from bing_llm.tools.escape import escape
from bing_llm.tools.parser import CallParser

NEEDY = Tool("find", parameters={"type": "object", "required": ["q"]})
DECODER = CallDecoder(Toolbox(tools=(NEEDY, Tool("list"))))


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        ({"name": "find", "arguments": {"q": 1}}, [Call("find", {"q": 1})]),
        ({"name": "find", "arguments": {}}, [Call("find")]),
        ({"name": "list"}, [Call("list")]),
        ([{"tool": "list"}, {"function": {"name": "LIST"}}], [Call("list"), Call("list")]),
        ({"name": "find"}, None),
        ({"name": "other", "arguments": {}}, None),
        ({"name": "list", "colour": "red"}, None),
        ({"name": "list", "arguments": 1}, None),
        ({"arguments": {}}, None),
        ([], None),
        ([{"name": "list"}, 1], None),
        ({"tool_calls": 1}, None),
        ("list", None),
    ],
    ids=str,
)
def test_bare_json_is_a_call_only_where_it_can_be_nothing_else(value: Any, calls: list[Call] | None) -> None:
    """Without a tag every value must name a tool, with the arguments that it needs and nothing else."""
    assert DECODER.decode_bare(json.dumps(value), raw="raw") == calls


def test_broken_bare_json_is_not_a_call() -> None:
    """What cannot be read was not surely meant as a call."""
    assert DECODER.decode_bare('{"name": "list"', raw="raw") is None


@pytest.mark.parametrize("value", [1, "list", None, {}, {"name": 1}, {"function": {}}, {"name": ""}], ids=str)
def test_what_was_meant_as_a_call_needs_a_name(value: Any) -> None:
    """Any JSON in a tag is a call or an invalid one, never an error."""
    (found,) = DECODER.decode(json.dumps(value), raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert (found.text, found.name) == ("raw", "")
    assert "no name" in found.reason


def test_the_name_is_read_from_broken_json() -> None:
    """Who answers an invalid call can say which tool it was."""
    (found,) = DECODER.decode('{"tool_name": "Find", "args": {x}}', raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert found.name == "find"


def test_a_block_is_invalid_once() -> None:
    """However many of its values are not calls: each invalid call holds the text of the whole block."""
    text = '[1, {}, {"name": "list"}, 2]'
    calls = DECODER.decode(text, raw=f"<tool_call>{text}", closed=False)
    assert [type(call) for call in calls] == [Call, InvalidCall]


PERSON = Tool(
    "person",
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    },
)


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ({"name": "Ada"}, Call("person", {"name": "Ada"})),
        ({"age": 36, "name": "person"}, Call("person", {"age": 36, "name": "person"})),
        ([{"name": "Ada"}], Call("person", {"name": "Ada"})),
        ({"name": "person", "arguments": {"name": "Ada"}}, Call("person", {"name": "Ada"})),
        ({"age": 36}, None),
        ({"name": "Ada", "colour": "red"}, None),
        ([{"name": "Ada"}, {"name": "Bob"}], None),
        ([1], None),
        ({}, None),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "box",
    [
        Toolbox(tools=(PERSON,), required=True),
        Toolbox(tools=(PERSON,), only="person"),
        Toolbox(tools=(NEEDY, PERSON), only="person"),
    ],
    ids=["required", "only", "only of two"],
)
def test_arguments_alone_call_the_one_tool_that_must_be_called(value: Any, call: Call | None, box: Toolbox) -> None:
    """One object is enough if its keys are the tool's and none that is required is missing."""
    decoder = CallDecoder(box)
    assert decoder.decode_bare(json.dumps(value), raw="raw") == (None if call is None else [call])
    assert (decoder.decode(json.dumps(value), raw="raw", closed=True) == [call]) == (call is not None)
    assert {"name", "age", "arguments"} <= decoder.first_keys


@pytest.mark.parametrize(
    "box", [Toolbox(tools=(PERSON,)), Toolbox(tools=(PERSON, NEEDY), required=True)], ids=["free", "two"]
)
def test_arguments_alone_call_nothing_where_the_tool_is_not_certain(box: Toolbox) -> None:
    """Then such an object may be an answer, or meant for another tool."""
    decoder = CallDecoder(box)
    assert decoder.decode_bare('{"name": "Ada"}', raw="raw") is None
    assert "age" not in decoder.first_keys


def test_arguments_alone_must_fit_where_arguments_must() -> None:
    """Such arguments are validated like those of any other call."""
    decoder = CallDecoder(Toolbox(tools=(replace(PERSON, check=SchemaCheck(PERSON.parameters)),), only="person"))
    (found,) = decoder.decode_bare('{"name": 1}', raw="raw") or []
    assert isinstance(found, InvalidCall)
    assert found.name == "person"


@pytest.mark.parametrize(
    "parameters", [{}, {"properties": 1, "required": 1}, {"properties": {"a": {}}, "required": [{}]}]
)
def test_a_schema_without_parameters_has_no_arguments(parameters: dict[str, Any]) -> None:
    """A schema of any shape is borne."""
    decoder = CallDecoder(Toolbox(tools=(Tool("x", parameters=parameters),), only="x"))
    assert decoder.decode_bare('{"b": 1}', raw="raw") is None


FENCE = "```"

TAGS = {
    "<tool_call>{": "<tool_call>",
    "<tool_call>\n [": "<tool_call>",
    "<TOOL_CALL>{": "<TOOL_CALL>",
    "&lt;tool_call&gt;{": "&lt;tool_call&gt;",
    "\\<tool\\_call\\>\\{": "\\<tool\\_call\\>",
    '<tool_call id="a&b">{': '<tool_call id="a&b">',
    "<tool_calls>[": "<tool_calls>",
    "<tool_call>```json\n{": "<tool_call>",
    "<tool_call>~~~{": "<tool_call>",
}
WORDS = [
    "<tool_call>x",
    "<tool_call>`{",
    "<tool_call>```json\nx",
    "<tool_call<",
    "<tool_calling>{",
    "&lt;tool_call>{",
    "<tool_calls><tool_calls><tool_call>{",
    "<tool_calls><tool_result a=",
    "<tool_result>",
    "<tool_results a=",
    "<tools>",
    "< tool_call>",
]


def fence(text: str) -> Delimiter | None:
    """The fence that the text begins with."""
    run = re.match("`+", text)
    assert run is not None
    return fence_at(text, run)


@pytest.mark.parametrize(("text", "tag"), TAGS.items(), ids=TAGS)
def test_a_tag_with_json_after_it_opens_a_call(text: str, tag: str) -> None:
    """Each beginning of it may become one."""
    assert tag_at(f"x{text}", 1) == Delimiter("tag", tag, CLOSERS, always=True)
    assert all(tag_at(text[:end], 0) is MORE for end in range(1, len(text)))


@pytest.mark.parametrize("text", WORDS)
def test_any_other_tag_is_text(text: str) -> None:
    """What is not followed by JSON is a word about calls."""
    assert tag_at(text, 0) is None


def test_the_tag_of_a_result_has_an_attribute() -> None:
    """So it is written in a history."""
    assert tag_at("<tool_result name='x'>", 0) == Delimiter("result", "<tool_result name=")
    assert tag_at("<tool_result na", 0) is MORE


@pytest.mark.parametrize("wrapper", ["<tool_calls>", "```xml\n", "```\n", "```json\n", "```tool\\_calls\n"])
def test_what_stands_directly_around_tags_is_layout(wrapper: str) -> None:
    """Until the tag of a call has come it is not known."""
    read = fence if wrapper.startswith("`") else lambda text: tag_at(text, 0)
    text = f"{wrapper}\n<tool_call>{{"
    found = read(text)
    assert found is not None
    assert (found.kind, found.text.strip()) == ("layout", wrapper.strip())
    assert all(read(text[:end]) is MORE for end in range(len(wrapper), len(text)))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("```json\n{", "fence"),
        ("```json {", "fence"),
        ("```\nx", "fence"),
        ("```tool_call\nx", "fence"),
        ("```xml\nx", "code"),
        ("```python\nx", "foreign"),
        ("``` x = 1", "foreign"),
        ("```html <tool_call>{", "foreign"),
        ("```js", "more"),
    ],
)
def test_the_info_string_of_a_fence_tells_what_is_in_it(text: str, kind: str) -> None:
    """Calls as JSON, tags that count, or tags that are text."""
    found = fence(text)
    assert found is not None
    assert found.kind == kind


WRITTEN = [
    *(f"<{tag}>{{}}</{tag}>" for tag in CALL_TAGS),
    *(f"```{name}\n{{}}\n```" for name, always in FENCES.items() if always),
]


@pytest.mark.parametrize("names", NAME_KEYS)
@pytest.mark.parametrize("arguments", ARGUMENT_KEYS)
@pytest.mark.parametrize("written", WRITTEN)
def test_the_tables_are_all_that_a_format_needs(written: str, names: str, arguments: str) -> None:
    """Whatever is in them is read by the parser, and in foreign text it is escaped."""
    written = written.replace("{}", json.dumps({names: "find", arguments: {"q": 1}}))
    assert read_reply(f"I see. {written}") == ["I see.", Call("find", {"q": 1})]
    assert "".join(map(str, read_reply(f"I see. {escape(written)}"))) == f"I see. {escape(written)}"


def read_reply(reply: str) -> list[Piece]:
    """The pieces of a reply that comes character by character, adjacent texts joined."""
    parser = CallParser(Toolbox(tools=(NEEDY,)))
    pieces: list[Piece] = []
    for piece in [*(piece for character in reply for piece in parser.feed(character)), *parser.close()]:
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def test_a_closer_may_be_cut() -> None:
    """Then more of it has to come."""
    assert closer_at("x</TOOL_call>y", 1, CLOSERS) == "</tool_call>"
    assert closer_at("</tool", 0, CLOSERS) == ""
    assert closer_at("", 0, ()) == ""
    assert closer_at("x", 0, ()) is None
