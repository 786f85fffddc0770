"""Numbers for a JSON schema."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.numbers import number, smallest


@pytest.mark.parametrize(
    ("schema", "whole", "value"),
    [
        ({}, True, 1),
        ({"minimum": 5}, True, 5),
        ({"maximum": -3}, True, -3),
        ({"minimum": 0, "maximum": 10}, True, 1),
        ({"exclusiveMinimum": 5}, True, 6),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, False, 0.5),
        ({"exclusiveMaximum": 1}, True, 0),
        ({"multipleOf": 5}, True, 5),
        ({"minimum": 7, "multipleOf": 5}, True, 10),
        ({"minimum": 2.5}, False, 2.5),
        ({"minimum": 2.5}, True, 3),
        ({"minimum": True}, True, 1),
    ],
)
def test_the_smallest_is_allowed(schema: dict[str, Any], value: float, *, whole: bool) -> None:
    """Without a number in the question there is one that the bounds allow."""
    found = smallest(schema, whole=whole)
    assert found == value
    assert isinstance(found, int) is (found == int(found))


def test_a_number_beside_the_name_comes_first() -> None:
    """A number beside the property's name is its number; any other only where one is needed."""
    question = "Plan 5 trips of 3 days"
    assert number({}, "days", Evidence(question), whole=True, needed=False) == 3
    assert number({}, "people", Evidence(question), whole=True, needed=False) is None
    assert number({}, "people", Evidence(question), whole=True, needed=True) == 5


@pytest.mark.parametrize(
    "schema", [{"minimum": 6}, {"maximum": 4}, {"exclusiveMinimum": 5}, {"exclusiveMaximum": 5}, {"multipleOf": 2}]
)
def test_a_number_out_of_bounds_is_none(schema: dict[str, Any]) -> None:
    """A number that the schema does not allow is not taken."""
    assert number(schema, "n", Evidence("5"), whole=True, needed=True) is None
    assert number({}, "n", Evidence("5"), whole=True, needed=True) == 5
