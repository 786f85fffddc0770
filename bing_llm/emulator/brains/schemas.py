"""Objects for JSON schemas, filled with nothing but what a prompt states.

A field is filled with what stands beside its name, or what the result of a tool has under its name: anything else would
be a guess, which a program that evaluates, routes or extracts would take for an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from bing_llm.emulator.brains.prompt import Schema, ToolResult

NO_MODEL = "This is the bing_llm emulator without a language model; only a real model can answer this."
"""The answer to whatever needs a model.

It has no digit, comma or colon, and no "yes", "no", "true" or "false", not even inside a word: nothing that a parser
could take for a verdict, a number or a choice.
"""

QUOTED = r"\"[^\"\n]+\"|“[^“”\n]+”|«[^«»\n]+»|`[^`\n]+`|(?<!\w)'[^'\n]+'(?!\w)"
NUMBER = r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?!\w)"

NUMERIC = frozenset(("integer", "number"))
_MAX_DEPTH = 8  # of nested values: a schema may contain itself
_MAX_REFERENCES = 32  # that lead to one another
# What may follow a stated value: "score: 1 if it is right" and "'yes' or 'no'" state nothing.
_ENDS = r"(?=\s*(?:[.!?;()\n]|$|,\s*(?![\s\"'`\d])|and\b\s*(?![\s\"'`\d])))"


class Unstated(Exception):
    """A value that is needed is not stated."""


class Stated:
    """What a text and the results of tools state.

    Args:
        text: The question; "" if nothing that it says is a statement, as where it asks for a verdict.
        results: What tools gave back since.
    """

    def __init__(self, text: str, results: Iterable[ToolResult] = ()) -> None:
        given = [result.text for result in results if not result.failed]
        self._text = "\n".join((text, *given))
        self._results = [_decoded(text) for text in given]

    def fill(self, schema: Schema) -> dict[str, object]:
        """An object that follows the schema.

        A required free-text field gets the line that says that there is no model, unless the prompt quotes a value
        beside the name of the field. If the result of a tool is a bare number, it fills the schema's only number field.

        Raises:
            Unstated: A required number, boolean or choice is not stated, or all fields are optional and none is stated.
        """
        whole = resolved(schema, schema)
        made = self._object(whole, schema, 0)
        if not made and properties_of(whole):
            raise Unstated
        return made

    def fill_partly(self, schema: Schema) -> dict[str, object]:
        """An object with only the stated values. If the schema requires more, validation fails, as it should."""
        made = {}
        for name, part, is_required in fields_of(schema):
            if is_required:
                try:
                    made[name] = self._value(part, name, schema, 1)
                except Unstated:
                    continue
        return made

    def value(self, name: str, field: Schema) -> object:
        """The value that stands beside the name, or that a result has under it; None where none does."""
        if alternatives_of(field):
            return None  # each is tried by itself
        for result in reversed(self._results):
            if isinstance(result, dict) and _fits(field, result.get(name)):
                return result[name]
        found = {_read(field, text) for text in _beside(name, field, self._text)}
        return found.pop() if len(found) == 1 and _fits(field, *found) else None

    def _object(self, schema: Schema, root: Schema, depth: int) -> dict[str, object]:
        made = {}
        fields = [(name, resolved(part, root), is_required) for name, part, is_required in fields_of(schema)]
        numbers = [name for name, field, is_required in fields if is_required and kind_of(field) in NUMERIC]
        for name, field, is_required in fields:
            bare = self._results[-1] if self._results and numbers == [name] and depth == 0 else None
            known = self.value(name, field)
            if known is None and _fits(field, bare) and kind_of(field) in NUMERIC:
                known = bare
            if known is not None:
                made[name] = known
            elif is_required:
                made[name] = self._value(field, name, root, depth + 1)
        return made

    def _value(self, part: object, name: str, root: Schema, depth: int) -> object:  # noqa: PLR0911 - one for each kind
        schema = resolved(part, root)
        if "const" in schema:
            return schema["const"]
        if (known := self.value(name, schema)) is not None:
            return known
        if options := alternatives_of(schema):
            return self._first(options, name, root, depth)
        match kind_of(schema):
            case _ if depth > _MAX_DEPTH:
                raise Unstated
            case "null":
                return None
            case "string" if "enum" not in schema and _fits(schema, NO_MODEL):
                return NO_MODEL
            case "object":
                return self._object(schema, root, depth + 1)
            case "array":
                return [self._value(schema.get("items"), name, root, depth + 1)] * max(1, schema.get("minItems", 1))
            case _:
                raise Unstated

    def _first(self, options: Sequence[Schema], name: str, root: Schema, depth: int) -> object:
        """The first alternative that can be filled; null comes last."""
        for option in sorted(options, key=lambda option: option.get("type") == "null"):
            try:
                return self._value(option, name, root, depth + 1)
            except Unstated:
                continue
        raise Unstated


def resolved(part: object, root: Schema) -> Schema:
    """The schema that a part of another stands for: `$ref` followed, `allOf` merged; {} for one of another form."""
    schema = part if isinstance(part, dict) else {}
    for _ in range(_MAX_REFERENCES):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        schema = {**_target(reference, root), **{key: value for key, value in schema.items() if key != "$ref"}}
    parts = schema.get("allOf")
    for one in parts if isinstance(parts, list) else ():
        schema = {**resolved(one, root), **{key: value for key, value in schema.items() if key != "allOf"}}
    return schema


def properties_of(schema: Schema) -> dict[str, object]:
    """The schemas of the properties by name."""
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def fields_of(schema: Schema) -> list[tuple[str, object, bool]]:
    """The properties: name, schema, and whether it is required."""
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    return [(name, part, name in names) for name, part in properties_of(schema).items()]


def alternatives_of(schema: Schema) -> list[Schema]:
    """The parts of `anyOf` or `oneOf`, or one schema for each of several types; empty for a schema of one kind."""
    parts = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(parts, list):
        return [part for part in parts if isinstance(part, dict)]
    types = schema.get("type")
    return [{**schema, "type": kind} for kind in types] if isinstance(types, list) else []


def kind_of(schema: Schema) -> str:
    """The type, or the first of several that is not null; text where the schema has none and is not an object's."""
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kinds, list):
        return next((kind for kind in kinds if kind != "null"), "null")
    return str(kinds)


def _target(reference: str, root: Schema) -> Schema:
    found: object = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _beside(name: str, field: Schema, text: str) -> list[str]:
    """What is stated of a name: `unit: metric`, "its name is 'Paris'", "21 degrees"."""
    spoken = r"[\s_-]*".join(map(re.escape, re.split(r"[_\s-]+", name)))
    kinds = {"boolean": "true|false|yes|no", "integer": NUMBER, "number": NUMBER, "string": QUOTED}
    value = kinds.get(kind_of(field), "")
    if choices := field.get("enum"):
        value = "|".join(re.escape(str(choice)) for choice in choices)
    if not spoken or not value:
        return []
    link = r"d?\s*" if value == QUOTED else r"\s*(?:is|are|=|:)\s*"  # "named 'Paris'"
    found = [m[1] for m in re.finditer(rf"(?i)\b{spoken}(?:\s*(?:is|=|:))?{link}({value}){_ENDS}", text)]
    if value == NUMBER:
        found += [m[1] for m in re.finditer(rf"(?i)({value})\s+{spoken}\b(?!\s*(?:if|or|to|for|when)\b)", text)]
    return found


def _read(field: Schema, text: str) -> object:
    """The value that a text writes."""
    if choices := field.get("enum"):
        return next(choice for choice in choices if str(choice).casefold() == text.casefold())
    match kind_of(field):
        case "boolean":
            return text.lower() in {"true", "yes"}
        case "integer" | "number":
            return as_number(float(text))
        case _:
            return text[1:-1]


def as_number(value: float) -> int | float:
    """A number as JSON writes it."""
    return int(value) if value == int(value) else value


def _fits(field: Schema, value: object) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether a value fits a field that is neither an object nor a list."""
    if choices := field.get("enum"):
        return value in choices
    match kind_of(field):
        case "integer" | "number" if isinstance(value, bool):
            return False
        case "integer":
            return isinstance(value, int) and _in_bounds(field, value)
        case "number":
            return isinstance(value, int | float) and _in_bounds(field, value)
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str) and _is_text_of(field, value)
        case _:
            return False


def _in_bounds(field: Schema, value: float) -> bool:
    return bool(field.get("minimum", value) <= value <= field.get("maximum", value))


def _is_text_of(field: Schema, text: str) -> bool:
    """Whether the schema allows this text. One with a format or a pattern allows what the pattern finds."""
    pattern = field.get("pattern")
    if not field.get("minLength", 0) <= len(text) <= field.get("maxLength", len(text)):
        return False
    try:
        return "format" not in field and (pattern is None or re.search(pattern, text) is not None)
    except re.error:
        return False


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
