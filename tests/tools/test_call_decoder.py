"""The calls in the JSON that a model wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bing_llm.tools.call_decoder import CallDecoder
from bing_llm.tools.call_formats import ARGUMENT_KEYS, LABEL_KEYS, LIST_KEYS, NESTING_KEYS
from bing_llm.tools.calls import Call, InvalidCall, JsonObject, SchemaCheck, Tool, Toolbox

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


DELETE = Tool(
    "delete_files",
    parameters={
        "type": "object",
        "properties": {"folder": {"type": "string"}, "older_than_days": {"type": "integer"}},
    },
)
RUN = Tool(
    "run",
    parameters={
        "type": "object",
        "properties": {"input": {"type": "string"}, "id": {"type": "integer"}, "type": {"type": "string"}},
        "required": ["input"],
    },
)
FULL = CallDecoder(Toolbox(tools=(DELETE, RUN, Tool("list"))))
OLD = {"folder": "old", "older_than_days": 30}
DELETE_OLD = Call("delete_files", OLD)

ARGUMENTS: dict[str, tuple[Any, list[Call]]] = {
    "beside the name": ({"name": "delete_files", **OLD}, [DELETE_OLD]),
    "before the name": ({**OLD, "name": "delete_files"}, [DELETE_OLD]),
    "beside null": ({"name": "delete_files", "arguments": None, **OLD}, [DELETE_OLD]),
    "beside an empty object": ({"name": "delete_files", "arguments": {}, **OLD}, [DELETE_OLD]),
    "beside an empty string": ({"name": "delete_files", "arguments": "", **OLD}, [DELETE_OLD]),
    "beside labels": ({"type": "function", "id": "call_1", "name": "delete_files", **OLD}, [DELETE_OLD]),
    **{f"in {key}": ({"name": "delete_files", key: OLD}, [DELETE_OLD]) for key in ARGUMENT_KEYS},
    "in a string": ({"name": "delete_files", "arguments": json.dumps(OLD)}, [DELETE_OLD]),
    "in one key of two": ({"name": "delete_files", "arguments": {}, "parameters": OLD}, [DELETE_OLD]),
    "twice the same": ({"name": "delete_files", "arguments": OLD, "parameters": OLD}, [DELETE_OLD]),
    "under the name of the tool": ({"delete_files": OLD}, [DELETE_OLD]),
    "none under the name of the tool": ({"list": None}, [Call("list")]),
    "none": ({"name": "delete_files"}, [Call("delete_files")]),
    **{f"nested in {key}": ({key: {"name": "delete_files", "arguments": OLD}}, [DELETE_OLD]) for key in NESTING_KEYS},
    "around a nested name": ({"function": {"name": "delete_files"}, "arguments": OLD}, [DELETE_OLD]),
    "around a nested name, beside it": ({"function": {"name": "delete_files"}, **OLD}, [DELETE_OLD]),
    **{f"listed in {key}": ({key: [{"name": "delete_files", "args": OLD}] * 2}, [DELETE_OLD] * 2) for key in LIST_KEYS},
    "a message of OpenAI": (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "delete_files", "arguments": json.dumps(OLD)}}
            ],
        },
        [DELETE_OLD],
    ),
    "several at once, as OpenAI's models write them": (
        {
            "name": "multi_tool_use.parallel",
            "arguments": {
                "tool_uses": [
                    {"recipient_name": "functions.delete_files", "parameters": OLD},
                    {"recipient_name": "functions.list", "parameters": {}},
                ]
            },
        },
        [DELETE_OLD, Call("list")],
    ),
    "a parameter with the name of such a key": ({"name": "run", "input": "ls"}, [Call("run", {"input": "ls"})]),
    "and another": ({"name": "run", "input": "ls", "id": 7}, [Call("run", {"input": "ls", "id": 7})]),
    "an object in it": ({"name": "run", "input": {"input": "ls"}}, [Call("run", {"input": "ls"})]),
    "a parameter that is named like a label": (
        {"name": "run", "type": "shell", "input": "ls"},
        [Call("run", {"type": "shell", "input": "ls"})],
    ),
    "a label that is one": (
        {"type": "function", "id": "call_1", "name": "run", "arguments": {"input": "ls"}},
        [Call("run", {"input": "ls"})],
    ),
    "a prefix": ({"name": "functions.delete_files", "arguments": OLD}, [DELETE_OLD]),
    "a prefix and a count, as Kimi writes them": ({"name": "functions.delete_files:0", "arguments": OLD}, [DELETE_OLD]),
}  # fmt: skip

LOST = {
    "beside the arguments": ({"name": "delete_files", "arguments": {"folder": "old"}, "older_than_days": 30}, "beside"),
    "beside the arguments, of no parameter": ({"name": "delete_files", "arguments": OLD, "why": "old"}, "beside"),
    "not all are parameters": ({"name": "delete_files", "folder": "old", "days": 30}, '"days" is not a parameter'),
    "a key that holds no arguments": ({"name": "delete_files", "options": OLD}, '"options" is not a parameter'),
    "a tool without parameters": ({"name": "list", "folder": "old"}, "it has none"),
    "an unknown tool": ({"name": "wipe", "folder": "old"}, "no tool 'wipe'"),
    "two keys": ({"name": "delete_files", "arguments": {"folder": "a"}, "args": {"folder": "b"}}, "twice"),
    "a list": ({"name": "delete_files", "arguments": [OLD]}, "not a JSON object"),
    "a number": ({"name": "delete_files", "arguments": 1}, "not a JSON object"),
    "a text": ({"name": "delete_files", "arguments": "old"}, "broken"),
    "another key that names no tool": ({"action": "x", "tool": "delete_files", "args": OLD}, '"action" stands beside'),
    "two names": ({"name": "run", "function": {"name": "delete_files", "arguments": OLD}}, '"name" stands in'),
    "a text beside a list": ({"content": "Wait.", "tool_calls": [{"name": "list"}]}, "no name"),
    "a label that may be an argument": ({"name": "run", "arguments": {"input": "ls"}, "id": 7}, '"id" stands beside'),
    "a type that says something": ({"name": "delete_files", "arguments": OLD, "type": "slow"}, "beside"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "calls"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_are_read_wherever_they_stand(value: Any, calls: list[Call]) -> None:
    """Under each key of the tables; where none of them holds any, all other keys are the arguments."""
    assert FULL.decode(json.dumps(value), raw="raw", closed=True) == calls


@pytest.mark.parametrize(("value", "says"), LOST.values(), ids=LOST)
def test_what_would_be_lost_makes_a_call_invalid(value: Any, says: str) -> None:
    """A tool does not run with a part of what the model wrote, and the reason says what is wrong."""
    (found,) = FULL.decode(json.dumps(value), raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert says in found.reason
    assert FULL.decode_bare(json.dumps(value), raw="raw") is None


@pytest.mark.parametrize("written", [{"dir": "/"}, {"folder": "/", "older_than": 30}, {"arguments": OLD}])
@pytest.mark.parametrize("is_strict", [True, False])
def test_arguments_that_a_tool_does_not_list_are_asked_again(written: JsonObject, *, is_strict: bool) -> None:
    """Frameworks drop them without a word: `delete_files` would run with its defaults. Who insists may be right."""
    tool = replace(DELETE, check=SchemaCheck(DELETE.parameters), strict=is_strict)
    call = json.dumps({"name": "delete_files", "arguments": written})
    (found,) = CallDecoder(Toolbox(tools=(tool,))).decode(call, raw="", closed=True)
    assert isinstance(found, InvalidCall)
    assert "is not a parameter of delete_files" in found.reason
    assert found.call == (None if is_strict else Call("delete_files", written))


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": True},
        {"patternProperties": {"^x": {}}},
        {"allOf": [{"properties": {"dir": {}}}]},
        {"properties": {}},
    ],
)
def test_a_tool_may_take_what_it_does_not_list(more: JsonObject) -> None:
    """Where its schema speaks of others, or lists nothing."""
    parameters = {**DELETE.parameters, **more}
    decoder = CallDecoder(Toolbox(tools=(Tool("wipe", parameters=parameters, check=SchemaCheck(parameters)),)))
    found = decoder.decode('{"name": "wipe", "arguments": {"dir": "/"}}', raw="", closed=True)
    assert found == [Call("wipe", {"dir": "/"})]


def test_a_key_with_two_values_makes_a_call_invalid() -> None:
    """JSON's readers keep the last one and drop the other without a word; the same value twice loses nothing."""
    (found,) = FULL.decode('{"name": "list", "arguments": {"a": 1, "a": 2}}', raw="raw", closed=True)
    assert isinstance(found, InvalidCall)
    assert found.reason == 'The JSON has two values under "a": write one.'
    assert FULL.decode('{"name": "list", "arguments": {"a": 1, "a": 1}}', raw="raw", closed=True) == [
        Call("list", {"a": 1})
    ]


KEYS = st.sampled_from(
    ["folder", "older_than_days", "input", "arguments", "args", "function", "type", "id", "why", "tool"]
)
PARTS = st.recursive(
    st.none() | st.integers() | st.sampled_from(["", "old", "list", "run", '{"folder": "x"}', "function"]),
    lambda part: st.dictionaries(KEYS, part, max_size=3) | st.lists(part, max_size=2),
    max_leaves=6,
)


def leaves(value: object) -> list[str]:
    """All plain values in a tree, as text; JSON in a string is read."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in leaves(part)]
    return [json.dumps(value)]


@given(st.sampled_from(["delete_files", "run", "list", "wipe"]), st.dictionaries(KEYS, PARTS, max_size=4))
def test_nothing_that_was_written_in_a_call_is_dropped(name: str, rest: dict[str, Any]) -> None:
    """Every value of a call is its name, in its arguments, a label, or empty; otherwise the call is invalid."""
    value = {"name": name, **rest}
    found = FULL.decode(json.dumps(value), raw="raw", closed=True)
    if any(isinstance(call, InvalidCall) for call in found):
        return
    calls = [call for call in found if isinstance(call, Call)]
    kept = [leaf for call in calls for leaf in (json.dumps(call.name), *leaves(call.arguments))]
    assert set(leaves(without_labels(value))) <= {*kept, "null", '""'}


def without_labels(value: dict[str, Any]) -> dict[str, Any]:
    """A call without what only labels it."""
    nested = value.get("function")
    whole = {**value, "function": without_labels(nested)} if isinstance(nested, dict) else value
    return {key: part for key, part in whole.items() if key not in LABEL_KEYS and (key, part) != ("type", "function")}
