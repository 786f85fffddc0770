"""Counting tokens without a tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.completion.tokens import count_tokens, token_ids


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("Привет", 3), ("你好", 2), ("🙂", 1), ("\ud800", 1)],
)
def test_a_token_is_four_bytes(text: str, tokens: int) -> None:
    """The count is rounded up, so that no text costs nothing; half a surrogate pair is not an error."""
    assert count_tokens(text) == tokens


@given(st.text())
def test_there_is_one_number_for_each_token(text: str) -> None:
    """The two ways of counting agree."""
    assert len(token_ids(text)) == count_tokens(text)


def test_the_same_text_has_the_same_numbers() -> None:
    """And another text of the same length has others."""
    assert token_ids("Hello, you") == token_ids("Hello, you")
    assert token_ids("Hello, you") != token_ids("Hello, yew")
