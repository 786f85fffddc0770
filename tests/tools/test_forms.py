"""The forms of a call as JSON; test_parser.py has them all, in the text of a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm.tools.calls import Call, InvalidCall, Tool, Toolbox
from bing_llm.tools.forms import Forms

NEEDY = Tool("find", parameters={"type": "object", "required": ["q"]})
FORMS = Forms(Toolbox(tools=(NEEDY, Tool("list"))))


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
    assert FORMS.bare(json.dumps(value), raw="raw") == calls


def test_broken_bare_json_is_no_call() -> None:
    """What cannot be read was not surely meant as a call."""
    assert FORMS.bare('{"name": "list"', raw="raw") is None


@pytest.mark.parametrize("value", [1, "list", None, {}, {"name": 1}, {"function": {}}, {"name": ""}], ids=str)
def test_what_was_meant_as_a_call_needs_a_name(value: Any) -> None:
    """Any JSON in a tag is a call or an invalid one, never an error."""
    (found,) = FORMS.meant(json.dumps(value), raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert (found.text, found.name) == ("raw", "")
    assert "no name" in found.reason


def test_the_name_is_read_from_broken_json() -> None:
    """Who answers an invalid call can say which tool it was."""
    (found,) = FORMS.meant('{"tool_name": "Find", "args": {x}}', raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert found.name == "find"


def test_a_block_is_invalid_once() -> None:
    """However many of its values are no calls: each invalid call holds the text of the whole block."""
    text = '[1, {}, {"name": "list"}, 2]'
    calls = FORMS.meant(text, raw=f"<tool_call>{text}", closed=False)
    assert [type(call) for call in calls] == [Call, InvalidCall]
