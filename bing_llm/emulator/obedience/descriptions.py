"""Tools that a text describes in words: a name, what the tool does, and a JSON schema or a signature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bing_llm.emulator.obedience.instructions import Tool, tool_of
from bing_llm.emulator.obedience.json_text import find_objects
from bing_llm.emulator.obedience.schemas import Schema
from bing_llm.emulator.obedience.signatures import signatures_in

__all__ = ["described_tools"]

_LABELS = r"(?:description|arg(?:ument)?s|parameters|(?:input )?schema|inputs?)"
_NAMED = re.compile(r"^\W*(tool|function|action)?[ _]?name\W{0,3}[:=]\W{0,5}([\w.-]+)", re.IGNORECASE | re.MULTILINE)
# A name at the beginning of a line, as a heading or in front of a colon or a dash, also with a signature's brackets.
_LEADING = re.compile(
    r"^[\s>#*`'\"-]{0,20}(?:\d+\.[ ]?)?[`*]*"
    rf"(?!(?:tool |function )?{_LABELS}\b)([a-z_][\w.-]*)"
    r"(?:\([^()\n]*\)(?:[ \t]*->[ \t]*[^\s:]+)?)?[`*]*[ \t]*(?:\n|[:\u2013-])",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(rf"\b(?:tool |function )?{_LABELS}\W{{0,3}}:", re.IGNORECASE)
_LONGEST = 2_000  # characters of a description


def described_tools(text: str) -> tuple[Tool, ...]:
    """The tools of a text, in their order: those with schemas; where there are none, those with signatures."""
    return tuple(_with_schemas(text)) or tuple(signature.tool for signature in signatures_in(text))


def _with_schemas(text: str) -> Iterator[Tool]:
    last = 0
    for found in find_objects(text):
        before, last = text[max(last, found.start - _LONGEST) : found.start], found.end
        tool = tool_of(found.value) or _named(before, _parameters(found.value))
        if tool is not None:
            yield tool


def _named(before: str, parameters: Schema | None) -> Tool | None:
    """The tool with these parameters that the words before them name."""
    if parameters is None:
        return None
    labelled = list(_NAMED.finditer(before))
    certain = [name for name in labelled if name[1]]  # a description may say "name:", too
    named = [*certain[-1:], *labelled[:1], *list(_LEADING.finditer(before))[-1:]]
    if not named:
        return None
    description = _LABEL.sub(" ", before[named[0].end() :])
    return Tool(named[0][named[0].lastindex or 0], " ".join(description.split()), parameters)


def _parameters(value: dict[str, Any]) -> Schema | None:
    """A schema of parameters; also one that is written as its properties alone. None for another object."""
    if value.get("type") == "object" or isinstance(value.get("properties"), dict):
        return value
    described = all(
        isinstance(part, dict) and part.keys() & {"type", "anyOf", "$ref", "enum"} for part in value.values()
    )
    return {"type": "object", "properties": value, "required": list(value)} if value and described else None
