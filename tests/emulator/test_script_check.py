"""How a part of a script that does not fit is reported."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from bing_llm.emulator.script_check import Misfit, check_kept, converted, named, within


class Leaf(msgspec.Struct, forbid_unknown_fields=True):
    """A part of `Tree`."""

    kind: Literal["a", "b"] = "a"
    size: Annotated[float, msgspec.Meta(ge=0, le=9)] = 0


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    """A shape with all that scripts have."""

    name: str
    leaves: list[str | Leaf] = []
    leaf: Leaf | None = None
    flag: bool = False
    count: int = 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "the script lacks the key 'name'"),
        ([], "the script must be a mapping, and is a list"),
        (None, "the script must be a mapping, and is empty"),
        ({"nam": "x"}, "the script has the key 'nam'; it may have: name, leaves, leaf, flag, count"),
        ({"name": 1}, "name must be text, and is a whole number; put text into quotes"),
        ({"name": "x", "leaves": "y"}, "leaves must be a list, and is text"),
        ({"name": "x", "leaves": ["y", 1.5]},
         "leaves[1] must be text or a mapping, and is a number; put text into quotes"),
        ({"name": "x", "leaves": ["y", {"z`\n": 1}]}, "leaves[1] has the key 'z`\\n'; it may have: kind, size"),
        ({"name": "x", "leaves": [{"kind": "c"}]}, "leaves[0].kind must be one of: a, b"),
        ({"name": "x", "leaf": {"kind": "c"}}, "leaf.kind must be one of: a, b"),
        ({"name": "x", "leaf": {"size": -1}}, "leaf.size must be a number >= 0.0"),
        ({"name": "x", "leaf": {"size": 10}}, "leaf.size must be a number <= 9.0"),
        ({"name": "x", "leaf": {"size": True}}, "leaf.size must be a number, and is true or false"),
        ({"name": "x", "leaf": {"size": "5"}}, "leaf.size must be a number, and is text"),
        ({"name": "x", "leaf": []}, "leaf must be a mapping, and is a list"),
        ({"name": "x", "count": 1.5}, "count must be a whole number, and is a number"),
        ({"name": "x", "flag": 1}, "flag must be true or false, and is a whole number"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what_is_allowed(data: object, said: str) -> None:
    """In words that need no Python."""
    with pytest.raises(Misfit) as caught:
        converted(data, Tree)
    assert str(caught.value) == said


def test_a_name_is_one_of_those_known() -> None:
    """Another one is refused with the list."""
    assert named("one", {"one": 1, "two": 2}, "number") == 1
    with pytest.raises(Misfit, match=r"^number is 'three'; it must be one of: one, two$"):
        named("three", {"one": 1, "two": 2}, "number")


@pytest.mark.parametrize(("inner", "outer"), [("", "a[0]"), ("b", "a[0].b"), ("[1].c", "a[0][1].c")])
def test_paths_are_joined(inner: str, outer: str) -> None:
    """The error of a part says where the part is."""

    def fail(part: str) -> None:
        raise Misfit(inner, f"is {part}")

    with pytest.raises(Misfit) as caught:
        within("a[0]", fail, "wrong")
    assert str(caught.value) == f"{outer} is wrong"


def test_lost_keys_are_refused() -> None:
    """However deep they are."""
    given: Any = {"a": [{"b": 1}, {"b": 1, "c": 2}]}
    check_kept(given, {"a": ({"b": 1, "d": 0}, {"b": 1, "c": 2})})
    with pytest.raises(Misfit, match=r"^a\[1\].c is not a key here; there may be: b, d$"):
        check_kept(given, {"a": ({"b": 1}, {"b": 1, "d": 0})})
