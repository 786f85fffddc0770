"""Values for a JSON schema, taken from what a question holds."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

from bing_llm.emulator.obedience import numbers, strings
from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.schemas import Schema, alternatives, is_nullable, properties_of, resolved

__all__ = ["MISSING", "Filler"]

MISSING: Final = object()
"""There is nothing in the question for this value, and it need not be there."""


class Need(Enum):
    """How much a value is needed."""

    SIGN = auto()
    """Only where the question plainly gives it."""
    EVIDENCE = auto()
    """Where anything in the question can be it."""
    MUST = auto()
    """In any case; it is made up where nothing can be it."""


_MAX_LISTED = 20  # values of one list; more are no list that somebody wrote in a question
_MAX_DEPTH = 8  # of nested objects; a schema that contains itself would never end


class Filler:
    """Fills one schema.

    Args:
        root: The whole schema, for its references.
        evidence: The question.
        thorough: Whether optional properties are filled without a sign of them in the question: so for an answer, not
            for the arguments of a tool, whose defaults know better.
    """

    def __init__(self, root: Schema, evidence: Evidence, *, thorough: bool) -> None:
        self._root = root
        self._evidence = evidence
        self._thorough = thorough

    def object(self) -> dict[str, Any]:
        """An object that follows the root schema."""
        value = self._value(self._root, "", need=Need.MUST, depth=0)
        return value if isinstance(value, dict) else {}

    def _value(self, part: Any, name: str, *, need: Need, depth: int) -> Any:
        schema = resolved(part, self._root)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._choice(schema, schema["enum"], need=need)
        options = alternatives(schema)
        if options:
            return self._first_that_fits(schema, options, name, need=need, depth=depth)
        if depth > _MAX_DEPTH:
            return {} if need is Need.MUST else MISSING
        return self._typed(schema, name, need=need, depth=depth)

    def _typed(self, schema: Schema, name: str, *, need: Need, depth: int) -> Any:
        any_will_do = need is not Need.SIGN
        match _kind(schema):
            case "object":
                return self._object(schema, need=need, depth=depth)
            case "array":
                return self._array(schema, name, need=need, depth=depth)
            case "integer" | "number" as kind:
                found: Any = numbers.number(schema, name, self._evidence, whole=kind == "integer", needed=any_will_do)
            case "boolean":
                found = self._boolean(name)
            case "null":
                return None
            case _:
                found = strings.string(schema, name, self._evidence, needed=any_will_do)
        if found is not None:
            return found
        if need is not Need.MUST:
            return MISSING
        return schema["default"] if "default" in schema else _placeholder(schema, name, self._evidence)

    def _choice(self, schema: Schema, values: list[Any], *, need: Need) -> Any:
        said = [value for value in values if isinstance(value, str) and self._evidence.mentions(value)]
        if said:
            return max(said, key=len)
        return schema.get("default", values[0]) if need is Need.MUST else MISSING

    def _first_that_fits(self, schema: Schema, options: list[Schema], name: str, *, need: Need, depth: int) -> Any:
        for less in (Need.SIGN,) if need is Need.SIGN else (Need.SIGN, Need.EVIDENCE):
            for option in options:
                value = self._value(option, name, need=less, depth=depth + 1)
                if value is not MISSING:
                    return value
        if need is not Need.MUST:
            return MISSING
        if is_nullable(schema) and (not self._thorough or depth > _MAX_DEPTH):
            return None
        return self._value(options[0], name, need=Need.MUST, depth=depth + 1)

    def _boolean(self, name: str) -> bool | None:
        spoken = name.replace("_", " ")
        if not self._evidence.mentions(spoken):
            return None
        return not any(self._evidence.mentions(f"{word} {spoken}") for word in ("not", "no", "without", "non"))

    def _object(self, schema: Schema, *, need: Need, depth: int) -> Any:
        filled: dict[str, Any] = {}
        properties = list(properties_of(schema))
        for name, part, is_required in sorted(properties, key=lambda entry: not entry[2]):  # the required choose first
            wanted = is_required or (self._thorough and depth < _MAX_DEPTH)
            value = self._value(part, name, need=need if wanted else Need.SIGN, depth=depth + 1)
            if value is not MISSING:
                filled[name] = value
        if not filled and need is not Need.MUST:
            return MISSING
        for name, part, is_required in properties:
            if is_required and name not in filled:
                filled[name] = self._value(part, name, need=Need.MUST, depth=depth + 1)
        return {name: filled[name] for name, _, _ in properties if name in filled}

    def _array(self, schema: Schema, name: str, *, need: Need, depth: int) -> Any:
        if isinstance(fixed := schema.get("prefixItems"), list):
            must = need is Need.MUST
            return [self._value(part, name, need=need, depth=depth + 1) for part in fixed] if must else MISSING
        items = resolved(schema.get("items"), self._root)
        if isinstance(items.get("enum"), list):
            values = [value for value in items["enum"] if self._evidence.mentions(str(value))]
        else:
            values = self._listed(items, depth) if need is not Need.SIGN else []
        if not values and need is not Need.MUST:
            return MISSING
        values = values[: _whole(schema.get("maxItems"), len(values))]
        least = _whole(schema.get("minItems"), 0 if depth > _MAX_DEPTH or schema.get("maxItems") == 0 else 1)
        while len(values) < least:
            numbered = f"{name} {len(values) + 1}" if least > 1 else name
            values.append(self._value(items, numbered, need=Need.MUST, depth=depth + 1))
        return values

    def _listed(self, items: Schema, depth: int) -> list[Any]:
        """Every plain value that the question still holds: all quoted strings, names or numbers."""
        values: list[Any] = []
        while _kind(items) in {"string", "integer", "number"} and len(values) < _MAX_LISTED:
            value = self._value(items, "", need=Need.EVIDENCE, depth=depth + 1)
            if value is MISSING or value in values:
                break
            values.append(value)
        return values


def _placeholder(schema: Schema, name: str, evidence: Evidence) -> Any:
    match _kind(schema):
        case "integer" | "number" as kind:
            return numbers.smallest(schema, whole=kind == "integer")
        case "boolean":
            return False
        case _:
            return strings.placeholder(schema, name, evidence)


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    if "items" in schema:
        return "array"
    return "null" if is_nullable(schema) else "string"


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
