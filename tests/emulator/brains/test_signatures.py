"""Signatures of tools, read from lines of a prompt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.brains.signatures import read_signature
from bing_llm.tools.calls import Tool
from bing_llm.tools.schemas import compact
from bing_llm.tools.signatures import render_tool

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    """The schema of an object."""
    return {"type": "object", "properties": properties, "required": list(required)}


@pytest.mark.parametrize(
    ("line", "name", "parameters"),
    [
        ("clock()", "clock", schema()),
        ("clock(): Tells the time.", "clock", schema()),
        ("clock()  # Tells the time.", "clock", schema()),
        ("add(a: int, b: float)", "add", schema("a", "b", a=INTEGER, b={"type": "number"})),
        ("find(q: string, n?: integer)", "find", schema("q", q=STRING, n=INTEGER)),
        ("find(n: integer = 5 /* how many */)", "find", schema(n={**INTEGER, "default": 5, "description": "how many"})),
        ('paint(c: "red" | "blue")', "paint", schema("c", c={"enum": ["red", "blue"]})),
        ("paint(c: string | null)", "paint", schema("c", c={"anyOf": [STRING, {"type": "null"}]})),
        ("tag(names: string[])", "tag", schema("names", names={"type": "array", "items": STRING})),
        (
            "tag(names: (string | null)[])",
            "tag",
            schema("names", names={"type": "array", "items": {"anyOf": [STRING, {"type": "null"}]}}),
        ),
        ("draw(at: {x: integer, y?: integer})", "draw", schema("at", at=schema("x", x=INTEGER, y=INTEGER))),
        ("मौसम(शहर: string, l·l: string)", "मौसम", schema("शहर", "l·l", शहर=STRING, l·l=STRING)),
        ("погода(город: string): Погода", "погода", schema("город", город=STRING)),
    ],
)
def test_a_signature_is_read(line: str, name: str, parameters: dict[str, Any]) -> None:
    """In the spelling of TypeScript, of JSON schemas or of Python."""
    assert read_signature(line) == (name, parameters)


@pytest.mark.parametrize(
    "line",
    ["", "Hello!", "print(x)", "f(a: )", "f(a: string", "f(a string)", "f(a: tuple)", "f() and more", "f" + "(" * 99],
)
def test_another_line_is_no_signature(line: str) -> None:
    """Code and prose are left alone."""
    assert read_signature(line) is None


@given(st.text())
def test_any_line_is_read_or_left_alone(line: str) -> None:
    """Nothing is raised."""
    read_signature(f"f({line}")


names = st.from_regex(r"[a-z_][a-z_0-9]{0,5}", fullmatch=True)
plain = st.sampled_from([STRING, INTEGER, {"type": "number"}, {"type": "boolean"}, {"enum": ["a", "b|c"]}])
schemas = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(
            lambda fields, count: schema(*list(fields)[:count], **fields),
            st.dictionaries(names, inner, min_size=1, max_size=3),
            st.integers(0, 3),
        ),
    ),
    max_leaves=5,
)


@given(names, st.dictionaries(names, schemas, max_size=3), st.text(max_size=20))
def test_what_the_adapters_write_is_read(name: str, properties: dict[str, Any], about: str) -> None:
    """The emulator shares no code with them; both mean the same schema."""
    parameters = schema(*properties, **properties)
    line = render_tool(Tool(name, about, parameters))
    assert read_signature(line) == (name, compact(parameters))
