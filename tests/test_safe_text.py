"""Control characters from a service never reach a terminal."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm._safe_text import escape, log_line, one_line

ANY_TEXT = st.text(
    st.one_of(
        st.characters(), st.characters(min_codepoint=0, max_codepoint=0xA0), st.sampled_from("\u202e\u2067\u2028\ud800")
    )
)
ALLOWED = {"\n", "\t", "\u200c", "\u200d", "\u00ad", "\u06dd", *map(chr, range(0x600, 0x606))}
HIDDEN = {
    sign for sign in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp"}
}


def test_every_hidden_character_is_escaped() -> None:
    """By its category, whatever this Python knows of Unicode; those that spelling needs stay."""
    assert {sign for sign in HIDDEN if escape(sign) == sign} == ALLOWED
    assert {"\x9b", "\u200f", "\u061c", "\ufff9", "\U000e0041", "\u202e", "\ufeff"} <= HIDDEN - ALLOWED
    assert all(json.loads(f'"{escape(sign)}"') == sign for sign in HIDDEN - ALLOWED)


@given(ANY_TEXT)
def test_no_control_character_comes_out(text: str) -> None:
    """Whatever goes in: line feeds, tabs and signs of spelling are all that is left."""
    assert set(escape(text)).isdisjoint(HIDDEN - ALLOWED)
    assert not [sign for sign in escape(text) if "\ud800" <= sign <= "\udfff"]


@given(ANY_TEXT, ANY_TEXT)
def test_pieces_may_be_escaped_one_by_one(one: str, two: str) -> None:
    """A text gives the same in whatever pieces it comes."""
    assert escape(one) + escape(two) == escape(one + two)


@given(st.text())
def test_escaped_json_means_the_same(text: str) -> None:
    """The escapes are those of JSON."""
    assert json.loads(escape(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "\\u001b[31mred"),
        ("a\rb\bc", "a\\u000db\\u0008c"),
        ("\x9b31m", "\\u009b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\U000e0041\u200f", "a\\udb40\\udc41\\u200f"),
        ("\u0646\u0645\u06cc\u200c\u062e \u00ad\u200d", "\u0646\u0645\u06cc\u200c\u062e \u00ad\u200d"),
        ("a\tb\nc é 漢 🌊", "a\tb\nc é 漢 🌊"),
    ],
)
def test_controls_become_visible_and_text_stays(text: str, expected: str) -> None:
    """A control character is shown by its code point; ordinary text of any script is left alone."""
    assert escape(text) == expected


def test_one_line_is_one_line() -> None:
    """Line breaks and runs of blanks become single blanks, and the rest is escaped."""
    assert one_line(" a\n\n b\tc\u2028d\x1b ") == "a b c d\\u001b"


@given(ANY_TEXT)
def test_a_line_of_a_log_is_one_line(text: str) -> None:
    """A line feed is shown as an escape, so nothing looks like the next line."""
    assert len(log_line(text).splitlines()) <= 1
    assert log_line("a\nb\x1b") == "a\\nb\\u001b"
