"""JSON schemas in a prompt: compacted without a change of meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from bing_llm.tools.calls import JsonObject
from bing_llm.tools.escape import json_line

ROOT = "root"
"""The argument that holds a value that is not an object, as pydantic's `RootModel` has it."""

_MAX_DEPTH = 64  # nested levels; what is deeper stays as it is
_MAX_INLINED = 100  # references; definitions that use each other several times would double with each level

_Place: TypeAlias = tuple[str, str]  # the keyword that holds a definition, and its name

_DEFINITIONS = ("$defs", "definitions")
_OF_ONE = frozenset(
    (
        "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    )
)  # fmt: skip
_OF_LIST = frozenset(("allOf", "anyOf", "items", "oneOf", "prefixItems"))
_OF_NAMES = frozenset(("dependencies", "dependentSchemas", "patternProperties", "properties", *_DEFINITIONS))
# A schema with only these lists all properties, though it does not say so.
_PLAIN = frozenset((*_DEFINITIONS, "$schema", "description", "properties", "required", "title", "type"))
# What may stand beside the keywords of a definition without changing what they allow.
_NOTES = frozenset(("$comment", "default", "deprecated", "description", "examples", "readOnly", "writeOnly"))


def compact(schema: Mapping[str, object]) -> JsonObject:
    """The schema with its definitions in the places that refer to them, and without titles.

    ==================================  ================================================================================
    what                                what becomes of it
    ==================================  ================================================================================
    `$ref` into the schema itself       what it refers to; beside other keywords, both in one, or under `allOf` where
                                        they could change each other
    `$ref` that leads into itself       stays, and so does its definition
    `$ref` to elsewhere, or to nothing  stays
    `$defs`, `definitions`              go, but for those still referred to
    `title`                             goes; a property named title stays
    anything else                       stays, `const`, `default`, `enum` and `examples` untouched
    ==================================  ================================================================================

    At most 100 references are replaced, and none deeper than 64 levels: the rest stays as it is. The schema that was
    passed is not changed.

    Args:
        schema: A JSON schema of any draft.

    Raises:
        InvalidRequest: It cannot be written as JSON.
    """
    return _Compactor(json.loads(json_line(dict(schema)))).compact()


def arguments_schema(schema: Mapping[str, object]) -> JsonObject:
    """A schema whose keywords stand at its top, where they are looked for, also if that is a reference to a definition.

    pydantic writes a class that refers to itself as `{"$ref": "#/$defs/Node", "$defs": {...}}`.
    """
    top = dict(schema)
    for _ in range(_MAX_DEPTH):
        place = _place(top.get("$ref"))
        home = schema.get(place[0]) if place is not None else None
        definition = home.get(place[1]) if place is not None and isinstance(home, dict) else None
        if not isinstance(definition, dict):
            break
        top = {**definition, **{key: value for key, value in top.items() if key != "$ref"}}
    return top


def lists_all(schema: Mapping[str, object]) -> bool:
    """Whether a schema of arguments lists all parameters, though it may not say that there are no others."""
    return bool(schema.get("properties")) and schema.keys() <= _PLAIN


def root_schema(schema: Mapping[str, object]) -> JsonObject:
    """A schema of arguments for a value that is not an object: the one argument `root` holds it."""
    definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
    value = {key: part for key, part in schema.items() if key not in {*definitions, "title", "description"}}
    return {"type": "object", "properties": {ROOT: value}, "required": [ROOT], **definitions}


def types_of(schema: object) -> Iterator[str]:
    """The types that a schema names for a value, also in alternatives."""
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    yield from [kind] if isinstance(kind, str) else kind if isinstance(kind, list) else ()
    for key in ("anyOf", "oneOf"):
        parts = schema.get(key)
        for part in parts if isinstance(parts, list) else ():
            yield from types_of(part)


class _Compactor:
    """Makes one schema compact.

    Args:
        root: The whole, a tree of JSON values.
    """

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._left = _MAX_INLINED
        self._keeps_all = False

    def compact(self) -> JsonObject:
        """The root, with the definitions that it still needs."""
        short: JsonObject = self._schema({key: self._root[key] for key in self._root if key not in _DEFINITIONS}, 0)
        needed = [found for reference in _references(short) for found in self._meant(reference)]
        kept: dict[str, JsonObject] = {}
        while needed:
            home, name = needed.pop()
            if name in kept.get(home, {}):
                continue
            definition = self._schema(self._root[home][name], 1)
            kept.setdefault(home, {})[name] = definition
            needed.extend(found for reference in _references(definition) for found in self._meant(reference))
        return {**short, **kept}

    def _schema(self, node: object, depth: int) -> Any:
        if not isinstance(node, dict) or depth > _MAX_DEPTH:
            return node
        place = _place(node.get("$ref"))
        if place is None or not self._is_defined(place) or self._left <= 0 or self._leads_to_itself(place):
            return {key: self._value(key, value, depth) for key, value in node.items() if not _is_title(key, value)}
        self._left -= 1
        beside = self._schema({key: value for key, value in node.items() if key != "$ref"}, depth)
        return _both(self._schema(self._root[place[0]][place[1]], depth + 1), beside)

    def _value(self, key: str, value: object, depth: int) -> object:
        if key in _OF_NAMES and isinstance(value, dict):
            return {name: self._schema(part, depth + 1) for name, part in value.items()}
        if key in _OF_LIST and isinstance(value, list):
            return [self._schema(part, depth + 1) for part in value]
        return self._schema(value, depth + 1) if key in _OF_ONE else value

    def _is_defined(self, place: _Place) -> bool:
        definitions = self._root.get(place[0])
        return isinstance(definitions, dict) and place[1] in definitions

    def _leads_to_itself(self, place: _Place) -> bool:
        seen: set[_Place] = set()
        waiting = [place]
        while waiting:
            home, name = waiting.pop()
            for reference in _references(self._root[home][name]):
                found = _place(reference)
                if found == place:
                    return True
                if found is not None and found not in seen and self._is_defined(found):
                    seen.add(found)
                    waiting.append(found)
        return False

    def _meant(self, reference: str) -> list[_Place]:
        """The definitions that a reference which stays may need: all of them where it goes by another name."""
        if reference == "#" or reference.startswith("#/"):
            home, name = (*_steps(reference), "", "")[:2]
            return [(home, name)] if home in _DEFINITIONS and self._is_defined((home, name)) else []
        if self._keeps_all:  # once is enough, however many such references there are
            return []
        self._keeps_all = True
        homes = [home for home in _DEFINITIONS if isinstance(self._root.get(home), dict)]
        return [(home, name) for home in homes for name in self._root[home]]


def _place(reference: object) -> _Place | None:
    """The definition that is referred to as a whole."""
    steps = _steps(reference) if isinstance(reference, str) and reference.startswith("#/") else []
    return (steps[0], steps[1]) if len(steps) == 2 and steps[0] in _DEFINITIONS else None  # noqa: PLR2004 - as it says


def _steps(reference: str) -> list[str]:
    steps = unquote(reference).split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def _references(node: object) -> Iterator[str]:
    """Every reference in a tree, also where it may be only data: a definition too many does no harm."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from (part[key] for key in ("$ref", "$dynamicRef") if isinstance(part.get(key), str))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _is_title(key: str, value: object) -> bool:
    return key == "title" and isinstance(value, str)


def _both(definition: object, beside: JsonObject) -> object:
    if not beside:
        return definition
    if isinstance(definition, dict) and beside.keys() <= _NOTES - definition.keys():
        return {**definition, **beside}
    return {**beside, "allOf": [definition, *beside.get("allOf", [])]}
