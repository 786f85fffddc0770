"""What pydantic says about an answer, in words for a model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bing_llm.completion.validation import validation_problems


class Inner(BaseModel):
    """A part."""

    n: int


class Outer(BaseModel):
    """A whole."""

    parts: list[Inner]
    name: str = ""


def problems(value: Any) -> str:
    """What is wrong with it."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(value)
    return validation_problems(caught.value)


def test_a_problem_has_its_place() -> None:
    """In dots, without the value, which may be long, and without a link."""
    long = "x" * 10_000
    assert problems({"parts": [{"n": long}]}) == (
        "parts.0.n: Input should be a valid integer, unable to parse string as an integer"
    )
    assert problems([]).startswith("the whole: ")


def test_the_first_problems_are_enough() -> None:
    """Later ones often follow from them."""
    assert problems({"parts": [{}] * 9}).split("; ") == [f"parts.{at}.n: Field required" for at in range(5)]
