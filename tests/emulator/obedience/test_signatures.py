"""Functions described by their signatures."""

from __future__ import annotations

import inspect
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.signatures import Signature, signatures_in

ANYTHING = {"anyOf": [{"type": "number"}, {"type": "string"}]}


def find(name: str, *more: str, limit: Optional[int] = 3, kind: Literal["a", "b"], **rest: str) -> str:  # noqa: UP045
    """Find something."""
    return f"{name} {more} {limit} {kind} {rest}"


def properties(text: str) -> dict[str, Any]:
    """The parameters of the one function in a text."""
    (found,) = signatures_in(text)
    schema: dict[str, Any] = found.tool.parameters["properties"]
    return schema


def only(text: str) -> Signature:
    """The one function in a text."""
    (found,) = signatures_in(text)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "def add(a: int, b: int) -> int:",
        "async def add(a: int, b: int):",
        "add(a: int, b: int) -> int - Adds.",
        "add(a: int, b: int): adds",
        "- `add(a: 'int', b: 'int') -> 'int'`: adds",
        "1. def add(\n    a: int,\n    b: int,\n) -> dict[str, int]:",
    ],
)
def test_signatures_are_read_as_python_and_people_write_them(line: str) -> None:
    """With `def` or a description behind it, over several lines, in a list, with quoted types."""
    tool = only(f"You may call:\n{line}\n").tool
    assert tool.name == "add"
    whole = {"type": "integer"}
    assert tool.parameters == {"type": "object", "properties": {"a": whole, "b": whole}, "required": ["a", "b"]}


@pytest.mark.parametrize(
    "text", ["print(2 + 3)", "add(a, b)", "I call (them) so: f(x):", "def f(", "def f(2):", "f(a b):"]
)
def test_other_brackets_are_no_signatures(text: str) -> None:
    """Calls, prose and what does not end are none."""
    assert list(signatures_in(text)) == []


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("str | None", {"type": "string"}),
        ("typing.Optional[int]", {"type": "integer"}),
        ("Annotated[str, 'a city, or a town = place']", {"type": "string"}),
        ("Literal['metric', \"imperial\"]", {"enum": ["metric", "imperial"]}),
        ("list[str]", {"type": "array", "items": {"type": "string"}}),
        ("typing.Sequence", {"type": "array", "items": ANYTHING}),
        ("Dict[str, int]", {"type": "object"}),
        ("pathlib.Path", ANYTHING),
        ("", ANYTHING),
    ],
)
def test_types_are_schemas(kind: str, schema: dict[str, Any]) -> None:
    """What is not known may be anything."""
    assert properties(f"def f(x: {kind}):" if kind else "def f(x):") == {"x": schema}


def test_what_must_be_named_is_known() -> None:
    """Parameters with a default, and those behind a star, are named in a call; the others stand in their order."""
    found = only(f"def find{inspect.signature(find)!s}:")
    assert list(found.tool.parameters["properties"]) == ["name", "limit", "kind"]
    assert found.tool.parameters["required"] == ["name", "kind"]
    assert found.by_name == {"limit", "kind"}
    assert only("def f(a, /, b, *, c):").by_name == {"c"}


def test_a_description_ends_with_its_function() -> None:
    """It is the docstring, or what stands behind the signature up to the next one or an empty line."""
    text = '''def one(a):
  """
First line.

Second line.
  """
  ...

def two(b): ...
three(c) - The third.
four(d) - The fourth.

Rules for all of them.'''
    said = [found.tool.description for found in signatures_in(text)]
    assert said == ["First line.\n\nSecond line.", "...", "The third.", "The fourth."]


@given(st.text(alphabet="def (){}[]:,=*'\"-> \nabf1"))
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail."""
    assert all(isinstance(found, Signature) for found in signatures_in(text))


def test_long_texts_are_taken() -> None:
    """What only begins functions has none."""
    for piece in ("def f(", "f(a,\n", "f(a: (\n"):
        assert list(signatures_in(piece * 20_000)) == []
