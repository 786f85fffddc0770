"""Calls in the text of a reply."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bing_llm.tools import blocks
from bing_llm.tools.blocks import Scanner
from bing_llm.tools.calls import Call, InvalidCall, Piece, SchemaCheck, Tool, Toolbox
from bing_llm.tools.parser import CallParser
from tests.tools.parser.costs import steps_for

WEATHER = Tool(
    "get_weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
BOX = Toolbox(tools=(WEATHER, Tool("list-files")))
PARIS = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
ROME = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
TAGGED = f"<tool_call>\n{PARIS}\n</tool_call>"
CALL, CALL_ROME, FILES = (
    Call("get_weather", {"city": "Paris"}),
    Call("get_weather", {"city": "Rome"}),
    Call("list-files"),
)
FENCE = "```"


def read(*parts: str, box: Toolbox = BOX) -> list[Piece]:
    """The pieces of a reply in these parts, adjacent texts joined."""
    parser = CallParser(box)
    pieces: list[Piece] = []
    for fed in [*map(parser.feed, parts), parser.close()]:
        for piece in fed:
            assert piece != ""
            if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
                pieces[-1] += piece
            else:
                pieces.append(piece)
    assert parser.done
    return pieces


def tagged(body: Any) -> str:
    """The body as JSON in the tags of a call."""
    return f"<tool_call>{json.dumps(body)}</tool_call>"


CALLS: dict[str, tuple[str, list[Piece]]] = {
    # Where a call may stand.
    "tag": (TAGGED, [CALL]),
    "tag on one line": (f"<tool_call>{PARIS}</tool_call>", [CALL]),
    "tag in upper case": (f"<TOOL_CALL>{PARIS}</Tool_Call>", [CALL]),
    "text before": (f"I will look.\n\n{TAGGED}\n", ["I will look.", CALL]),
    "escaped by HTML": (f"&lt;tool_call&gt;{PARIS.replace(chr(34), '&quot;')}&lt;/tool_call&gt;", [CALL]),
    "ampersand escaped by HTML": (
        '&lt;tool_call&gt;{"name": "list-files", "arguments": {"q": "a &amp;&lt; b"}}&lt;/tool_call&gt;',
        [Call("list-files", {"q": "a &< b"})],
    ),
    "escaped by Markdown": (
        '\\<tool\\_call\\>\\{"name": "get\\_weather", "arguments": {"city": "\\*\\[Paris\\]\\_"}}\\</tool\\_call\\>',
        [Call("get_weather", {"city": "*[Paris]_"})],
    ),
    "JSON's escapes in Markdown's": (
        '<tool\\_call>{"name": "list-files", "arguments": {"q": "\\"a\\\\\\_\\n"}}</tool\\_call>',
        [Call("list-files", {"q": '"a\\_\n'})],
    ),
    "underscore escaped": (f"<tool\\_call>{PARIS}</tool\\_call>", [CALL]),
    "opened escaped, closed plain": (f"<tool\\_call>{PARIS}</tool_call>", [CALL]),
    "fence of a call": (f"Look:\n{FENCE}tool_call\n{PARIS}\n{FENCE}\n", ["Look:", CALL]),
    "fence of calls": (f"{FENCE}tool_calls\n[{PARIS}, {ROME}]\n{FENCE}", [CALL, CALL_ROME]),
    "fence of four": (f"````tool_call\n{PARIS}\n````", [CALL]),
    "fence of JSON": (f"Look:\n\n{FENCE}json\n{PARIS}\n{FENCE}", ["Look:", CALL]),
    "no last brace in a fence": (f"{FENCE}json\n{PARIS[:-1]}\n{FENCE}", [CALL]),
    "no last braces in a fence on one line": (f"{FENCE}json {PARIS[:-2]}{FENCE}\n{TAGGED}", [CALL, CALL]),
    "fence of JSON on one line": (f"{FENCE}json {PARIS}{FENCE}", [CALL]),
    "fence without a name": (f"{FENCE}\n{PARIS}\n{ROME}\n{FENCE}", [CALL, CALL_ROME]),
    "fence with a line end of Windows": (f"{FENCE}json\r\n{PARIS}\r\n{FENCE}\r\n", [CALL]),
    "tag around a fence": (f"<tool_call>\n{FENCE}json\n{PARIS}\n{FENCE}\n</tool_call>", [CALL]),
    "nothing around": (f"\n{PARIS}\n", [CALL]),
    "a list, nothing around": (f"[{PARIS},\n{ROME}]", [CALL, CALL_ROME]),
    "several, nothing around": (f"{PARIS}\n{ROME}", [CALL, CALL_ROME]),
    "attributes": (f'<tool_call id="1" n=2>{PARIS}</tool_call>', [CALL]),
    "attributes, escaped": (f"&lt;tool_call id=&quot;1&quot;&gt;{PARIS}&lt;/tool_call&gt;", [CALL]),
    # What stands around them.
    "tags in a fence of XML": (f"So:\n{FENCE}xml\n{TAGGED}\n{TAGGED}\n{FENCE}", ["So:", CALL, CALL]),
    "tags in fences": (f"{FENCE}\n{TAGGED}\n{FENCE}\n\n{FENCE}json\n{TAGGED}\n{FENCE}\n", [CALL, CALL]),
    "a tag in a fence of a call": (f"{FENCE}tool_call\n{TAGGED}\n{FENCE}\n{TAGGED}", [CALL, CALL]),
    "a tag in a fence on one line": (f"{FENCE}<tool_call>{PARIS}</tool_call>{FENCE}", [CALL]),
    "a tag without a closer in a fence": (f"{FENCE}\n<tool_call>\n{PARIS}\n{FENCE}\n{TAGGED}", [CALL, CALL]),
    "a tag in the middle of a fence": (f"{FENCE}\nSo:\n{TAGGED}\n{FENCE}", [f"{FENCE}\nSo:", CALL]),
    "a tag after other XML": (f"{FENCE}xml\n<a/>\n{TAGGED}", [f"{FENCE}xml\n<a/>", CALL]),
    "tags in a tag": (f"So:\n<tool_calls>\n{TAGGED}\n{TAGGED}\n</tool_calls>\n{TAGGED}", ["So:", *[CALL] * 3]),
    "tags in a tag in a fence": (f"{FENCE}xml\n<tool_calls>{TAGGED}</tool_calls>\n{FENCE}\n{TAGGED}", [CALL, CALL]),
    "a list in a tag of calls": (f"<tool_calls>[{PARIS}, {ROME}]</tool_calls>", [CALL, CALL_ROME]),
    "a closer too many": (f"{TAGGED}</tool_call>{TAGGED}", [CALL, CALL]),
    # Who spoke of a tag before.
    "a mention before": (f"<think>use <tool_call>?</think>\n{TAGGED}", ["<think>use <tool_call>?</think>", CALL]),
    "a mention in code before": (f"A `<tool_call>{{}}`:\n{TAGGED}", ["A `<tool_call>{}`:", CALL]),
    "a stray backtick before": (f"It's `so.\n{TAGGED}", ["It's `so.", CALL]),
    "a stray backtick on the line": (f"It's `so: {TAGGED}", ["It's `so:", CALL]),
    "closed code on the line": (f"`a` ``b`` <tool_call>{PARIS}</tool_call>", ["`a` ``b``", CALL]),
    "code of a language before": (
        f"{FENCE}html\n{TAGGED}\n{FENCE}\n{TAGGED}",
        [f"{FENCE}html\n{TAGGED}\n{FENCE}", CALL],
    ),
    "no last brace, then prose": (f"<tool_call>{PARIS[:-1]}</tool_call> Fine.", [CALL]),
    # Several.
    "two tags": (f"{TAGGED}\n\n<tool_call>{ROME}</tool_call>", [CALL, CALL_ROME]),
    "two tags glued": (TAGGED + TAGGED, [CALL, CALL]),
    "a tag, then a fence": (f"{TAGGED}\n{FENCE}tool_call\n{ROME}\n{FENCE}", [CALL, CALL_ROME]),
    "a list in a tag": (f"<tool_call>[{PARIS}, {ROME}]</tool_call>", [CALL, CALL_ROME]),
    "two objects in a tag": (f"<tool_call>{PARIS}{ROME}</tool_call>", [CALL, CALL_ROME]),
    # Where it ends.
    "a closer in a string": (
        tagged({"name": "list-files", "arguments": {"q": 'a</tool_call> "\\'}}),
        [Call("list-files", {"q": 'a</tool_call> "\\'})],
    ),
    "a fence in a string": (
        f'{FENCE}tool_call\n{{"name": "list-files", "arguments": {{"q": "{FENCE}\\n{FENCE}"}}}}\n{FENCE}',
        [Call("list-files", {"q": f"{FENCE}\n{FENCE}"})],
    ),
    "no closer": (f"<tool_call>\n{PARIS}", [CALL]),
    "no closer, then another": (f"<tool_call>\n{PARIS}\n<tool_call>{ROME}", [CALL, CALL_ROME]),
    "no end of a fence": (f"{FENCE}tool_call\n{PARIS}", [CALL]),
    "no last brace": (f"<tool_call>{PARIS[:-1]}</tool_call>", [CALL]),
    "a brace too many": (f"<tool_call>{PARIS}}}</tool_call>", [CALL]),
    "a quote in single quotes": (
        "<tool_call>{'name': 'list-files', 'arguments': {'q': '5\" disk'}}</tool_call>",
        [Call("list-files", {"q": '5" disk'})],
    ),
    "typographic quotes": (
        "<tool_call>{\u201cname\u201d: \u201clist-files\u201d, \u201cargs\u201d: {}}</tool_call>",
        [FILES],
    ),
    "a call after JSON": (f"{PARIS}\n<tool_call>{ROME}</tool_call>", [PARIS, CALL_ROME]),
    # What follows is cut.
    "prose after": (f"{TAGGED}\nThe weather is fine.", [CALL]),
    "an invented result": (f"{TAGGED}\n<tool_result>fine</tool_result>\n{TAGGED}", [CALL]),
    "an invented result, escaped": ("So.\n&lt;tool_result name='x'&gt;fine", ["So."]),
    "an invented result by Markdown": ("So. \n \\<tool\\_result id=1>fine", ["So."]),
    "prose and a call after": (f"{TAGGED} Fine. {TAGGED}", [CALL]),
    "many blanks after, then a call": (TAGGED + " \n" * 600 + TAGGED, [CALL, CALL]),
    "a result that is only a word, after a call": (f"{TAGGED} <tool_result", [CALL]),
    "other code after": (f"{TAGGED}\n{FENCE}json\n[1]\n{FENCE}", [CALL]),
    # How it may be written.
    "no arguments": (tagged({"name": "list-files"}), [FILES]),
    "empty arguments": (tagged({"name": "list-files", "arguments": None}), [FILES]),
    "arguments in a string": (tagged({"name": "get_weather", "arguments": '{"city": "Paris"}'}), [CALL]),
    "an empty string of arguments": (tagged({"name": "list-files", "arguments": " "}), [FILES]),
    **{
        f"arguments as {key}": (tagged({"name": "get_weather", key: {"city": "Paris"}}), [CALL])
        for key in ("parameters", "args", "input", "tool_input")
    },
    **{
        f"name as {key}": (tagged({key: "get_weather", "arguments": {"city": "Paris"}}), [CALL])
        for key in ("tool", "tool_name", "function")
    },
    "nested function": (tagged({"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}), [CALL]),
    "form of OpenAI": (
        tagged(
            {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
        ),
        [CALL],
    ),
    "list of OpenAI": (f'{FENCE}json\n{{"tool_calls": [{PARIS}, {ROME}]}}\n{FENCE}', [CALL, CALL_ROME]),
    "an id": (tagged({"id": "call_1", "name": "list-files", "arguments": {}}), [FILES]),
    # The names of tools.
    "name in another spelling": (tagged({"name": "List Files"}), [FILES]),
    "name escaped by Markdown": (tagged({"name": "get\\_weather", "arguments": {"city": "Paris"}}), [CALL]),
    "unknown name in a tag": (tagged({"name": "mail", "arguments": {"to": "x"}}), [Call("mail", {"to": "x"})]),
    "unknown name in a fence of a call": (f'{FENCE}tool_call\n{{"name": "x"}}\n{FENCE}', [Call("x")]),
}  # fmt: skip

TEXTS = {
    "nothing": "",
    "prose": "The weather in Paris is fine: 3 < 4 & x > y, `code`, \\* and <b>HTML</b>.\n\n- one\n- two\n",
    "blanks": " \n\t ",
    "blanks around": "\n\n  Hello  \n\n",
    "many blanks": "Hello" + " \n" * 600 + "there" + "\n" * 600,
    "other JSON": '{"city": "Paris", "name": "get_weather"}',
    "other JSON in a fence": f'Here:\n\n{FENCE}json\n{{"city": "Paris"}}\n{FENCE}\n\nDone.\n',
    "a list of other things": "[1, 2, 3]",
    "a link": "[Paris](https://paris.example) and {braces} [^1^]",
    "JSON that calls an unknown tool": '{"name": "send_mail", "arguments": {}}',
    "JSON that calls an unknown tool, in a fence": f'Here:\n{FENCE}\n{{"name": "x", "arguments": {{}}}}\n{FENCE}\n',
    "backticks in JSON in a fence": f'{FENCE}json\n{{"name": `x` ``y``\n{FENCE}\n',
    "code": f"{FENCE}python\nprint({PARIS})\n{FENCE}\n",
    "code after code": f"{FENCE}python\nx\n{FENCE}\n{FENCE}json\n[]\n{FENCE}\n",
    "JSON in code of Markdown": f"````markdown\n{FENCE}json\n{PARIS}\n{FENCE}\n````\n",
    "code on a line": f"Write ``` {PARIS} ``` so.",
    "almost a tag": "<tool_calling> <tool_cal <tool_ call> < &lt;tool_x&gt; \\<tool\\_",
    "the beginning of a tag": "So: <tool_ca",
    "the beginning of a fence": f"So:\n{FENCE}js",
    "a closer": "</tool_call>",
    "a tag alone": "So: <tool_call>\n",
    "a tag with blanks in it": f"<tool_call>{' ' * 1001}{{}}",
    "a mention of a tag": "The `<tool_call>` tag wraps the JSON of a call. Hope this helps!",
    "a mention in a fence": f"Here is how:\n{FENCE}\nUse <tool_call> like so\n{FENCE}\nDone.",
    "a mention of a result": "The tag <tool_result> is what you write.\n<tool_result> it is. <tool_result name='x'>",
    "a result in code": f"{FENCE}html\n<tool_result name='x'>\n{FENCE}",
    "an example in a code span": f"Write `<tool_call>{PARIS}</tool_call>` or ``<tool_call>{PARIS}``.",
    "backticks in a code span": f"Write `a``b <tool_call>{PARIS}</tool_call>`.",
    "an example in HTML": f"{FENCE}html\n{TAGGED}\n{FENCE}\nThat is an example.",
    "an example in a long fence": f"{FENCE}text, as it is\n{TAGGED}\n{FENCE}",
}

INVALID = {
    "an empty list": ("<tool_call>[]</tool_call>", "empty", ""),
    "cut off": ('<tool_call>{"name": "get_weather", "arguments": {"city": "Par', "ends before", "get_weather"),
    "without a last brace, cut off": (f"<tool_call>{PARIS[:-1]}", "ends before", "get_weather"),
    "no last quote": ('<tool_call>{"name": "GetWeather", "args": {"a": "P}}</tool_call>', "ends before", "get_weather"),
    "no name": (tagged({"arguments": {}}), "no name", ""),
    "no object": ("<tool_call>[1]</tool_call>", "no name", ""),
    "arguments in a list": (tagged({"name": "get_weather", "arguments": ["Paris"]}), "not a JSON", "get_weather"),
    "arguments in prose": (tagged({"name": "get_weather", "arguments": "Paris"}), "broken", "get_weather"),
    "not a number": ('<tool_call>{"name": "list-files", "arguments": {"n": NaN}}</tool_call>', "NaN", "list-files"),
    "in a fence": (f"{FENCE}tool_call\nget_weather\n{FENCE}", "broken", ""),
    "words in braces": ("<tool_call>{JSON}</tool_call>", "broken", ""),
    "letters that are longer in lower case": ("<tool_call>{\u0130\u0130}</tool_call>", "broken", ""),
    "nested too deeply": (f"<tool_call>{'[' * 150}{']' * 150}</tool_call>", "levels deep", ""),
}  # fmt: skip

BROKEN = {
    "no closer": '<tool_call>{"name": "get_weather", \n',
    "a closer": "<tool_call>{JSON}</tool_call>\n",
    "a quote too many": '<tool_call>{"name": "list-files", "arguments": {"q": "a"b"}}</tool_call>\n',
    "two quotes too many": '<tool_call>{"name": "x"", "a": "b"c"}</tool_call>',
    "escaped": "<tool\\_call>\\{'name",
    "in a fence": f"{FENCE}tool_call\nget_weather\n",
    "a closer that is none": "<tool_call>{</tool_result> `` &lt; \\ ",
}

REPLIES = [*(reply for reply, _ in CALLS.values()), *TEXTS.values(), *(reply for reply, _, _ in INVALID.values())]
REPLIES += [broken + TAGGED for broken in BROKEN.values()]


@pytest.mark.parametrize(("reply", "pieces"), CALLS.values(), ids=CALLS)
def test_a_call_is_read_in_every_form(reply: str, pieces: list[Piece]) -> None:
    """Each way in which models write calls gives the same calls, without the whitespace and the text after them."""
    assert read(reply) == pieces


@pytest.mark.parametrize("reply", TEXTS.values(), ids=TEXTS)
def test_a_reply_without_calls_comes_through_unchanged(reply: str) -> None:
    """What is not surely a call stays text, to the last blank."""
    assert read(reply) == ([reply] if reply else [])


@pytest.mark.parametrize(("reply", "reason", "name"), INVALID.values(), ids=INVALID)
def test_what_was_meant_as_a_call_and_is_none_says_why(reply: str, reason: str, name: str) -> None:
    """A faulty call keeps its text from the opener on, the reason, and the name where it can be read."""
    (found,) = read(reply)
    assert isinstance(found, InvalidCall)
    assert (found.text, found.name) == (reply, name)
    assert reason in found.reason


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_call_takes_no_other_with_it(broken: str) -> None:
    """The next tag that opens a call ends what is broken before it."""
    invalid, *calls = read(broken + TAGGED + TAGGED)
    assert isinstance(invalid, InvalidCall)
    assert invalid.text == broken.removesuffix("\n") or invalid.text == broken
    assert calls == [CALL, CALL]


def test_broken_json_is_known_as_such_while_it_comes() -> None:
    """What JSON has in strings only ends the wait for the end of a value."""
    parser = CallParser(BOX)
    (invalid,) = parser.feed("<tool_call>{a</tool_call>")
    assert isinstance(invalid, InvalidCall)
    assert parser.feed(f"{TAGGED}") == [CALL]


@pytest.mark.parametrize(
    "reply", ['{"city": "Paris"}', f'{FENCE}json\n{{"city": "Paris"}}\n{FENCE}', tagged({"city": "Paris"})]
)
def test_the_arguments_of_the_one_tool_that_must_be_called_are_a_call(reply: str) -> None:
    """Small models answer so; where another tool or none may be called, it is not known what they mean."""
    box = Toolbox(tools=BOX.tools, only="get_weather")
    assert read(reply, box=box) == [CALL]
    assert CALL not in read(reply, box=Toolbox(tools=BOX.tools, required=True))


def parts_of(reply: str, sizes: list[int]) -> list[str]:
    """The reply in parts of these sizes, again and again."""
    parts: list[str] = []
    position = 0
    while position < len(reply):
        size = sizes[len(parts) % len(sizes)]
        parts.append(reply[position : position + size])
        position += size
    return parts


@pytest.mark.parametrize("size", [1, 3, 8])
def test_the_pieces_are_the_same_in_parts_of_any_size(size: int) -> None:
    """Where the service cuts its stream changes nothing."""
    for reply in REPLIES:
        assert (reply, read(*parts_of(reply, [size]))) == (reply, read(reply))


SNIPPETS = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<tool_", "call>", "&lt;tool_call&gt;", "&lt;/tool_call&gt;", "<tool_result>"),
        *(
            "\\<tool\\_call\\>",
            "\\</tool\\_call\\>",
            "```",
            "```json\n",
            "```tool_call\n",
            "```python\n",
            "\n```\n",
            "``",
        ),
        *("`", "\n", " ", "{", "}", "[", "]", '"', "\\", ",", "<", "&", "text", PARIS, '{"name"', '{"foo": ', "'"),
        *("<tool_calls>", "</tool_calls>", '<tool_call id="1">', "<tool_result name=", "```xml\n", "\n<"),
        *('"</tool_call>"', '{"name": "x"}', '{"name": "list-files"}', "\u0130", "\u201c", " " * 600),
    ],
)


@given(st.lists(SNIPPETS, max_size=9).map("".join), st.lists(st.integers(1, 12), min_size=1), st.booleans())
def test_the_pieces_are_the_same_however_the_reply_is_cut(reply: str, sizes: list[int], parallel: bool) -> None:  # noqa: FBT001
    """Any mixture of signs gives pieces and no error, and the same ones in any parts."""
    box = Toolbox(tools=BOX.tools, parallel=parallel)
    assert read(*parts_of(reply, sizes), box=box) == read(reply, box=box)


@settings(max_examples=50)
@given(st.lists(SNIPPETS.filter(lambda part: "tool" not in part), max_size=9).map("".join))
def test_without_tools_untagged_text_is_never_lost(reply: str) -> None:
    """Where nothing can be called and no tag is written, the reply comes through as it is."""
    assert "".join(map(str, read(reply, box=Toolbox()))) == reply


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(), st.dictionaries(st.text(), st.text() | st.lists(st.integers()))), min_size=1))
def test_calls_are_read_as_they_were_meant(meant: list[tuple[str, dict[str, Any]]]) -> None:
    """Any name that is not empty and any arguments pass through the tags unchanged."""
    calls = [Call(f"x{name}", arguments) for name, arguments in meant]
    reply = "\n".join(tagged({"name": call.name, "arguments": call.arguments}) for call in calls)
    assert read(reply, box=Toolbox()) == calls


def test_text_is_given_as_soon_as_it_can_be_no_call() -> None:
    """Only what may be an opener, and the whitespace before one, waits for more."""
    parser = CallParser(BOX)
    assert parser.feed("Hello") == ["Hello"]
    assert parser.feed(" there \n") == [" there"]
    assert parser.feed("<tool") == []
    assert parser.feed("box>") == [" \n<toolbox>"]
    assert parser.feed("``") == []
    assert parser.feed("`py") == []
    assert parser.feed("thon\n") == ["```python"]
    assert parser.feed("x = {") == ["\nx = {"]


@pytest.mark.parametrize("opening", ["", "```json\n"])
def test_other_json_is_given_at_its_first_key(opening: str) -> None:
    """What may be a call is held no longer than to the first key that no call has."""
    parser = CallParser(BOX)
    assert parser.feed(opening + '{"cit') == []
    assert "".join(map(str, parser.feed('y": "Pa'))) == opening + '{"city": "Pa'
    assert parser.feed('ris"') == ['ris"']


@pytest.mark.parametrize("after", ["text", "<tool_result>", f"{FENCE}json\n[1]\n{FENCE}"])
def test_a_reply_is_done_when_something_else_follows_a_call(after: str) -> None:
    """Then the model may be stopped; what is still fed is dropped."""
    parser = CallParser(BOX)
    assert (parser.feed(TAGGED + "\n"), parser.done) == ([CALL], False)
    assert (parser.feed(after), parser.done) == ([], True)
    assert parser.feed(TAGGED) == []
    assert parser.close() == []


def test_an_invented_result_ends_a_reply_without_calls() -> None:
    """Nobody but the caller may write results, so nothing after one can be trusted."""
    parser = CallParser(BOX)
    assert (parser.feed("So:\n<tool_result name"), parser.done) == (["So:"], False)
    assert (parser.feed("="), parser.done) == ([], True)
    assert parser.close() == []


def test_one_call_at_a_time_is_one_call(caplog: pytest.LogCaptureFixture) -> None:
    """Without parallel calls the first call ends the reply; others in its block are dropped with a warning."""
    box = Toolbox(tools=BOX.tools, parallel=False)
    parser = CallParser(box)
    assert parser.feed(TAGGED) == [CALL]
    assert parser.done
    assert parser.feed(TAGGED) == []
    assert not caplog.records
    assert read(f"<tool_call>[{PARIS}, {ROME}]</tool_call>", box=box) == [CALL]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_strict_arguments_must_fit() -> None:
    """What does not fit the schema of its tool is invalid; unknown tools have none."""
    box = Toolbox(tools=tuple(replace(tool, check=SchemaCheck(tool.parameters)) for tool in BOX.tools))
    assert read(TAGGED, box=box) == [CALL]
    assert read(tagged({"name": "x"}), box=box) == [Call("x")]
    (found,) = read(reply := tagged({"name": "get_weather", "arguments": {"city": 1}}), box=box)
    assert isinstance(found, InvalidCall)
    assert (found.text, found.name) == (reply, "get_weather")
    assert "arguments['city']" in found.reason


def test_names_that_are_alike_must_be_written_exactly() -> None:
    """Another spelling is corrected only where it can mean one tool."""
    box = Toolbox(tools=(Tool("get_it"), Tool("get-it")))
    assert read(tagged({"name": "get-it"}), box=box) == [Call("get-it")]
    assert read(tagged({"name": "getit"}), box=box) == [Call("getit")]


HOSTILE = [
    *("{", "[", "`", "```\n", "```json\n", '```json\n{"x"', '{"name":', '{"name": "list-files"}', '"', "\\", "<", "&"),
    *(" ", "<tool_call>", "<tool_call></tool_call>", TAGGED, '<tool_call>"', "\u0130<tool_call>{", "&lt;tool_call&gt;"),
    *('{"name": [```json\n', "[{},", "</tool_call>", "<tool_call>\n", "<tool_calls>", '<tool_call>{"</tool_call>'),
    *("<tool_call>{<", "<tool_call a", "\n ", "```xml\n<tool_call>{}", "`<tool_call>[", "\n<tool_result a"),
]


@pytest.mark.parametrize("size", [16, 1_000_000])
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=() if at % 3 == 0 else pytest.mark.system) for at, part in enumerate(HOSTILE)]
)
def test_hostile_replies_take_linear_steps(part: str, size: int) -> None:
    """Eight times the text takes about eight times the steps, not sixty-four, in parts of any size.

    Both texts are longer than the whitespace that is held back, which takes fewer steps than any other text.
    """
    assert steps_for(BOX, part, 16_000, size) < 12 * steps_for(BOX, part, 2_000, size)


@pytest.mark.parametrize("inside", ['{"name": "', '{"name": "a\\', "{oops ", "<", '"'])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_call_that_is_too_long_ends_the_reply(monkeypatch: pytest.MonkeyPatch, inside: str, step: int) -> None:
    """It is an invalid call, cut short, wherever it is seen; what follows is dropped."""
    monkeypatch.setattr(blocks, "MAX_CALL_CHARACTERS", 300)
    reply = f"Wait. <tool_call>{{{inside}{'x' * 1000}"
    text, call = read(*(reply[at : at + step] for at in range(0, len(reply), step)))
    assert text == "Wait."
    assert isinstance(call, InvalidCall)
    assert call.text == f"<tool_call>{{{inside}{'x' * 1000}"[: len("<tool_call>") + 200] + "..."
    assert call.reason == "The tool call has over 300 characters: write a shorter one."


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_json_that_is_too_long_for_a_call_is_text(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """JSON without tags is not a call if it is longer than one may be, and is not held back."""
    monkeypatch.setattr(blocks, "MAX_CALL_CHARACTERS", 300)
    long = json.dumps({"name": "get_weather", "arguments": {"city": "x" * 1000}})
    for reply in (long, f"{FENCE}json\n{long}\n{FENCE}"):
        pieces = read(*(reply[at : at + step] for at in range(0, len(reply), step)))
        assert pieces == [reply]


SCANNED = {
    "an object": ('{"a": [1, {}]}', "", 1),
    "several": (" {} , [1]{}\n", "", 3),
    "a closer after one": ("{}} ]", "", 1),
    "prose": ("text", "text", 0),
    "a closer before one": ("}", "}", 0),
    "prose after one": ('{"a": 1}\nand {}', "and {}", 1),
    "a scalar after one": ("[1] 2", "2", 1),
    "brackets in strings": (r'["]\"]", "\\"] x', "x", 1),
}


@pytest.mark.parametrize(("text", "left", "values"), SCANNED.values(), ids=SCANNED)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_scan_ends_where_something_else_begins(text: str, left: str, values: int, size: int) -> None:
    """Objects and lists are followed to their ends, in parts of any size."""
    scanner = Scanner()
    at = 0
    while at < len(text) and (read := scanner.feed(text[at : at + size])):
        at += read
    assert text[at:] == left
    assert scanner.values == values
    assert not scanner.open


@pytest.mark.parametrize("text", ["{", '["a', '{"a": "\\', "[{}"])
def test_what_has_not_ended_is_open(text: str) -> None:
    """A value counts when its last bracket has come, not before."""
    scanner = Scanner()
    assert scanner.feed(text) == len(text)
    assert (scanner.open, scanner.values) == (True, 0)


@pytest.mark.parametrize("sign", ["<", "`", "\\"])
def test_a_wary_scan_ends_where_no_json_can_be(sign: str) -> None:
    """Within a value, what JSON has in strings only shows that it is broken."""
    text = f'{{"{sign * 2}": '
    scanner = Scanner("<`\\")
    assert scanner.feed(text + sign + "}") == len(text)
    assert (scanner.open, scanner.values) == (True, 0)
    assert Scanner().feed(text + sign + "}") == len(text) + 2
