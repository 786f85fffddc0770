"""Functions that a text describes by their signatures: `def add(a: int, b: int = 1) -> int:`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from bing_llm.emulator.obedience.instructions import Tool
from bing_llm.emulator.obedience.schemas import Schema

__all__ = ["Signature", "signatures_in"]

_BEGIN = re.compile(
    r"^[ \t>*-]*(?:\d+\.[ \t]*)?`?(?P<marked>(?:async[ \t]+)?def[ \t]+)?(?P<name>[A-Za-z_]\w*)\(", re.MULTILINE
)
_BEHIND = re.compile(
    r"`?[ \t]*(?:->[ \t]*(?:[\w.]+(?:\[[^\n:]*\])?|'[^'\n]*'|\"[^\"\n]*\"))?`?[ \t]*(?P<colon>[:\u2013-])?"
)
_MARK = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|[()\[\]{},:=]")
_IDENTIFIER = re.compile(r"(\*{0,2})([A-Za-z_]\w*)")
_WRAPPED = re.compile(r"(?:[\w.]+\.)?(?:Optional|Annotated|Final|Required)\[(.*)\]", re.DOTALL)
_LITERAL = re.compile(r"(?:[\w.]+\.)?Literal\[(.*)\]", re.DOTALL)
_LISTS = {"list", "sequence", "iterable", "set", "tuple", "collection"}
_KINDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "dict": "object"}
_ANYTHING: Schema = {"anyOf": [{"type": "number"}, {"type": "string"}]}
_LONGEST = 2_000  # characters of a signature, or of its description
_MOST = 64  # functions


class Signature(msgspec.Struct, frozen=True):
    """One function.

    Attributes:
        tool: Its name, its description, and its parameters as a JSON schema.
        by_name: The parameters that a call must name.
    """

    tool: Tool
    by_name: frozenset[str] = frozenset()


def signatures_in(text: str) -> Iterator[Signature]:
    """The functions of a text, each at the beginning of a line."""
    for begin in islice(_BEGIN.finditer(text), _MOST):
        read = _parameters(text, begin.end())
        if read is None:
            continue
        parts, end = read
        behind = _BEHIND.match(text, end)
        # Without a mark, only what is said of it tells a signature from any words with brackets.
        is_function = begin["marked"] or (behind is not None and behind["colon"])
        if not is_function or behind is None:
            continue
        yield _signature(begin["name"], _described(text[behind.end() : behind.end() + _LONGEST]), parts)


def _signature(name: str, description: str, parts: list[str]) -> Signature:
    properties: dict[str, Any] = {}
    required: list[str] = []
    by_name: set[str] = set()
    named = False
    for part in parts:
        head, _, default = _cut(part, "=")
        stars, parameter, kind = _read(head)
        named |= stars == "*"
        if not parameter or stars:
            continue
        properties[parameter] = _schema(kind)
        if default:
            by_name.add(parameter)
        else:
            required.append(parameter)
        if named:
            by_name.add(parameter)
    schema = {"type": "object", "properties": properties, "required": required}
    return Signature(Tool(name, description, schema), frozenset(by_name))


def _described(behind: str) -> str:
    """The docstring behind a signature, else the rest of its paragraph, up to the next signature."""
    text = behind.strip()
    for quotes in ('"""', "'''"):
        if text.startswith(quotes):
            return text[3:].partition(quotes)[0].strip()
    following = _BEGIN.search(text)
    return (text[: following.start()] if following else text).partition("\n\n")[0].strip()


def _parameters(text: str, start: int) -> tuple[list[str], int] | None:
    """The parameters behind the bracket that opens before `start`, and where they end; None where these are none."""
    parts: list[str] = []
    depth, begin = 0, start
    for found in _MARK.finditer(text, start, start + _LONGEST):
        match found[0]:
            case "(" | "[" | "{":
                depth += 1
            case ")" if not depth:
                parts.append(text[begin : found.start()].strip())
                named = [part for part in parts if part]
                return (named, found.end()) if all(_is_parameter(part) for part in named) else None
            case ")" | "]" | "}":
                depth -= 1
            case "," if not depth:
                parts.append(text[begin : found.start()].strip())
                begin = found.end()
    return None


def _is_parameter(part: str) -> bool:
    head, _, _ = _cut(part, "=")
    name = _cut(head, ":")[0].strip()
    return name in {"*", "/"} or _IDENTIFIER.fullmatch(name) is not None


def _read(head: str) -> tuple[str, str, str]:
    """The stars before a parameter, its name, and its type."""
    name, _, kind = _cut(head, ":")
    found = _IDENTIFIER.fullmatch(name.strip())
    return (found[1], found[2], kind.strip()) if found else (name.strip(), "", "")


def _cut(part: str, sign: str) -> tuple[str, str, str]:
    """The part before and behind the first such sign outside brackets and quotes."""
    depth = 0
    for found in _MARK.finditer(part):
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth -= 1
        elif found[0] == sign and not depth:
            return part[: found.start()], sign, part[found.end() :]
    return part, "", ""


def _schema(kind: str) -> Schema:
    """The JSON schema of a type as Python writes it; one that is not known may be anything."""
    kind = kind.strip("'\" ")
    if wrapped := _WRAPPED.fullmatch(kind):
        kind = _cut(wrapped[1], ",")[0].strip("'\" ")
    if literal := _LITERAL.fullmatch(kind):
        return {"enum": [value.strip(" '\"") for value in literal[1].split(",")]}
    name, _, inner = kind.partition("|")[0].strip().partition("[")
    name = name.rpartition(".")[2].lower()
    if name in _LISTS:
        return {"type": "array", "items": _plain(inner.rstrip("] ").partition(",")[0])}
    return _plain(name)


def _plain(name: str) -> Schema:
    return {"type": _KINDS[name]} if name in _KINDS else dict(_ANYTHING)
