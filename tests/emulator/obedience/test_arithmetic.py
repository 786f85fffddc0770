"""Simple sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.arithmetic import calculated


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 3 + 4?", "3 + 4 = 7"),
        ("12.5*2", "12.5*2 = 25"),
        ("calculate (1 + 2) * -3", "(1 + 2) * -3 = -9"),
        ("How much is 1 / 3?", "1 / 3 = 0.3333333333"),
        ("What's 6 times 7?", "6 * 7 = 42"),
        ("0.1 + 0.2", "0.1 + 0.2 = 0.3"),
        ("Сколько будет 2 плюс 2?", "2 + 2 = 4"),
        ("What is 10 divided by 4", "10 / 4 = 2.5"),
    ],
)
def test_sums_are_done(question: str, answer: str) -> None:
    """Sums in digits and signs or in words have their exact result."""
    assert calculated(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "What is Python?",
        "42",
        "-1",
        "2 **",
        "2 ** 99999",
        "1 / 0",
        "(1 + 2",
        "1 + 2 is what my son said",
        "7 // 2",
        "1" * 200 + "+1",
        "",
    ],
)
def test_what_is_no_sum_has_no_result(question: str) -> None:
    """Numbers alone, powers, divisions by zero, broken and long sums are no sums."""
    assert calculated(question) is None


@given(st.text(alphabet="0123456789+-*/(). ", max_size=30))
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail."""
    assert calculated(text) is None or " = " in str(calculated(text))
