"""The JSON that a model wrote, and what may be repaired in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.tools.lenient_json import Unreadable, is_json, json_in, read_values

CALL = {"name": "find", "arguments": {"q": "x"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)
LONG = 200_000

READ = {
    "an object": ('{"a": 1}', [{"a": 1}]),
    "a list": ("[1, 2]", [[1, 2]]),
    "a string": ('"x"', ["x"]),
    "a word": (" true\n", [True]),
    "several on lines": ('{"a": 1}\n\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
    "several with commas": ('{"a": 1}, [2], 3, 4,', [{"a": 1}, [2], 3, 4]),
    "several glued": ('{"a": 1}{"b": 2}[3]', [{"a": 1}, {"b": 2}, [3]]),
    "equal keys": ('{"a": 1, "a": 2}', [{"a": 2}]),
    "line end in a string": ('{"a": "x\ny\t"}', [{"a": "x\ny\t"}]),
    "comma before a brace": ('{"a": [1, 2, ], "b": {"c": 3,},\n}', [{"a": [1, 2], "b": {"c": 3}}]),
    "typographic quotes": ("{\u201ca\u201d: \u201cx \\\"y\\\" 'z'\u201d}", [{"a": "x \"y\" 'z'"}]),
    "quotes of other scripts": ("{\u201ea\u201c: \u2018b\u2019}", [{"a": "b"}]),
    "closing quotes only": ("{\u201da\u201d: \u2019x\u2019}", [{"a": "x"}]),
    "typographic quotes in a string": ('{"a": "\u201cx\u201d",}', [{"a": "\u201cx\u201d"}]),
    "a plain quote in typographic ones": ('{\u201ca\u201d: \u201c5" x\u201d}', [{"a": '5" x'}]),
    "single quotes": ("{'a': 'x \"y\" it\\'s', 'b': \"it's\"}", [{"a": "x \"y\" it's", "b": "it's"}]),
    "words of Python": ("{'a': True, 'b': False, 'c': None}", [{"a": True, "b": False, "c": None}]),
    "words of Python in a string": ('{"a": "True, }",}', [{"a": "True, }"}]),
    "code of Python": (r"{'a': '\x41\u00e9'}", [{"a": "A\u00e9"}]),
    "citation outside": ('{"a": 1 [^1^], "b": [2 [^12^][^3^]]} [^1^]', [{"a": 1, "b": [2]}]),
    "citation inside": ('{"a": "x [^1^]",}', [{"a": "x [^1^]"}]),
    "Markdown in a string": (r'{"tool\_name": "a \<b\> \#1 it\'s \~ \`c\`"}', [{"tool_name": "a <b> #1 it's ~ `c`"}]),
    "Markdown outside": (r'\{"a"\: \[1, \-2\]\}', [{"a": [1, -2]}]),
    "escapes of JSON": (r'{"a": "\"\\\/\b\f\n\r\t\u0041\_",}', [{"a": '"\\/\b\f\n\r\tA_'}]),
    "escaped backslash": (r'{"a": "C:\\_x\\",}', [{"a": "C:\\_x\\"}]),
    "closers too many": ('{"a": {}}}] {"b": 1}}', [{"a": {}}, {"b": 1}]),
    "fence": ('```json\n{"a": 1}\n```', [{"a": 1}]),
    "fence without an end": ('\n```tool_call\n{"a": 1}', [{"a": 1}]),
    "end of a fence": ('{"a": 1}\n```\n', [{"a": 1}]),
    "fence on one line": ('```{"a": "`"}```', [{"a": "`"}]),
    "long fence": ('~~~~ json\n{"a": "~~~"}\n~~~~', [{"a": "~~~"}]),
    "blanks that JSON does not know": ('\ufeff{\u00a0"a":\u200b1}', [{"a": 1}]),
}  # fmt: skip

CLOSED = {
    "brace": ('{"name": "find", "arguments": {"q": "x"}', [CALL]),
    "braces": ('{"name": "find", "arguments": {"q": "x"', [CALL]),
    "bracket": ('[{"name": "find", "arguments": {"q": "x"}}', [[CALL]]),
    "after a comma": ('{"a": [1,', [{"a": [1]}]),
    "of the last of several": ('{"a": 1} {"b": 2', [{"a": 1}, {"b": 2}]),
    "none": ('{"a": 1}', [{"a": 1}]),
}

REFUSED = {
    "nothing": ("", "There is no JSON"),
    "blanks": (" \n", "There is no JSON"),
    "an empty fence": ("```json\n```", "broken"),
    "prose": ("I will call it.", "broken"),
    "prose after": ('{"a": 1} is it', "broken near '\\{\"a\": 1\\} is it'"),
    "a name without quotes": ("{a: 1}", "broken"),
    "a missing comma": ('{"a": 1 "b": 2}', "broken"),
    "a double comma": ("[1,, 2]", "broken"),
    "a comma alone": ("[,]", "broken"),
    "a missing value": ('{"a": }', "broken"),
    "a missing value before a comma": ('{"a":, "b": 1}', "broken"),
    "a wrong closer": ('{"a": [1}', "broken"),
    "a closer alone": ("}", "broken"),
    "a closer after a scalar": ("1]", "broken"),
    "a closer too early": ('{"a": 1}, "b": 2}', "broken"),
    "scalars glued": ("1[2]", "broken"),
    "a comment": ('{"a": 1} // so', "broken"),
    "a fraction without digits": ("[1.]", "broken"),
    "a word of JavaScript": ("[undefined]", "broken"),
    "an apostrophe in single quotes": ("{'a': 'it's'}", "broken|ends before"),
    "a quote in a string": ('{"a": "say "hi""}', "broken"),
    "three quotes": ('{"a": """x"""}', "broken"),
    "another backslash": (r'{"a": "\d+"}', "write a backslash as two"),
    "backslash of a regular expression": (r'{"a": "f\(x\)\."}', "write a backslash as two"),
    "not a number": ('{"a": NaN}', "NaN is not JSON"),
    "infinity": ("[Infinity]", "Infinity is not JSON"),
    "minus infinity": ("[-Infinity]", "-Infinity is not JSON"),
    "not a number of Python": ("{'a': nan}", "nan is not JSON"),
    "a huge fraction": ("[1e999]", "too large"),
    "a huge integer": (f"[{'1' * 5000}]", "over 4300 digits"),
    "half a code": (r'{"a": "\u12"}', "broken"),
}


@pytest.mark.parametrize(("text", "values"), READ.values(), ids=READ)
@pytest.mark.parametrize("closed", [False, True])
def test_json_is_read_and_what_cannot_be_lost_is_repaired(text: str, values: list[Any], *, closed: bool) -> None:
    """Every repair of the table gives the values that were meant, whether or not the block was closed."""
    assert read_values(text, closed=closed) == values


@pytest.mark.parametrize(("text", "values"), CLOSED.values(), ids=CLOSED)
def test_braces_are_added_where_the_block_was_closed(text: str, values: list[Any]) -> None:
    """Who closed the block meant to write the braces too."""
    assert read_values(text, closed=True) == values


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("closed", [False, True])
def test_what_would_be_a_guess_is_refused(text: str, says: str, *, closed: bool) -> None:
    """What has no one meaning is unreadable, and the error says what to change."""
    with pytest.raises(Unreadable, match=says):
        read_values(text, closed=closed)


@pytest.mark.parametrize("length", range(1, len(json.dumps(CALL))))
def test_a_truncated_value_is_never_completed(length: int) -> None:
    """Where the block was not closed, every beginning of an object is unreadable."""
    with pytest.raises(Unreadable):
        read_values(json.dumps(CALL)[:length], closed=False)


@pytest.mark.parametrize("quote", ['"', "'", "\u201c", "\u2018"])
def test_a_quote_is_never_added(quote: str) -> None:
    """A string without an end is unreadable, even in a closed block: nobody knows what is missing."""
    with pytest.raises(Unreadable, match="ends before it is complete"):
        read_values(f"{{{quote}a", closed=True)


def test_an_error_is_one_short_sentence() -> None:
    """However long the text, the error quotes a few characters of it, on one line."""
    with pytest.raises(Unreadable) as caught:
        read_values("{\n" + "x\n" * 10_000, closed=False)
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


@given(JSON)
def test_what_json_writes_is_read_unchanged(value: Any) -> None:
    """Strict JSON is read as the json module reads it, repairs or not."""
    written = json.dumps(value)
    assert read_values(written, closed=False) == [value]
    assert read_values(f"```json\n{written}\n```", closed=False) == [value]
    assert is_json(written)


@given(st.dictionaries(st.text("abc'\"\\\n_ []{},:"), JSON))
def test_what_python_writes_is_read_unchanged(value: dict[str, Any]) -> None:
    """A dict as `repr` writes it is that dict, or unreadable, never another one."""
    try:
        assert read_values(repr(value), closed=False) == [value]
    except Unreadable as exc:
        assert "escape" in str(exc)  # noqa: PT017 - Python has escapes that JSON has not


@given(st.text("{}[]\"'\\,:1.e-NaTrue\n`~^_x\u201c\u201d "), st.booleans())
def test_any_text_gives_values_or_is_unreadable(text: str, closed: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    """No text raises another error, and every value that is read can be written as JSON."""
    try:
        values = read_values(text, closed=closed)
    except Unreadable as exc:
        assert str(exc).endswith(".")  # noqa: PT017 - one of the two outcomes
    else:
        assert is_json(json.dumps(values))


@pytest.mark.parametrize(
    "part",
    [
        "{",
        "[",
        '{"a":',
        '"',
        "'",
        '\\"',
        "\\",
        "`",
        ",",
        '"\\"',
        "[^1^]",
        "[1] ",
        '{"',
        "1",
        "-",
        "~~~\n",
        "{'a':",
        "\u201c",
    ],
)
@pytest.mark.parametrize("closed", [False, True])
def test_hostile_text_is_bounded(part: str, *, closed: bool) -> None:
    """A long text of anything is read or refused: no recursion, and nothing is read again and again."""
    text = part * (LONG // len(part))
    try:
        assert len(read_values(text, closed=closed)) == LONG // len(part)
    except Unreadable as exc:
        assert len(str(exc)) < 150  # noqa: PT017 - one of the two outcomes


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("repaired", [False, True])
def test_a_hundred_levels_are_the_limit(opening: str, closing: str, *, repaired: bool) -> None:
    """What is nested a hundred levels deep is read, and one more is too deep, strict JSON or repaired."""

    def nested(levels: int) -> str:
        return opening * levels + ("'x'" if repaired else '"x"') + closing * levels

    assert len(read_values(nested(100), closed=False)) == 1
    for levels in (101, 900, 100_000):
        with pytest.raises(Unreadable, match="over 100 levels"):
            read_values(nested(levels), closed=False)
        assert not is_json(nested(levels))


def test_brackets_in_strings_are_not_levels() -> None:
    """Only what is nested counts as deep."""
    assert read_values(json.dumps(["[" * 500]), closed=False) == [["[" * 500]]


@pytest.mark.parametrize("text", ["", "{", "{} {}", "[NaN]", "[1e999]", '{"a": "\n"}', "{'a': 1}", "[1,]", "\u00a0{}"])
def test_only_plain_json_is_json(text: str) -> None:
    """What needs a repair, or is more than one value, is not JSON for `json.loads`."""
    assert not is_json(text)


A, B = '{"a": 1}', '{"b": [2]}'

FOUND = {
    "the whole": (f" {A}\n", A),
    "the whole, repaired": ("{'a': 1,}", A),
    "a number": ("42", "42"),
    "a word of Python": ("None", ""),
    "several values": (f"{A} {B}", B),
    "in prose": (f"It is {A}.", A),
    "the last object": (f"First {A}, then {B}.", B),
    "the last that is JSON": (f"Not {A} but {{x}} or (}}", A),
    "an object before a list": (f"{A}, as in [1]", A),
    "a list of objects": (f"They are [{A}, {B}].", f"[{A}, {B}]"),
    "the last list": ("From [1] to [2, 3]", "[2, 3]"),
    "a link": ("[Bing](https://bing.example)", ""),
    "quotes in prose": (f'He said "so: {A}', A),
    "braces in strings": ('It is {"a": "}{\\"}"}.', '{"a": "}{\\"}"}'),
    "a brace that nothing closes": (f"A set {{ of [things: {A}", A),
    "a bracket that closes nothing": (f"So ] }} {A}", A),
    "brackets that cross": (f"An interval [0, {{1] {A}", A),
    "cut off": (f'It is {{"c": {A}', ""),
    "cut off after another": (f'It is {B}, {{"c": {A}', B),
    "a list cut off": (f"They are [{A}, {B}", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "found"), FOUND.values(), ids=FOUND)
def test_the_last_complete_object_is_found(text: str, found: str) -> None:
    """Of what stands in no other braces the last object counts, and no part of what was cut off."""
    assert json_in(text) == found


def test_scripts_stay_readable() -> None:
    """What is written anew keeps its letters."""
    assert json_in("{'a': '\u00e4\u4e2d'}") == '{"a": "\u00e4\u4e2d"}'
