"""What is wrong with an answer, in words for a model and for a user."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bing_llm.completion.validation import describe_misfit, validation_problems


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


@pytest.mark.parametrize("problem", ["n: Input should be an integer", "n: Input should be an integer.\n"])
def test_an_error_is_whole_sentences(problem: str) -> None:
    """What is wrong comes from several libraries, with and without a full stop."""
    expected = "The model's answer does not fit the schema answer: n: Input should be an integer. It is '{}'."
    assert describe_misfit("answer", problem, "{}") == expected
    assert describe_misfit(None, problem, "{}").startswith("The model's answer is not JSON: n: ")


def test_an_error_shows_the_beginning_of_an_answer() -> None:
    """Answers may be long."""
    assert len(describe_misfit("P", "", "x" * 1000)) < 300
