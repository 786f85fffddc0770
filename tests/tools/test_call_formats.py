"""The forms of a call as JSON; test_parser.py has them all, in the text of a reply."""

from __future__ import annotations

import json
import re

import pytest

from bing_llm.tools.call_decoder import CallDecoder
from bing_llm.tools.call_formats import (
    ARGUMENT_KEYS,
    CALL_TAGS,
    CLOSERS,
    FENCES,
    MORE,
    NAME_KEYS,
    Delimiter,
    closer_at,
    fence_at,
    tag_at,
)
from bing_llm.tools.calls import Call, Piece, Tool, Toolbox
from bing_llm.tools.escape import escape
from bing_llm.tools.parser import CallParser

NEEDY = Tool("find", parameters={"type": "object", "required": ["q"]})
DECODER = CallDecoder(Toolbox(tools=(NEEDY,)))

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
    return fence_at(text, run, DECODER)


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
        ("```xml\nx", "xml"),
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
