"""What an HTTP call was answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.response import Response, retry_after

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 30 ", 30.0),
        ("99999999999999999999", 999_999_999.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 14 Nov 2023 23:14:20 +0100", 60.0),
    ],
)
def test_a_wait_is_a_number_or_a_date(header: str, seconds: float) -> None:
    """`Retry-After` holds seconds, or a date whose distance from now counts, at least 0."""
    assert retry_after(header, NOON) == seconds


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "1.5", "٣", "Tue, 99 Nov 2023 22:14:20 GMT", "1 Jan 99999"])
def test_nonsense_asks_for_no_wait(header: str | None) -> None:
    """What is neither number nor date is as good as no header."""
    assert retry_after(header, NOON) is None


@given(st.text())
def test_any_header_gives_a_wait_or_none(header: str) -> None:
    """No header makes it fail, and no wait is negative."""
    wait = retry_after(header, NOON)
    assert wait is None or wait >= 0


def test_an_answer_shows_neither_headers_nor_body() -> None:
    """Headers and body of a creation hold signatures, so no repr has them, nor the one that rich makes."""
    answer = Response(200, {"x-sydney-conversationsignature": "hunter2"}, b"hunter2", 3.0)
    assert repr(answer) == "Response(status=200, ...)"
    assert answer.__rich_repr__() == [("status", 200)]
