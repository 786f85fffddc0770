"""A call made up from the schemas of the tools, to show how one is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bing_llm.tools.calls import Call, Tool
from bing_llm.tools.escaping import json_line
from bing_llm.tools.schemas import compact

__all__ = ["example_call"]

_MAX_CHARACTERS = 160  # of the arguments; the example goes with every request
_MAX_DEPTH = 4  # a deeper one would be too long anyway
_FORMATS = {
    "date": "2024-05-17",
    "date-time": "2024-05-17T12:00:00Z",
    "email": "ada@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com",
}


def example_call(tools: Sequence[Tool]) -> Call:
    """A call of the first tool whose arguments make a short example; without any such, of the first, without arguments.

    It has the arguments that are required, or else the first. Values are the schema's own (`const`, `enum`, `examples`,
    `default`) where it has some.

    Args:
        tools: One or more.
    """
    calls = [Call(tool.name, arguments) for tool in tools if (arguments := _arguments(tool))]
    short = (call for call in calls if len(json_line(call.arguments)) <= _MAX_CHARACTERS)
    return next(short, Call(tools[0].name))


def _arguments(tool: Tool) -> dict[str, Any]:
    value = _example(compact(tool.parameters), "", 0)
    return value if isinstance(value, dict) else {}


def _example(schema: Any, name: str, depth: int) -> Any:
    if not isinstance(schema, dict):
        schema = {}
    for value in _own_values(schema):
        return value
    for key in ("anyOf", "oneOf", "allOf"):
        for part in _list(schema.get(key)):
            return _example(part, name, depth + 1) if depth < _MAX_DEPTH else None
    return _made_up(schema, name, depth)


def _own_values(schema: dict[str, Any]) -> Iterator[Any]:
    if "const" in schema:
        yield schema["const"]
    yield from _list(schema.get("enum"))
    yield from _list(schema.get("examples"))
    if schema.get("default") is not None:
        yield schema["default"]


def _made_up(schema: dict[str, Any], name: str, depth: int) -> Any:
    kinds = _list(schema.get("type")) or [schema.get("type", "object" if "properties" in schema else "string")]
    match kinds[0]:
        case "integer" | "number":
            return next((schema[key] for key in ("minimum", "maximum") if key in schema), 1)
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return [_example(schema.get("items"), name, depth + 1)] if depth < _MAX_DEPTH else []
        case "object":
            return _object(schema, depth) if depth < _MAX_DEPTH else {}
        case _:
            return _text(schema, name)


def _object(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    names = [name for name in properties if name in _list(schema.get("required"))] or list(properties)[:1]
    return {name: _example(properties[name], name, depth + 1) for name in names}


def _text(schema: dict[str, Any], name: str) -> str:
    plain = f"some {name.replace('_', ' ') or 'text'}"
    return _FORMATS.get(str(schema.get("format")), plain)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
