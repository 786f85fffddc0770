"""What a question holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator.obedience.evidence import Evidence, words_of


def test_words_of_identifiers_and_text() -> None:
    """Snake case, camel case and prose have the same words, in lower case and without a plural's s."""
    assert words_of("get_weather") == {"get", "weather"}
    assert words_of("WeatherReports") == {"weather", "report"}
    assert words_of("The HTTP class is glass.") == {"the", "http", "class", "is", "glass"}
    assert words_of("погода") == {"погода"}


@pytest.mark.parametrize("quoted", ['"a b"', "“a b”", "«a b»", "`a b`", "'a b'"])
def test_quoted_strings_are_taken_in_order(quoted: str) -> None:
    """Every kind of quotation counts; each string is given once."""
    evidence = Evidence(f"Say {quoted} and it's 'c' now")
    assert [evidence.take_quoted() for _ in range(3)] == ["a b", "c", None]


def test_quoted_strings_can_be_ignored() -> None:
    """Names of keys are no values."""
    assert Evidence("keys `a` and `b`", ignore={"a"}).quoted == ["b"]


def test_numbers_are_taken_in_order() -> None:
    """Digits, decimals, signs, thousands and words up to twelve are numbers; parts of words and versions are not."""
    evidence = Evidence("three of 1,000 or -2.5 and f(7), not x9 or v1.2.3")
    assert [evidence.take_number(whole=False) for _ in range(4)] == [3, 1000, -2.5, 7]


def test_a_number_may_have_to_be_whole() -> None:
    """A fraction is not given as an integer."""
    assert Evidence("2.5").take_number(whole=True) is None


def test_a_number_may_have_to_stand_beside_a_word() -> None:
    """A number beside a word is found before or behind it, and is not given again."""
    evidence = Evidence("Plan 5 trips of 3 days, limit is 9")
    assert evidence.take_number(whole=True, near="days") == 3
    assert evidence.take_number(whole=True, near="limit") == 9
    assert evidence.take_number(whole=True, near="d") is None
    assert evidence.take_number(whole=True) == 5
    assert evidence.take_number(whole=True) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is the weather in Paris?", ["Paris"]),
        ("Weather in San Francisco, CA please", ["San Francisco, CA"]),
        ("Paris is nice. Does Anna Maria know?", ["Paris", "Anna Maria"]),
        ("Tell me about the U.S. and Köln", ["U", "Köln"]),
        ("Расскажи про Москву", ["Москву"]),
        ("Hello World", ["World"]),
        ("nothing here", []),
    ],
)
def test_names_are_capitalised_words(text: str, names: list[str]) -> None:
    """Capitalised words inside a sentence, or with a verb behind them, are names; neighbours are one name."""
    assert Evidence(text).names == names


def test_places_stand_behind_prepositions() -> None:
    """A name behind "in" is a place and is preferred where one is wanted."""
    evidence = Evidence("Ask Bob for the weather in Paris")
    assert [evidence.take_place(), evidence.take_place(), evidence.take_name()] == ["Paris", "Bob", None]


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("in Paris and London", ["Paris", "London"]),
        ("in Paris, London, and in Rome", ["Paris", "London", "Rome"]),
        ("for 'a' and 'b'", ["a", "b"]),
        ("Ask Bob about Paris and Rome", ["Paris", "Rome"]),
        ("Paris is far from Rome", []),
        ("in Paris", []),
    ],
)
def test_names_in_a_row_are_a_list(text: str, listed: list[str]) -> None:
    """Names that are joined by commas or "and" are a list, and so are several quoted strings."""
    assert Evidence(text).listed == listed


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Who leads Contoso in Paris?", "Paris"),
        ("Tell me a joke about black cats.", "black cats"),
        ("describe the sea", "the sea"),
        ("Why?", ""),
    ],
)
def test_the_subject_is_a_name_or_a_topic(text: str, subject: str) -> None:
    """What the question is about: a place, a name, or what stands behind "about"."""
    assert Evidence(text).subject == subject


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("unit: metric", "metric"),
        ("unit=metric.", "metric"),
        ("the unit is metric", "metric"),
        ("which unit is best", None),
        ("", None),
    ],
)
def test_a_value_may_be_named(text: str, value: str | None) -> None:
    """A value behind its name and a sign is found; a word that merely follows is not."""
    assert Evidence(text).value_named("unit") == value
    assert Evidence(text).value_named("") is None


def test_phrases_are_mentioned_as_whole_words() -> None:
    """A phrase counts in any case, and not as part of a word."""
    evidence = Evidence("Use Celsius here")
    assert evidence.mentions("celsius")
    assert not evidence.mentions("cel")
    assert not evidence.mentions("")


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    """No text makes it fail, and what is given comes to an end."""
    evidence = Evidence(text)
    for take in (evidence.take_quoted, evidence.take_place, evidence.take_name):
        while take() is not None:
            pass
    while evidence.take_number(whole=False) is not None:
        pass
    assert isinstance(evidence.subject, str)
