"""Signatures of tools in a prompt, such as `name(city: string, days?: integer = 1 /* up to 14 */): What it does`.

Types may be those of TypeScript, of JSON schemas, or Python's plain ones.
"""

from __future__ import annotations

import json
import re
from typing import Any

Schema = dict[str, Any]

_NAME = re.compile(r"""\s*([^\s:?,;(){}\[\]|"'=/*<>.-]+)\s*""")
_DEFAULT = re.compile(r"\s*=\s*")
_COMMENT = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
_LIST = re.compile(r"\s*\[\]")
_TYPES = {
    "string": "string", "str": "string",
    "integer": "integer", "int": "integer",
    "number": "number", "float": "number",
    "boolean": "boolean", "bool": "boolean",
    "null": "null", "None": "null",
    "object": "object", "dict": "object",
    "array": "array", "list": "array",
}  # fmt: skip
_MAX_DEPTH = 16  # nested brackets


def read_signature(line: str) -> tuple[str, Schema] | None:
    """The name and the JSON schema of a signature that is a whole line; None for another line."""
    try:
        return _Reader(line).read()
    except ValueError:
        return None


class _Reader:
    """Reads one signature from left to right; a ValueError says that it is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> tuple[str, Schema]:
        name = self._name()
        if not self._takes("("):
            raise ValueError(name)
        schema = self._parameters(")")
        rest = self._text[self._at :].strip()
        if rest and not rest.startswith((":", "-", "#", "//")):
            raise ValueError(rest)
        return name, schema

    def _parameters(self, end: str) -> Schema:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        while not self._takes(end):
            name = self._name()
            optional = self._takes("?")
            if not self._takes(":"):
                raise ValueError(name)
            properties[name] = self._type()
            if found := _DEFAULT.match(self._text, self._at):
                optional = True
                properties[name]["default"] = self._json(found.end())
            if found := _COMMENT.match(self._text, self._at):
                self._at = found.end()
                properties[name]["description"] = found[1].strip()
            if not optional:
                required.append(name)
            if not self._takes(",") and not self._sees(end):
                raise ValueError(name)
        return {"type": "object", "properties": properties, "required": required}

    def _type(self) -> Schema:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(self._text)
        kinds = [self._single()]
        while self._takes("|"):
            kinds.append(self._single())
        self._depth -= 1
        if len(kinds) == 1:
            return kinds[0]
        if all(kind.keys() == {"const"} for kind in kinds):
            return {"enum": [kind["const"] for kind in kinds]}
        return {"anyOf": kinds}

    def _single(self) -> Schema:
        if self._takes("("):
            kind = self._type()
            if not self._takes(")"):
                raise ValueError(self._text)
        elif self._takes("{"):
            kind = self._parameters("}")
        else:
            kind = self._word()
        while found := _LIST.match(self._text, self._at):
            self._at = found.end()
            kind = {"type": "array", "items": kind}
        return kind

    def _word(self) -> Schema:
        found = _NAME.match(self._text, self._at)
        if found is not None and found[1] in _TYPES:
            self._at = found.end()
            return {"type": _TYPES[found[1]]}
        return {"const": self._json(self._at)}

    def _json(self, start: int) -> object:
        while self._text[start : start + 1].isspace():
            start += 1
        value, self._at = json.JSONDecoder().raw_decode(self._text, start)
        return value

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None or not found[1].isidentifier():  # more than `\w`: also the signs of vowels in Hindi
            raise ValueError(self._text)
        self._at = found.end()
        return found[1]

    def _takes(self, sign: str) -> bool:
        if seen := self._sees(sign):
            self._at = self._text.index(sign, self._at) + 1
        return seen

    def _sees(self, sign: str) -> bool:
        return self._text[self._at :].lstrip().startswith(sign)
