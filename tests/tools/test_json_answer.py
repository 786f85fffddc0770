"""The JSON out of a reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.tools.calls import Call, Piece, Tool, Toolbox
from bing_llm.tools.json_answer import JsonAnswer, _JsonStream
from bing_llm.tools.parser import CallParser

A = '{"a": 1}'
LONG = 200_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)


def read(*parts: str) -> tuple[str, bool]:
    """The joined texts that a reply in these parts gives, and whether they are JSON."""
    answer = JsonAnswer()
    texts = [text for part in parts for text in answer.feed(part)] + answer.close()
    assert all(texts)
    assert answer.done
    return "".join(texts), answer.found


STREAMED = {
    "an object": ('{"a": [1, {"b": "x"}]}', {"a": [1, {"b": "x"}]}),
    "a list": ("[1, 2]", [1, 2]),
    "empty": ("{ }", {}),
    "blanks around": (f"\n {A} \n", {"a": 1}),
    "a fence": (f"```json\n{A}\n```", {"a": 1}),
    "another fence": (f"\n~~~~\n\n{A}\n~~~~\n", {"a": 1}),
    "prose after": (f"{A}\n\nThis is {{the}} answer [^1^].", {"a": 1}),
    "another object after": (A + '{"b": 2}', {"a": 1}),
    "braces in strings": (r'{"a": "}]\"}", "b": "{[\\"}', {"a": '}]"}', "b": "{[\\"}),
    "a tag in a string": ('{"a": "</tool_call> ```"}', {"a": "</tool_call> ```"}),
    "control characters in a string": ('{"a": "x\ny\t\x00"}', {"a": "x\ny\t\x00"}),
    "a comma before a brace": ('{"a": [1, 2,\n], "b": 3 , }', {"a": [1, 2], "b": 3}),
    "Markdown in a string": (r'{"a\_b": "\<x\>, \u0041"}', {"a_b": "<x>, A"}),
}

HELD = {
    "prose before": (f"Here it is:\n{A}", {"a": 1}),
    "prose around": (
        f"The answer [^1^] is:\n\n```json\n{A}\n```\nSource: [Bing](https://bing.example), [1].",
        {"a": 1},
    ),
    "a fence of several lines of prose": (f'Set "{{x}}":\n```json\n{A}\n```', {"a": 1}),
    "a citation first": (f"[^1^] {A}", {"a": 1}),
    "a link first": (f"[Bing](https://bing.example) says {A}", {"a": 1}),
    "the last of several": ('First {"a": 1}, then {"b": {"c": 2}}.', {"b": {"c": 2}}),
    "the last that is JSON": (f"Not {A} but {{x}}", {"a": 1}),
    "a list of objects": ('They are [{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    "a list in prose": ("They are [1, 2]", [1, 2]),
    "an object before a list": (f"It is {A}, as in [1].", {"a": 1}),
    "a brace that nothing closes": ("A set { of [things: " + A, {"a": 1}),
    "a closer that nothing opened": ("So } ] " + A, {"a": 1}),
    "a number": (" 42\n", 42),
    "a string": ('"x"', "x"),
    "a fenced word": ("true", True),
    "a dict of Python": ("{'a': True}", {"a": True}),
    "typographic quotes": ("{\u201ca\u201d: 1}", {"a": 1}),
    "typographic quotes in prose": ("It is {\u201ca\u201d: 1}.", {"a": 1}),
    "a brace in a string in prose": ('It is {"a": "}"}.', {"a": "}"}),
    "a fence far down": ("\n" * 300 + A, {"a": 1}),
}

LOST = {
    "nothing": "",
    "prose": 'I cannot {do} "that" [^1^].',
    "a word": "None",
    "an object without an end in prose": 'It is {"a": {"b": 1}',
}

FAULTY = {
    "without an end": '{"a": [1, {"b": "x',
    "without a last brace": '{"a": 1',
    "with a fault": '{"a": 1 "b": 2}',
    "not a number": '{"a": NaN}',
    "with another backslash": r'{"a": "\d"}',
    "nested too deeply": "[" * 101 + "]" * 101,
}


@pytest.mark.parametrize(("reply", "value"), STREAMED.values(), ids=STREAMED)
def test_a_reply_that_begins_with_json_gives_only_that(reply: str, value: Any) -> None:
    """Fences and what follows the value are dropped, so that `json.loads` reads the texts."""
    text, found = read(reply)
    assert json.loads(text) == value
    assert found


@pytest.mark.parametrize(("reply", "value"), HELD.values(), ids=HELD)
def test_json_is_found_in_prose(reply: str, value: Any) -> None:
    """The last object of a reply that holds something else is given, repaired where that is lossless."""
    text, found = read(reply)
    assert json.loads(text) == value
    assert found


@pytest.mark.parametrize("reply", LOST.values(), ids=LOST)
def test_a_reply_without_json_is_given_as_it_is(reply: str) -> None:
    """Nothing of such a reply is lost, and `found` says that it is not JSON."""
    assert read(reply) == (reply, False)


@pytest.mark.parametrize("reply", FAULTY.values(), ids=FAULTY)
def test_what_was_streamed_is_not_recalled(reply: str) -> None:
    """A fault that shows while the value is passed on leaves it as it is; only `found` tells."""
    assert read(reply) == (reply, False)


def test_json_is_passed_on_while_it_comes() -> None:
    """Every part of a value is given at once, so that it can be shown before it is complete."""
    answer = JsonAnswer()
    assert answer.feed("```json\n") == []
    assert answer.feed('{"a') == ['{"a']
    assert answer.feed('": [1') == ['": [1']
    assert not answer.done
    assert answer.feed("]} ") == ["]}"]
    assert (answer.done, answer.found) == (True, True)
    assert answer.feed("```\nThat is all. {}") == []
    assert answer.close() == []


def test_only_what_may_change_waits() -> None:
    """A comma and a backslash wait for what follows them."""
    answer = JsonAnswer()
    assert answer.feed("[1") == ["[1"]
    assert answer.feed(", ") == []
    assert answer.feed('"\\') == [', "']
    assert answer.feed("_,") == ["_,"]
    assert answer.feed('",') == ['"']
    assert answer.feed("]") == ["]"]
    assert answer.found


@given(
    st.sampled_from([reply for reply, _ in (*STREAMED.values(), *HELD.values())] + [*LOST.values(), *FAULTY.values()]),
    st.lists(st.integers(1, 8), min_size=1),
)
def test_the_texts_are_the_same_however_the_reply_is_cut(reply: str, sizes: list[int]) -> None:
    """Where the service cuts its stream changes nothing."""
    parts: list[str] = []
    position = 0
    while position < len(reply):
        size = sizes[len(parts) % len(sizes)]
        parts.append(reply[position : position + size])
        position += size
    assert read(*parts) == read(reply)


@given(JSON)
def test_what_json_writes_comes_through(value: Any) -> None:
    """Any JSON value is given as it was written."""
    assert read(written := json.dumps(value)) == (written, True)
    assert read(written := json.dumps({"a": value}, ensure_ascii=False)) == (written, True)


@given(st.text("{}[]\"'\\,:1 \nax`"))
def test_any_reply_gives_json_or_says_that_it_is_none(reply: str) -> None:
    """`found` is True exactly where `json.loads` reads the texts."""
    text, found = read(reply)
    try:
        json.loads(text)
    except ValueError:
        assert not found
    else:
        assert found


@pytest.mark.parametrize(
    "part", ["{", "[", '{"a":', '"', '\\"', '{"', "}", "[]{", "`", "```\n", " ", "x {", '["\\', "x[1]", "[1,"]
)
def test_hostile_replies_are_bounded(part: str) -> None:
    """A long reply of anything is read once: no recursion, and no error."""
    text = part * (LONG // len(part))
    given_whole, found = read(text)
    assert read(*(text[at : at + 1000] for at in range(0, len(text), 1000))) == (given_whole, found)


def combined(*parts: str) -> tuple[list[Piece], bool]:
    """The pieces of a reply that is either calls or a JSON answer."""
    parser, answer = CallParser(Toolbox(tools=(Tool("find"),))), JsonAnswer()
    pieces: list[Piece] = []
    for fed in [*map(parser.feed, parts), parser.close()]:
        for piece in fed:
            pieces.extend(answer.feed(piece) if isinstance(piece, str) else [piece])
    return [*pieces, *answer.close()], answer.found


def test_a_reply_may_be_a_json_answer_or_calls() -> None:
    """The texts that a `CallParser` gives are what a `JsonAnswer` reads: calls pass by it, other JSON does not."""
    call = '<tool_call>\n{"name": "find", "arguments": {"q": "x"}}\n</tool_call>'
    assert combined(call) == ([Call("find", {"q": "x"})], False)
    pieces, found = combined('```json\n{"city": "Paris", ', '"name": "find"}\n```')
    assert ("".join(map(str, pieces)), found) == ('{"city": "Paris", "name": "find"}', True)


PASSED = {
    "as it is": ('{"a": [1, {}], "b": "x"}', '{"a": [1, {}], "b": "x"}'),
    "what follows": ('{"a": 1} and {"b": 2}', '{"a": 1}'),
    "closers in strings": (r'["]}\"]", "\\"] x', r'["]}\"]", "\\"]'),
    "line end in a string": ('["a\n\t\x01"]', r'["a\n\t\u0001"]'),
    "needless backslash": (r'["a\_b \<\d\n"]', r'["a_b <\d\n"]'),
    "comma before a closer": ('{"a": [1 , \n], }', '{"a": [1  \n] }'),
    "comma before a value": ('[1,\n "a"]', '[1,\n "a"]'),
    "two commas": ("[1,,2]", "[1,,2]"),
    "without an end": ('{"a": "x', '{"a": "x'),
}


@pytest.mark.parametrize(("text", "passed"), PASSED.values(), ids=PASSED)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_value_is_passed_on_to_its_end(text: str, passed: str, size: int) -> None:
    """One value comes through, repaired where nothing must be recalled, in parts of any size."""
    stream = _JsonStream()
    assert "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) == passed
    assert stream.done == (passed[-1] in "]}")
