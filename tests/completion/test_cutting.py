"""Stop sequences and a longest length, kept here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.completion.cutting import Cutter
from bing_llm.errors import InvalidRequest


def cut(parts: Sequence[str], *stop: str, longest: int | None = None) -> tuple[str, str]:
    """What is given of these parts, and by what it was cut."""
    cutter = Cutter(stop, longest)
    given = [cutter.feed(part) for part in parts]
    return "".join((*given, cutter.close())), cutter.cut


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("One. END Two.", ["END"], "One. "),
        ("One. END Two.", ["Two", "END"], "One. "),
        ("One. END Two.", ["END", "E"], "One. "),
        ("END", ["END"], ""),
        ("One. EN", ["END"], "One. EN"),
        ("aab", ["ab"], "a"),
        ("aaab", ["aab"], "a"),
        ("One.\n\nTwo.", ["\n\n"], "One."),
        ("Привет, мир", ["мир"], "Привет, "),
        ("One.", [], "One."),
    ],
)
def test_a_text_ends_before_the_first_stop_sequence(text: str, stop: list[str], expected: str) -> None:
    """Whatever its parts are; of several sequences the one that begins first counts."""
    for size in (1, 2, 3, len(text)):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        assert cut(parts, *stop) == (expected, "stop" if expected != text else "")


@given(
    st.text("abc", max_size=30),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    st.none() | st.integers(1, 20),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_the_parts_do_not_matter(text: str, stop: list[str], longest: int | None, sizes: list[int]) -> None:
    """The result is that of the whole text, worked out in the plainest way."""
    ends = [at for sequence in stop if (at := text.find(sequence)) >= 0]
    expected = text[: min(ends)] if ends else text
    by = "stop" if ends else ""
    if longest is not None and len(expected) > longest:
        expected, by = expected[:longest], "length"
    parts: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[len(parts) % len(sizes)]
        parts.append(text[at : at + size])
        at += size
    assert cut(parts, *stop, longest=longest) == (expected, by)


def test_only_what_may_begin_a_stop_sequence_is_held_back() -> None:
    """Everything else is given as soon as it comes."""
    cutter = Cutter(["END"])
    assert cutter.feed("One") == "One"
    assert cutter.feed(" E") == " "
    assert cutter.feed("N") == ""
    assert cutter.feed("T") == "ENT"
    assert cutter.feed("EEN") == "E"
    assert cutter.feed("D and more") == ""
    assert cutter.feed("more") == ""
    assert (cutter.close(), cutter.cut) == ("", "stop")


def test_a_text_of_just_the_longest_length_is_whole() -> None:
    """It is cut only where more comes; of that nothing is given."""
    assert cut(["four", ""], longest=4) == ("four", "")
    assert cut(["four", "!"], longest=4) == ("four", "length")
    assert cut(["fo", "ur!"], longest=4) == ("four", "length")


def test_what_is_held_back_counts_for_the_length() -> None:
    """Also when it is given at the end."""
    assert cut(["fourEN"], "END", longest=5) == ("fourE", "length")


def test_a_long_text_costs_no_more_than_its_length() -> None:
    """What was looked at is not looked at again: the held text stays shorter than the longest sequence."""
    cutter = Cutter(["a" * 50 + "b"])
    for _ in range(1000):
        cutter.feed("a" * 50)
        assert len(cutter._held) <= 50


@pytest.mark.parametrize("stop", [[""], ["END", ""]])
def test_an_empty_stop_sequence_is_refused(stop: list[str]) -> None:
    """It would end every text before it begins."""
    with pytest.raises(InvalidRequest, match="A stop sequence is empty"):
        Cutter(stop)


@pytest.mark.parametrize("longest", [0, -4])
def test_a_length_of_nothing_is_refused(longest: int) -> None:
    """The error says the least."""
    with pytest.raises(InvalidRequest, match="must be at least 1"):
        Cutter((), longest)
