"""Tools and calls as data."""

from __future__ import annotations

import pytest

from bing_llm.errors import InvalidRequest
from bing_llm.tools.calls import Call, Tool, Toolbox

FIND, OPEN = Tool("find"), Tool("open")


def test_two_tools_of_one_name_are_refused() -> None:
    """A call could not tell which of the two is meant."""
    with pytest.raises(InvalidRequest, match="'find'"):
        Toolbox(tools=(FIND, OPEN, Tool("find", "another")))


def test_a_required_tool_must_be_there() -> None:
    """The error names the tool that is missing and those that are there."""
    with pytest.raises(InvalidRequest, match=r"'shut'.*find, open"):
        Toolbox(tools=(FIND, OPEN), only="shut")


def test_a_required_tool_of_none_is_refused() -> None:
    """Without tools the error says so."""
    with pytest.raises(InvalidRequest, match="there are: none"):
        Toolbox(only="find")


def test_a_required_call_needs_tools() -> None:
    """No reply could hold a call if there is nothing to call."""
    with pytest.raises(InvalidRequest, match="no tools"):
        Toolbox(required=True)


@pytest.mark.parametrize(
    ("toolbox", "must"),
    [
        (Toolbox(), False),
        (Toolbox(tools=(FIND,)), False),
        (Toolbox(tools=(FIND,), required=True), True),
        (Toolbox(tools=(FIND,), only="find"), True),
    ],
)
def test_one_tool_that_must_be_called_requires_a_call(toolbox: Toolbox, *, must: bool) -> None:
    """`only` implies `required`."""
    assert toolbox.must_call is must


def test_the_model_is_told_only_of_what_it_may_call() -> None:
    """All tools are offered, but for one that must be called: then it alone."""
    assert Toolbox(tools=(FIND, OPEN)).offered == (FIND, OPEN)
    assert Toolbox(tools=(FIND, OPEN), only="open").offered == (OPEN,)


def test_a_call_of_another_tool_is_not_what_was_required() -> None:
    """Any call meets a requirement that names no tool."""
    assert Toolbox(tools=(FIND, OPEN), required=True).is_met_by(Call("find"))
    assert Toolbox(tools=(FIND, OPEN), only="open").is_met_by(Call("open"))
    assert not Toolbox(tools=(FIND, OPEN), only="open").is_met_by(Call("find"))


def test_no_arguments_are_an_object_of_its_own() -> None:
    """Two calls without arguments share no dict that one of them could change."""
    first, second = Call("find"), Call("find")
    assert first.arguments == {}
    assert first.arguments is not second.arguments
    assert Tool("a").parameters is not Tool("b").parameters
