"""Tools as one line each: a signature where that says all that the schema says, else the schema as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bing_llm.tools.calls import JsonObject, Tool
from bing_llm.tools.escape import escape, json_line
from bing_llm.tools.schemas import compact

_MAX_DEPTH = 8  # nested objects and lists; a deeper signature is no easier to read than a schema
_NOTED = frozenset(("description", "default"))  # what a parameter shows beside its type
_LIMITS = frozenset(
    (
        "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "maximum", "maxItems", "maxLength", "minimum",
        "minItems", "minLength", "multipleOf", "pattern", "uniqueItems",
    )
)  # fmt: skip
_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "null": "null"}


def render_tool(tool: Tool) -> str:
    """A tool as one line: `get_weather(city: string, days?: integer = 1 /* up to 14 */): The weather of a city.`.

    Types are written as in TypeScript, which models know well, but for `integer`. Limits of a parameter follow its
    description. A tool whose schema says more (`allOf`, a reference to itself) is a JSON object with `name`,
    `description` and `parameters`. Signatures take half the characters of schemas.

    Raises:
        InvalidRequest: The schema cannot be written as JSON.
    """
    schema = compact(tool.parameters)
    parameters = _parameters(schema, 0)
    if parameters is None or not tool.name.isidentifier():
        known = {"name": tool.name, "description": tool.description, "parameters": schema}
        return json_line({key: value for key, value in known.items() if value or key != "description"})
    about = _one_line(" ".join(dict.fromkeys((tool.description, str(schema.get("description") or "")))))
    return f"{tool.name}({parameters})" + (f": {about}" if about else "")


def _parameters(schema: JsonObject, depth: int) -> str | None:
    """The parameters between the brackets of a signature; None if the schema says more than these can."""
    if not _is_plain_object(schema) or depth > _MAX_DEPTH:
        return None
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    written = [_parameter(name, part, depth, is_required=name in required) for name, part in properties.items()]
    known = [part for part in written if part is not None]
    return ", ".join(known) if len(known) == len(written) else None


def _is_plain_object(schema: JsonObject) -> bool:
    """Whether it has properties and nothing else; a schema without a type takes an object, as of tools."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return (
        schema.keys() <= {"$schema", "type", "properties", "required", "description", "additionalProperties"}
        and schema.get("type", "object") == "object"
        and schema.get("additionalProperties", False) is False
        and isinstance(properties, Mapping)
        and isinstance(required, list)
        and all(isinstance(name, str) and name in properties for name in required)
    )


def _parameter(name: str, schema: object, depth: int, *, is_required: bool) -> str | None:
    if not isinstance(schema, Mapping) or not name.isidentifier():
        return None
    limits = {key: value for key, value in schema.items() if key in _LIMITS}
    kind = _type({key: value for key, value in schema.items() if key not in limits}, depth)
    if kind is None:
        return None
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    if is_required:  # who reads ` = 1` takes the parameter for an optional one
        limits, default = {**default, **limits}, {}
    assigned = "".join(f" = {json_line(value)}" for value in default.values())
    described = _one_line(str(schema.get("description") or "")).replace("*/", "* /")
    # JSON is kept as it is, whatever blanks its texts have; `\\/` means `/` in it.
    noted = (f"{key}: {json_line(value)}".replace("*/", "*\\/") for key, value in limits.items())
    about = "; ".join(filter(None, (described, *noted)))
    return f"{name}{'' if is_required else '?'}: {kind}{assigned}" + (f" /* {about} */" if about else "")


def _type(schema: object, depth: int) -> str | None:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    if "properties" in schema:
        inner = _parameters({key: value for key, value in schema.items() if key != "default"}, depth + 1)
        return None if inner is None else f"{{{inner}}}"
    return _simple_type({key: value for key, value in schema.items() if key not in _NOTED}, depth)


def _part(schema: object, depth: int) -> str | None:
    """The type of an item or an alternative, which has no place for a description or a default."""
    has_more = isinstance(schema, Mapping) and not schema.keys().isdisjoint(_NOTED)
    return None if has_more else _type(schema, depth)


def _simple_type(schema: Mapping[str, Any], depth: int) -> str | None:
    """The type by one keyword; what stands beside it and says more leaves only the schema."""
    match schema:
        case {"const": value, **others} if others.keys() <= {"type"}:
            return _literals([value])
        case {"enum": [*values], **others} if others.keys() <= {"type"}:
            return _literals(values)
        case {"anyOf": [*parts], **others} if not others:
            kinds = [kind for part in parts if (kind := _part(part, depth + 1)) is not None]
            return " | ".join(kinds) if kinds and len(kinds) == len(parts) else None
        case {"type": "array", "items": items, **others} if not others:
            inner = _part(items, depth + 1)
            return None if inner is None else f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": str(name), **others} if not others:
            return _TYPES.get(name)
        case _:
            return None


def _literals(values: Sequence[object]) -> str | None:
    """The values as alternatives; not lists and objects, which would read as types."""
    is_plain = bool(values) and not any(isinstance(value, list | dict) for value in values)
    return " | ".join(map(json_line, values)) if is_plain else None


def _one_line(text: str) -> str:
    """Foreign text, which can neither end its line nor open a block."""
    return " ".join(escape(text.encode("utf-8", "replace").decode()).split())
