"""From the text of a reply to the pieces that a framework is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.completion.output import OutputProcessor, StopFilter
from bing_llm.completion.request import Request
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools.calls import Call, InvalidCall, Piece, Tool, Toolbox
from bing_llm.tools.prompt import DEFAULT_PROMPT, JsonFormat

render_call = DEFAULT_PROMPT.call

ADD, MUL = Call("add", {"a": 1}), Call("mul", {"a": 2})
TOOLS = (Tool("add"), Tool("mul"))
ANY = JsonFormat()
REASON = "The JSON is broken near '{]': Expecting property name enclosed in double quotes."
JSON = '{"a": [1, 2], "b": "three"}'


def request(*tools: Tool, **options: Any) -> Request:
    """A request; options of a toolbox go there."""
    box = {name: options.pop(name) for name in ("required", "only", "parallel") if name in options}
    return Request(messages=(Message("user", "Hello"),), toolbox=Toolbox(tools=tools, **box), **options)


def processed(asked: Request, text: str, size: int | None = None) -> tuple[list[Piece], OutputProcessor]:
    """The pieces of a reply with adjacent texts joined, and the output after it."""
    output = OutputProcessor(asked)
    step = size or max(1, len(text))
    pieces: list[Piece] = []
    for at in range(0, len(text), step):
        pieces += output.feed(text[at : at + step])
    pieces += output.close()
    return joined(pieces), output


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
    pieces, output = processed(request(), f"One. {render_call(ADD)} {JSON}", 3)
    assert pieces == [f"One. {render_call(ADD)} {JSON}"]
    assert output.is_plain
    assert not output.has_calls


CASES: dict[str, tuple[Request, str, list[Piece]]] = {
    "stop": (request(stop=("END",)), "One END two", ["One "]),
    "length": (request(max_characters=5), "One two", ["One t"]),
    "calls": (request(*TOOLS), f"One.\n{render_call(ADD)}\n{render_call(MUL)}", ["One.", ADD, MUL]),
    "no calls": (request(*TOOLS), "One.", ["One."]),
    "required": (request(*TOOLS, required=True), render_call(ADD), [ADD]),
    "required, with words": (request(*TOOLS, required=True), f"Well. {render_call(ADD)}", ["Well.", ADD]),
    "only": (request(*TOOLS, only="mul"), render_call(MUL), [MUL]),
    "stop before a call": (request(*TOOLS, stop=("END",)), f"One END {render_call(ADD)}", ["One "]),
    "json": (request(json_format=ANY), f"Here:\n```json\n{JSON}\n```\nDone.", [JSON]),
    "bare json": (request(json_format=ANY), f"{JSON} Done.", [JSON]),
    "tools and json, a call": (request(*TOOLS, json_format=ANY), render_call(ADD), [ADD]),
    "tools and json, an answer": (request(*TOOLS, json_format=ANY), JSON, [JSON]),
    "tools and json in a fence": (request(*TOOLS, json_format=ANY), f"```json\n{JSON}\n```", [JSON]),
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, None])
@pytest.mark.parametrize("name", CASES)
def test_the_pieces_do_not_depend_on_the_parts(name: str, size: int | None) -> None:
    """However the service cuts its text."""
    asked, text, expected = CASES[name]
    pieces, output = processed(asked, text, size)
    assert pieces == expected
    assert output.problem == ""
    assert output.has_calls == any(isinstance(piece, Call) for piece in expected)
    assert output.cut_by_length == (name == "length")


@given(
    st.lists(st.sampled_from(["<tool_call>", "</tool_call>", '{"name": "add"}', "```", "{", "END", " ", "x"])),
    st.data(),
)
def test_any_reply_gives_the_same_in_any_parts(parts: list[str], data: st.DataObject) -> None:
    """Also one that makes no sense."""
    asked = request(*TOOLS, stop=("END",), max_characters=40)
    text = "".join(parts)
    size = data.draw(st.integers(1, 7))
    assert processed(asked, text, size)[0] == processed(asked, text)[0]


# --- what is required -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(*TOOLS, required=True), "I would rather not."),
        (request(*TOOLS, required=True), ""),
        (request(*TOOLS, only="mul"), render_call(ADD)),
    ],
)
def test_a_required_call_that_does_not_come_is_a_problem(asked: Request, text: str) -> None:
    """What came is held back, and can still be given."""
    pieces, output = processed(asked, text, 3)
    assert pieces == []
    assert output.problem == "It holds no tool call."
    assert "".join(piece for piece in output.unmet if isinstance(piece, str)) == ("" if "{" in text else text)


def test_an_invalid_call_says_what_is_wrong_with_it() -> None:
    """The service is asked once more with this sentence."""
    pieces, output = processed(request(*TOOLS, required=True), '<tool_call>\n{"name": "add", "arguments": {"a"')
    assert pieces == []
    said, unmet = output.unmet
    assert isinstance(unmet, InvalidCall)
    assert output.problem == unmet.reason
    assert said == f"[A tool call of the model cannot be used: {unmet.reason}]"


def test_after_the_required_call_pieces_are_given_at_once() -> None:
    """Also those that were held back before it."""
    output = OutputProcessor(request(*TOOLS, required=True))
    assert output.feed("Well. ") == []
    assert joined(output.feed(f"{render_call(ADD)}\n")) == ["Well.", ADD]
    assert output.feed(render_call(MUL)) == [MUL]


@pytest.mark.parametrize("text", ["No JSON.", "", '{"a": 1', "[Bing](https://example.com)"])
def test_an_answer_that_is_not_json_is_a_problem(text: str) -> None:
    """What was not given yet is held back; nothing is lost."""
    output = OutputProcessor(request(json_format=ANY))
    given = [piece for part in text for piece in output.feed(part)]
    assert output.close() == []
    assert output.problem == "It is not one complete JSON object."
    assert "".join(map(str, [*given, *output.unmet])) == text


def test_a_call_is_an_answer_where_json_is_wanted_too() -> None:
    """The JSON comes when no call is needed any more."""
    assert processed(request(*TOOLS, json_format=ANY), render_call(ADD))[1].problem == ""


# --- when it is enough ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(stop=("END",)), "One END"),
        (request(max_characters=3), "Four"),
        (request(*TOOLS, parallel=False), render_call(ADD)),
        (request(*TOOLS), f"{render_call(ADD)}\nIt is"),
        (request(*TOOLS), "<tool_result name="),
        (request(json_format=ANY), JSON),
    ],
)
def test_the_service_may_stop_when_it_is_enough(asked: Request, text: str) -> None:
    """What follows is dropped."""
    output = OutputProcessor(asked)
    known = [output.done]
    output.feed(text)
    assert [*known, output.done] == [False, True]
    assert output.feed(" more") == []


def test_a_call_that_a_cut_leaves_open_is_invalid() -> None:
    """A longest length never completes what the model did not write."""
    text = render_call(ADD)
    pieces, output = processed(request(*TOOLS, max_characters=len(text) - 20), text)
    assert pieces == []
    assert [type(piece) for piece in output.unmet] == [str, InvalidCall]
    assert output.cut_by_length


def test_invalid_calls_wait_for_the_end() -> None:
    """Beside a call they are reported; without one they are a problem, and the text before them is given.

    A text before each says why, because not all frameworks keep the reason.
    """
    pieces, output = processed(request(*TOOLS), f"Well.\n<tool_call>{{]</tool_call>\n{render_call(ADD)}", 3)
    reason = "\n[A tool call of the model cannot be used:"
    assert [piece if isinstance(piece, str) else type(piece) for piece in pieces] == [
        "Well.",
        Call,
        f"{reason} {REASON}]",
        InvalidCall,
    ]
    assert (output.problem, output.unmet) == ("", [])
    pieces, output = processed(request(*TOOLS), "Well.\n<tool_call>{]</tool_call>", 3)
    assert pieces == ["Well."]
    assert output.problem == REASON
    assert [type(piece) for piece in output.unmet] == [str, InvalidCall]


def test_an_answer_must_pass_its_check() -> None:
    """The sentence of the check is the problem; what was given already cannot be held back."""
    asked = request(json_format=JsonFormat({}, lambda value: "" if value == {"a": 1} else f"{value} is wrong"))
    assert processed(asked, '{"a": 1}')[1].problem == ""
    pieces, output = processed(asked, 'Here: {"a": 2}')
    assert (pieces, output.problem, output.about_call) == ([], "{'a': 2} is wrong", False)
    assert output.unmet == ['{"a": 2}']
    pieces, output = processed(asked, '{"a": 2}', 1)
    assert (pieces, output.problem, output.unmet) == (['{"a": 2}'], "{'a': 2} is wrong", [])


def test_arguments_must_pass_their_check() -> None:
    """A call whose arguments do not is invalid, with the sentence of the check."""
    tool = Tool("add", check=lambda arguments: "" if arguments["a"] == 2 else "a is not 2")
    pieces, output = processed(request(tool, only="add"), render_call(ADD))
    assert (pieces, output.problem, output.about_call) == ([], "a is not 2", True)
    assert output.unmet[-1] == InvalidCall(render_call(ADD), "a is not 2", "add")
    assert processed(request(tool, only="add"), render_call(Call("add", {"a": 2})))[0] == [Call("add", {"a": 2})]


def test_json_that_the_caller_cut_is_no_problem() -> None:
    """A stop sequence ends the answer where the caller wanted it."""
    assert processed(request(json_format=ANY, stop=(", 2",)), JSON)[1].problem == ""


def test_json_stays_json() -> None:
    """A plain `json.loads` reads what is given."""
    (piece,), _ = processed(request(json_format=ANY), f"Sure! {JSON}", 1)
    assert json.loads(str(piece)) == {"a": [1, 2], "b": "three"}


def cut(parts: Sequence[str], *stop: str, longest: int | None = None) -> tuple[str, str]:
    """What is given of these parts, and by what it was cut."""
    stop_filter = StopFilter(stop, longest)
    given = [stop_filter.feed(part) for part in parts]
    return "".join((*given, stop_filter.close())), stop_filter.cut


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("One. END Two.", ["END"], "One. "),
        ("One. END Two.", ["Two", "END"], "One. "),
        ("One. END Two.", ["END", "E"], "One. "),
        ("END", ["END"], ""),
        ("One. EN", ["END"], "One. EN"),
        ("aab", ["ab"], "a"),
        ("aaab", ["aab"], "a"),
        ("One.\n\nTwo.", ["\n\n"], "One."),
        ("Привет, мир", ["мир"], "Привет, "),
        ("One.", [], "One."),
    ],
)
def test_a_text_ends_before_the_first_stop_sequence(text: str, stop: list[str], expected: str) -> None:
    """Whatever its parts are; of several sequences the one that begins first counts."""
    for size in (1, 2, 3, len(text)):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        assert cut(parts, *stop) == (expected, "stop" if expected != text else "")


@given(
    st.text("abc", max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    st.none() | st.integers(1, 20),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_the_parts_do_not_matter(text: str, stop: list[str], longest: int | None, sizes: list[int]) -> None:
    """The result is that of the whole text, worked out in the plainest way."""
    ends = [at for sequence in stop if (at := text.find(sequence)) >= 0]
    expected = text[: min(ends)] if ends else text
    by = "stop" if ends else ""
    if longest is not None and len(expected) > longest:
        expected, by = expected[:longest], "length"
    parts: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[len(parts) % len(sizes)]
        parts.append(text[at : at + size])
        at += size
    assert cut(parts, *stop, longest=longest) == (expected, by)


def test_only_what_may_begin_a_stop_sequence_is_held_back() -> None:
    """Everything else is given as soon as it comes."""
    stop_filter = StopFilter(["END"])
    assert stop_filter.feed("One") == "One"
    assert stop_filter.feed(" E") == " "
    assert stop_filter.feed("N") == ""
    assert stop_filter.feed("T") == "ENT"
    assert stop_filter.feed("EEN") == "E"
    assert stop_filter.feed("D and more") == ""
    assert stop_filter.feed("more") == ""
    assert (stop_filter.close(), stop_filter.cut) == ("", "stop")


def test_a_text_of_just_the_longest_length_is_whole() -> None:
    """It is cut only where more comes; of that nothing is given."""
    assert cut(["four", ""], longest=4) == ("four", "")
    assert cut(["four", "!"], longest=4) == ("four", "length")
    assert cut(["fo", "ur!"], longest=4) == ("four", "length")


def test_what_is_held_back_counts_for_the_length() -> None:
    """Also when it is given at the end."""
    assert cut(["fourEN"], "END", longest=5) == ("fourE", "length")


def test_a_long_text_costs_no_more_than_its_length() -> None:
    """What was looked at is not looked at again: the held text stays shorter than the longest sequence."""
    stop_filter = StopFilter(["a" * 50 + "b"])
    for _ in range(1000):
        stop_filter.feed("a" * 50)
        assert len(stop_filter._held) <= 50


@pytest.mark.parametrize("stop", [[""], ["END", ""]])
def test_an_empty_stop_sequence_is_refused(stop: list[str]) -> None:
    """It would end every text before it begins."""
    with pytest.raises(InvalidRequest, match="A stop sequence is empty"):
        StopFilter(stop)


@pytest.mark.parametrize("longest", [0, -4])
def test_a_length_of_nothing_is_refused(longest: int) -> None:
    """The error says the least."""
    with pytest.raises(InvalidRequest, match="must be at least 1"):
        StopFilter((), longest)
