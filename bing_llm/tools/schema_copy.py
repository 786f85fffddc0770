"""Objects that a model wraps in a copy of their schema: small models fill in the schema instead of an object."""

from __future__ import annotations

from bing_llm.tools.calls import JsonObject

SCHEMA_WORDS = frozenset(
    (
        *("$defs", "$id", "$schema", "additionalProperties", "definitions", "description", "name", "required"),
        *("strict", "title", "type"),
    )
)
"""What may stand beside `properties` in a copy of a schema."""

_OF_SCHEMAS = frozenset(("$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"))


def unwrap(value: JsonObject, schema: JsonObject) -> JsonObject:
    """The object in a copy of its schema, under `properties`; any other object as it is.

    It is unwrapped only if nothing else can be meant: all that stands beside it are words of schemas, the object has no
    property of its own with one of these names, its keys are properties, none that is required is missing, and no
    value is the schema of a property.

    Args:
        value: What the model wrote.
        schema: The JSON schema that it should fit.
    """
    properties, inner = schema.get("properties"), value.get("properties")
    if not isinstance(properties, dict) or not isinstance(inner, dict):
        return value
    beside = value.keys() - {"properties"}
    required = schema.get("required")
    missing = set(required if isinstance(required, list) else ()) - inner.keys()
    is_copy = beside <= SCHEMA_WORDS and not value.keys() & properties.keys() and (beside or inner)
    if not is_copy or missing or not inner.keys() <= properties.keys():
        return value
    return value if any(_is_schema(part, properties[key]) for key, part in inner.items()) else inner


def may_be_copy(key: str, schema: JsonObject, *, whole: bool) -> bool:
    """Whether an object whose first key begins so may be a copy of its schema.

    Args:
        key: The key, or what has come of it.
        schema: The JSON schema that the object should fit.
        whole: Whether all of the key has come.
    """
    properties = schema.get("properties")
    words = SCHEMA_WORDS.union(("properties",)).difference(properties if isinstance(properties, dict) else ())
    return isinstance(properties, dict) and (key in words if whole else any(word.startswith(key) for word in words))


def _is_schema(part: object, schema: object) -> bool:
    """Whether a value is a schema, where the property's own may not be an object that looks like one."""
    if part == schema:
        return True
    is_object = isinstance(schema, dict) and "properties" in schema
    return isinstance(part, dict) and not is_object and not _OF_SCHEMAS.isdisjoint(part)
