"""JSON schemas made shorter."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bing_llm.errors import InvalidRequest
from bing_llm.tools.schemas import arguments_schema, compact, root_schema

STRING = {"type": "string"}
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "at": {"$ref": "#/$defs/Point"}}}
SHORT_NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "at": {"type": "integer"}}}
POINT = {"type": "integer", "title": "Point"}


def inlined(part: Any, **definitions: Any) -> Any:
    """What becomes of one property `x` beside definitions."""
    short = compact({"properties": {"x": part}, "$defs": definitions})
    assert short.keys() == {"properties"}
    return short["properties"]["x"]


def test_titles_go_and_properties_named_title_stay() -> None:
    """The keyword goes at every level, the property does not, nor does a title that is data."""
    assert compact(
        {
            "title": "Book",
            "type": "object",
            "properties": {
                "title": {"title": "Title", "type": "string"},
                "pages": {"type": "array", "items": {"title": "Page", "type": "integer"}},
            },
            "required": ["title"],
            "default": {"title": "Moby"},
            "examples": [{"title": "Ada"}],
            "enum": [{"title": "Moby"}],
            "const": {"title": "Moby"},
        }
    ) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "pages": {"type": "array", "items": {"type": "integer"}}},
        "required": ["title"],
        "default": {"title": "Moby"},
        "examples": [{"title": "Ada"}],
        "enum": [{"title": "Moby"}],
        "const": {"title": "Moby"},
    }


@pytest.mark.parametrize(
    "place",
    [
        {"items": POINT},
        {"items": [POINT]},
        {"prefixItems": [POINT]},
        {"additionalProperties": POINT},
        {"patternProperties": {"^x": POINT}},
        {"dependentSchemas": {"x": POINT}},
        {"dependencies": {"x": POINT, "y": ["x"]}},
        {"allOf": [POINT]},
        {"anyOf": [POINT, True]},
        {"oneOf": [POINT]},
        {"not": POINT},
        {"if": POINT, "then": POINT, "else": POINT},
        {"contains": POINT},
        {"propertyNames": POINT},
    ],
)
def test_schemas_are_found_wherever_they_stand(place: dict[str, Any]) -> None:
    """Titles go, and references are replaced, in every keyword that holds schemas."""
    bare = json.loads(json.dumps(place).replace(', "title": "Point"', ""))
    assert compact(place) == bare
    referring = json.loads(json.dumps(place).replace(json.dumps(POINT), '{"$ref": "#/$defs/P"}'))
    assert compact({**referring, "$defs": {"P": POINT}}) == bare


@pytest.mark.parametrize(
    ("part", "definitions", "expected"),
    [
        ({"$ref": "#/$defs/A"}, {"A": STRING}, STRING),
        ({"$ref": "#/$defs/A"}, {"A": {"$ref": "#/$defs/B"}, "B": POINT}, {"type": "integer"}),
        ({"$ref": "#/$defs/a~1b~0c%20d"}, {"a/b~c d": STRING}, STRING),
        ({"$ref": "#/$defs/A"}, {"A": True}, True),
        ({"$ref": "#/$defs/A", "title": "X"}, {"A": STRING}, STRING),
        ({"$ref": "#/$defs/A", "description": "d"}, {"A": STRING}, {"type": "string", "description": "d"}),
        (
            {"$ref": "#/$defs/A", "description": "here"},
            {"A": {**STRING, "description": "there"}},
            {"description": "here", "allOf": [{"type": "string", "description": "there"}]},
        ),
        ({"$ref": "#/$defs/A", "minLength": 2}, {"A": STRING}, {"minLength": 2, "allOf": [STRING]}),
        ({"$ref": "#/$defs/A", "allOf": [{"minLength": 2}]}, {"A": STRING}, {"allOf": [STRING, {"minLength": 2}]}),
    ],
)
def test_references_are_replaced(part: Any, definitions: dict[str, Any], expected: Any) -> None:
    """A reference becomes its definition; what stands beside it is kept, apart where both could change each other."""
    assert inlined(part, **definitions) == expected


def test_old_drafts_are_known() -> None:
    """`definitions` do as well as `$defs`, also both at once."""
    assert compact(
        {
            "anyOf": [{"$ref": "#/definitions/A"}, {"$ref": "#/$defs/A"}],
            "definitions": {"A": STRING},
            "$defs": {"A": POINT},
        }
    ) == {"anyOf": [STRING, {"type": "integer"}]}


def test_what_contains_itself_keeps_its_definition() -> None:
    """A recursive reference and its definition stay, itself made compact; other definitions go."""
    schema = {**NODE, "$defs": {"Node": NODE, "Point": POINT}}
    assert compact(schema) == {**SHORT_NODE, "$defs": {"Node": SHORT_NODE}}


def test_circles_of_definitions_are_kept_together() -> None:
    """Definitions that lead to each other all stay, in the keyword that they were in."""
    schema: dict[str, Any] = {
        "properties": {"a": {"$ref": "#/definitions/A"}, "b": {"$ref": "#/definitions/C"}},
        "definitions": {
            "A": {"items": {"$ref": "#/definitions/B"}},
            "B": {"items": {"$ref": "#/definitions/A"}},
            "C": {"items": {"$ref": "#/definitions/A"}, "title": "C"},
            "D": STRING,
        },
    }
    short = compact(schema)
    assert short["properties"] == {"a": {"$ref": "#/definitions/A"}, "b": {"items": {"$ref": "#/definitions/A"}}}
    assert short["definitions"] == {"A": schema["definitions"]["A"], "B": schema["definitions"]["B"]}


@pytest.mark.parametrize(
    "reference",
    [
        "#",
        "#/properties/y",
        "#/$defs/Gone",
        "#/components/schemas/A",
        "https://example.org/schema",
        "other.json#/$defs/A",
    ],
)
def test_references_elsewhere_stay(reference: str) -> None:
    """What is not a definition of the schema is left to whoever can resolve it."""
    short = compact({"properties": {"x": {"$ref": reference}, "y": STRING}})
    assert short == {"properties": {"x": {"$ref": reference}, "y": STRING}}


@pytest.mark.parametrize("reference", ["#/$defs/A/properties/a", "#by_name", "a.json"])
def test_definitions_that_may_still_be_needed_stay(reference: str) -> None:
    """A reference into a definition keeps it; one by another name than its place keeps them all."""
    definition = {"$anchor": "by_name", "$id": "a.json", "properties": {"a": STRING}}
    schema = {"properties": {"x": {"$ref": reference}}, "$defs": {"A": definition}}
    assert compact(schema) == schema


def test_definitions_that_double_are_bounded() -> None:
    """Definitions that use each other twice would double with each level: only so many are replaced."""
    twice = {f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}, {"$ref": f"#/$defs/D{n + 1}"}]} for n in range(40)}
    schema = {"$ref": "#/$defs/D0", "$defs": {**twice, "D40": STRING}}
    assert len(json.dumps(compact(schema))) < 20_000


def test_deep_schemas_end() -> None:
    """Nesting beyond what is walked stays as it is; nesting that JSON cannot write is refused."""
    deep: dict[str, Any] = {"title": "T", "type": "object"}
    for _ in range(200):
        deep = {"properties": {"title": deep}}
    assert json.dumps(compact(deep)).count('"T"') == 1
    for _ in range(50_000):
        deep = {"not": deep}
    with pytest.raises(InvalidRequest, match="cannot be written"):
        compact(deep)


def test_the_schema_is_not_changed() -> None:
    """The caller's schema is not touched, and parts used twice are not shared with it."""
    schema = {"title": "T", "properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"title": "A", "enum": [[1]]}}}
    before = copy.deepcopy(schema)
    compact(schema)["properties"]["x"]["enum"][0].append(2)
    assert schema == before


def test_odd_schemas_are_left_alone() -> None:
    """Keywords with values of the wrong type, and unknown keywords, stay."""
    schema = {"properties": [], "anyOf": {}, "items": 3, "$ref": 7, "title": 5, "x-note": {"title": "N"}}
    assert compact(schema) == schema
    assert compact({"$ref": "#/$defs/A", "$defs": [1]}) == {"$ref": "#/$defs/A"}
    assert compact({}) == {}


# --- arguments --------------------------------------------------------------------------------------------------------

LINKED: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}


@pytest.mark.parametrize(
    ("schema", "top"),
    [
        ({"type": "object"}, {"type": "object"}),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": LINKED}}, {**LINKED, "$defs": {"Node": LINKED}}),
        (
            {"$ref": "#/$defs/A", "title": "T", "$defs": {"A": {"$ref": "#/$defs/Node"}, "Node": LINKED}},
            {**LINKED, "title": "T", "$defs": {"A": {"$ref": "#/$defs/Node"}, "Node": LINKED}},
        ),
        ({"$ref": "#/$defs/Missing"}, {"$ref": "#/$defs/Missing"}),
        ({"$ref": "#/$defs/A", "$defs": 5}, {"$ref": "#/$defs/A", "$defs": 5}),
        ({"$ref": "https://example.com/schema"}, {"$ref": "https://example.com/schema"}),
    ],
)
def test_the_keywords_of_arguments_stand_at_the_top(schema: dict[str, Any], top: dict[str, Any]) -> None:
    """A schema that is a reference is what it refers to, with the definitions that it still needs."""
    assert arguments_schema(schema) == top


def test_a_reference_to_itself_ends() -> None:
    """What refers to nothing but itself stays a reference."""
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert arguments_schema(circle)["$ref"] == "#/$defs/A"


def test_a_value_that_is_not_an_object_is_the_argument_root() -> None:
    """Its definitions stay at the top, where references look for them; its notes are those of the tool."""
    item = {"$ref": "#/$defs/Point"}
    schema = {"title": "Points", "description": "All.", "type": "array", "items": item, "$defs": {"Point": POINT}}
    assert root_schema(schema) == {
        "type": "object",
        "properties": {"root": {"type": "array", "items": item}},
        "required": ["root"],
        "$defs": {"Point": POINT},
    }
