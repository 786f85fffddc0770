"""The parts of contents."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bing_llm.serve.parts import Content, own_text_of, pictures_in, problem_of, text_of

MIXED = [
    {"type": "text", "text": "a"},
    {"type": "input_image", "image_url": "https://example.com/x.png"},
    {"type": "refusal", "refusal": "b"},
    {"type": "input_audio", "input_audio": {}},
]


def content(given: Any) -> Content:
    """A content, as it is read."""
    made: Content = msgspec.convert(given, Content)
    return made


@pytest.mark.parametrize(("given", "text"), [(None, ""), ("a", "a"), ([], ""), (MIXED, "a\n[image]\nb\n[audio]")])
def test_text(given: Any, text: str) -> None:
    """Each part on a line of its own, a word for each that is not text."""
    assert text_of(content(given)) == text


@pytest.mark.parametrize(("given", "text"), [(None, ""), ("a", "a"), (MIXED, "a\nb")])
def test_the_text_of_a_model(given: Any, text: str) -> None:
    """Only what it wrote."""
    assert own_text_of(content(given)) == text


def test_the_first_problem_is_named() -> None:
    """By its place."""
    problem = problem_of(content(MIXED), "here")
    assert problem is not None
    assert problem.message.startswith("here[3] is of the type 'input_audio'")
    assert problem_of(content("a"), "here") is None


def test_pictures() -> None:
    """Their URLs."""
    assert list(pictures_in(content(MIXED), "here")) == ["https://example.com/x.png"]
