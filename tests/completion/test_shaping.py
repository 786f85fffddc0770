"""From the text of a reply to the pieces that a framework is given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.completion import JsonFormat, Request
from bing_llm.completion.shaping import Shaper
from bing_llm.messages import Message
from bing_llm.tools import Call, InvalidCall, Piece, Tool, Toolbox, written_call

ADD, MUL = Call("add", {"a": 1}), Call("mul", {"a": 2})
TOOLS = (Tool("add"), Tool("mul"))
ANY = JsonFormat()
JSON = '{"a": [1, 2], "b": "three"}'


def request(*tools: Tool, **options: Any) -> Request:
    """A request; options of a toolbox go there."""
    box = {name: options.pop(name) for name in ("required", "only", "parallel", "strict") if name in options}
    return Request(messages=(Message("user", "Hello"),), toolbox=Toolbox(tools=tools, **box), **options)


def shaped(asked: Request, text: str, size: int | None = None) -> tuple[list[Piece], Shaper]:
    """The pieces of a reply with adjacent texts joined, and the shaper after it."""
    shaper = Shaper(asked)
    step = size or max(1, len(text))
    pieces: list[Piece] = []
    for at in range(0, len(text), step):
        pieces += shaper.feed(text[at : at + step])
    pieces += shaper.close()
    return joined(pieces), shaper


def joined(pieces: list[Piece]) -> list[Piece]:
    """The pieces with adjacent texts as one."""
    whole: list[Piece] = []
    for piece in pieces:
        assert piece != ""
        if isinstance(piece, str) and whole and isinstance(whole[-1], str):
            whole[-1] += piece
        else:
            whole.append(piece)
    return whole


def test_a_plain_request_changes_nothing() -> None:
    """And says so, which saves the work."""
    pieces, shaper = shaped(request(), f"One. {written_call(ADD)} {JSON}", 3)
    assert pieces == [f"One. {written_call(ADD)} {JSON}"]
    assert shaper.is_plain
    assert not shaper.has_calls


CASES: dict[str, tuple[Request, str, list[Piece]]] = {
    "stop": (request(stop=("END",)), "One END two", ["One "]),
    "length": (request(max_characters=5), "One two", ["One t"]),
    "calls": (request(*TOOLS), f"One.\n{written_call(ADD)}\n{written_call(MUL)}", ["One.", ADD, MUL]),
    "no calls": (request(*TOOLS), "One.", ["One."]),
    "required": (request(*TOOLS, required=True), written_call(ADD), [ADD]),
    "required, with words": (request(*TOOLS, required=True), f"Well. {written_call(ADD)}", ["Well.", ADD]),
    "only": (request(*TOOLS, only="mul"), written_call(MUL), [MUL]),
    "stop before a call": (request(*TOOLS, stop=("END",)), f"One END {written_call(ADD)}", ["One "]),
    "json": (request(format=ANY), f"Here:\n```json\n{JSON}\n```\nDone.", [JSON]),
    "bare json": (request(format=ANY), f"{JSON} Done.", [JSON]),
    "tools and json, a call": (request(*TOOLS, format=ANY), written_call(ADD), [ADD]),
    "tools and json, an answer": (request(*TOOLS, format=ANY), JSON, [JSON]),
    "tools and json in a fence": (request(*TOOLS, format=ANY), f"```json\n{JSON}\n```", [JSON]),
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, None])
@pytest.mark.parametrize("name", CASES)
def test_the_pieces_do_not_depend_on_the_parts(name: str, size: int | None) -> None:
    """However the service cuts its text."""
    asked, text, expected = CASES[name]
    pieces, shaper = shaped(asked, text, size)
    assert pieces == expected
    assert shaper.problem == ""
    assert shaper.has_calls == any(isinstance(piece, Call) for piece in expected)
    assert shaper.cut_by_length == (name == "length")


@given(
    st.lists(st.sampled_from(["<tool_call>", "</tool_call>", '{"name": "add"}', "```", "{", "END", " ", "x"])),
    st.data(),
)
def test_any_reply_gives_the_same_in_any_parts(parts: list[str], data: st.DataObject) -> None:
    """Also one that makes no sense."""
    asked = request(*TOOLS, stop=("END",), max_characters=40)
    text = "".join(parts)
    size = data.draw(st.integers(1, 7))
    assert shaped(asked, text, size)[0] == shaped(asked, text)[0]


# --- what is required -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(*TOOLS, required=True), "I would rather not."),
        (request(*TOOLS, required=True), ""),
        (request(*TOOLS, only="mul"), written_call(ADD)),
    ],
)
def test_a_required_call_that_does_not_come_is_a_problem(asked: Request, text: str) -> None:
    """What came is held back, and can still be given."""
    pieces, shaper = shaped(asked, text, 3)
    assert pieces == []
    assert shaper.problem == "Your last reply holds no tool call."
    assert "".join(piece for piece in shaper.unmet if isinstance(piece, str)) == ("" if "<" in text else text)


def test_an_invalid_call_says_what_is_wrong_with_it() -> None:
    """The service is asked once more with this sentence."""
    pieces, shaper = shaped(request(*TOOLS, required=True), '<tool_call>\n{"name": "add", "arguments": {"a"')
    assert pieces == []
    (unmet,) = shaper.unmet
    assert isinstance(unmet, InvalidCall)
    assert shaper.problem == unmet.reason


def test_after_the_required_call_pieces_are_given_at_once() -> None:
    """Also those that were held back before it."""
    shaper = Shaper(request(*TOOLS, required=True))
    assert shaper.feed("Well. ") == []
    assert joined(shaper.feed(f"{written_call(ADD)}\n")) == ["Well.", ADD]
    assert shaper.feed(written_call(MUL)) == [MUL]


@pytest.mark.parametrize("text", ["No JSON.", "", '{"a": 1', "[Bing](https://example.com)"])
def test_an_answer_that_is_no_json_is_a_problem(text: str) -> None:
    """Where nothing of it was given yet."""
    shaper = Shaper(request(format=ANY))
    given = [piece for part in text for piece in shaper.feed(part)]
    rest = shaper.close()
    if given:
        assert shaper.problem == ""
        assert "".join(map(str, [*given, *rest])) == text
    else:
        assert rest == []
        assert shaper.problem == "Your last reply is not one complete JSON object."
        assert "".join(map(str, shaper.unmet)) == text


def test_a_call_is_an_answer_where_json_is_wanted_too() -> None:
    """The JSON comes when no call is needed any more."""
    assert shaped(request(*TOOLS, format=ANY), written_call(ADD))[1].problem == ""


# --- when it is enough ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(stop=("END",)), "One END"),
        (request(max_characters=3), "Four"),
        (request(*TOOLS, parallel=False), written_call(ADD)),
        (request(*TOOLS), f"{written_call(ADD)}\nIt is"),
        (request(*TOOLS), "<tool_result name="),
        (request(format=ANY), JSON),
    ],
)
def test_the_service_may_stop_when_it_is_enough(asked: Request, text: str) -> None:
    """What follows is dropped."""
    shaper = Shaper(asked)
    known = [shaper.done]
    shaper.feed(text)
    assert [*known, shaper.done] == [False, True]
    assert shaper.feed(" more") == []


def test_a_call_that_a_cut_leaves_open_is_invalid() -> None:
    """A longest length never completes what the model did not write."""
    text = written_call(ADD)
    pieces, shaper = shaped(request(*TOOLS, max_characters=len(text) - 20), text)
    assert pieces == []
    assert [type(piece) for piece in shaper.unmet] == [InvalidCall]
    assert shaper.cut_by_length


def test_invalid_calls_wait_for_the_end() -> None:
    """Beside a call they are told of; without one they are a problem, and the text before them is given."""
    pieces, shaper = shaped(request(*TOOLS), f"Well.\n<tool_call>{{]</tool_call>\n{written_call(ADD)}", 3)
    assert [piece if isinstance(piece, str) else type(piece) for piece in pieces] == ["Well.", Call, InvalidCall]
    assert (shaper.problem, shaper.unmet) == ("", [])
    pieces, shaper = shaped(request(*TOOLS), "Well.\n<tool_call>{]</tool_call>", 3)
    assert pieces == ["Well."]
    assert shaper.problem
    assert [type(piece) for piece in shaper.unmet] == [InvalidCall]


def test_json_stays_json() -> None:
    """A plain `json.loads` reads what is given."""
    (piece,), _ = shaped(request(format=ANY), f"Sure! {JSON}", 1)
    assert json.loads(str(piece)) == {"a": [1, 2], "b": "three"}
