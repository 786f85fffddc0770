"""What is not right about a part of a script: where it is, what is allowed there, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

S = TypeVar("S")
T = TypeVar("T")

_NAMES: Final[Mapping[str, str]] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}
"""The types that msgspec names, in plain words."""

_QUOTABLE: Final = frozenset(("int", "float", "bool", "null"))


class Misfit(ValueError):
    """A part of a script that is not allowed: its path, such as `answers[0].text`, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path or 'the script'} {why}")
        self.path = path
        self.why = why


def within(path: str, make: Callable[[S], T], part: S) -> T:
    """Make something of a part.

    Raises:
        Misfit: That of `make`, with the path of the part before its own.
    """
    try:
        return make(part)
    except Misfit as exc:
        inner = f".{exc.path}" if exc.path and not exc.path.startswith("[") else exc.path
        raise Misfit(f"{path}{inner}", exc.why) from None


def converted(data: object, kind: type[T]) -> T:
    """The data as this type.

    Raises:
        Misfit: It is not of this type.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as exc:
        what, _, where = str(exc).partition(" - at `$")
        path = where.rstrip("`").removeprefix(".")
        raise Misfit(path, _why(what, path, kind)) from None


def named(name: str, known: Mapping[str, T], path: str) -> T:
    """What has this name.

    Raises:
        Misfit: Nothing has; the text lists the names.
    """
    if name not in known:
        raise Misfit(path, f"is {name!r}; it must be one of: {listed(known)}")
    return known[name]


def listed(names: Iterable[str]) -> str:
    """Names in one sentence."""
    return ", ".join(names)


def check_kept(given: object, kept: object, path: str = "") -> None:
    """Refuse keys that were lost on the way: types that may get more fields ignore what they do not know.

    Args:
        given: The data.
        kept: What was made of it, as data again.
        path: Where it is.

    Raises:
        Misfit: A key is not there any more.
    """
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            inner = f"{path}.{key}" if path else key
            if key not in kept:
                raise Misfit(inner, f"is not a key here; there may be: {listed(kept)}")
            check_kept(value, kept[key], inner)
    elif isinstance(given, list) and isinstance(kept, list | tuple):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            check_kept(one, other, f"{path}[{index}]")


def _why(what: str, path: str, kind: type) -> str:
    """What msgspec says, in plain words."""
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        keys = listed(key for member in _hints_at(kind, path) for key in getattr(member, "__struct_fields__", ()))
        return f"has the key {found[1]!r}; it may have: {keys}"
    if found := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"lacks the key {found[1]!r}"
    if found := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        wanted, got = found[1].split(" | "), found[2]
        quotes = "; put text into quotes" if "str" in wanted and got in _QUOTABLE else ""
        allowed = " or ".join(_NAMES.get(name, name) for name in wanted if name != "null")
        return f"must be {allowed}, and is {_NAMES.get(got, got)}{quotes}"
    if found := re.fullmatch(r"Expected `(\w+)` (.*)", what):
        return f"must be {_NAMES.get(found[1], found[1])} {found[2]}"
    choices = [get_args(hint) for hint in _hints_at(kind, path) if get_origin(hint) is Literal]
    return f"must be one of: {listed(choices[0])}" if choices else f"is not allowed: {what}"


def _hints_at(kind: Any, path: str) -> Iterator[Any]:
    """The types that a part may have: the members of a union each."""
    members = [kind]
    for step in re.findall(r"\[\d+\]|[^.\[]+", path):
        if step.startswith("["):
            inner = [get_args(member)[0] for member in members if get_origin(member) in {list, tuple}]
        else:
            structs = [member for member in members if hasattr(member, "__struct_fields__")]
            inner = [get_type_hints(struct)[step] for struct in structs if step in struct.__struct_fields__]
        members = [member for hint in inner for member in _members(hint)]
    yield from members


def _members(hint: Any) -> tuple[Any, ...]:
    return (hint,) if get_origin(hint) in {list, tuple, Literal, None} else get_args(hint)
