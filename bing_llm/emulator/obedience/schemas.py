"""JSON schemas with their references and combinations resolved, as far as filling them needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Schema", "alternatives", "is_nullable", "resolved"]

Schema = dict[str, Any]


def resolved(schema: Any, root: Schema) -> Schema:
    """The schema that this one stands for: `$ref` followed, `allOf` merged. A boolean schema is the empty one.

    Args:
        schema: Any part of a schema.
        root: The whole, where `#/$defs/...` leads to.
    """
    if not isinstance(schema, dict):
        return {}
    seen = 0
    while isinstance(reference := schema.get("$ref"), str) and seen < len(root) + 32:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_target(reference, root), **beside}
        seen += 1
    for part in _list(schema.get("allOf")):
        schema = _merged(resolved(part, root), {key: value for key, value in schema.items() if key != "allOf"})
    return dict(schema)


def alternatives(schema: Schema) -> list[Schema]:
    """What a value may be, null left out: the parts of `anyOf` or `oneOf`, or one for each type of a list of types."""
    parts = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
    if parts:
        shared = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}}
        found = [_merged(part, shared) for part in parts if isinstance(part, dict)]
        return [part for part in found if part.get("type") != "null"]
    types = schema.get("type")
    if isinstance(types, list):
        return [{**schema, "type": kind} for kind in types if kind != "null"]
    return []


def is_nullable(schema: Schema) -> bool:
    """Whether null is a value of it."""
    types = schema.get("type")
    parts = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
    return (
        types == "null"
        or (isinstance(types, list) and "null" in types)
        or any(isinstance(part, dict) and is_nullable(part) for part in parts)
        or schema.get("nullable") is True
    )


def properties_of(schema: Schema) -> Iterator[tuple[str, Any, bool]]:
    """Each property with its name, its schema, and whether it is required."""
    properties = schema.get("properties")
    required = _list(schema.get("required"))
    for name, part in properties.items() if isinstance(properties, dict) else ():
        yield name, part, name in required


def _target(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _merged(first: Schema, second: Schema) -> Schema:
    both = {**first, **second}
    for key in ("properties", "required"):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            both[key] = {**one, **other}
        elif isinstance(one, list) and isinstance(other, list):
            both[key] = [*one, *other]
    return both


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
