"""What may open a block of calls; test_parser.py has it in the text of a reply."""

from __future__ import annotations

import re

import pytest

from bing_llm.tools.openings import CLOSERS, MORE, Opening, closer_at, fence_at, tag_at

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


def fence(text: str) -> Opening | None:
    """The fence that the text begins with."""
    run = re.match("`+", text)
    assert run is not None
    return fence_at(text, run)


@pytest.mark.parametrize(("text", "tag"), TAGS.items(), ids=TAGS)
def test_a_tag_with_json_behind_it_opens_a_call(text: str, tag: str) -> None:
    """Each beginning of it may become one."""
    assert tag_at(f"x{text}", 1) == Opening("tag", tag, CLOSERS, always=True)
    assert all(tag_at(text[:end], 0) is MORE for end in range(1, len(text)))


@pytest.mark.parametrize("text", WORDS)
def test_any_other_tag_is_text(text: str) -> None:
    """What is not followed by JSON is a word about calls."""
    assert tag_at(text, 0) is None


def test_the_tag_of_a_result_has_an_attribute() -> None:
    """So it is written in a history."""
    assert tag_at("<tool_result name='x'>", 0) == Opening("result", "<tool_result name=")
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


def test_a_closer_may_be_cut() -> None:
    """Then more of it has to come."""
    assert closer_at("x</TOOL_call>y", 1, CLOSERS) == "</tool_call>"
    assert closer_at("</tool", 0, CLOSERS) == ""
    assert closer_at("", 0, ()) == ""
    assert closer_at("x", 0, ()) is None
