"""Where the citations of a reply stand in the texts of an adapter."""

from __future__ import annotations

import pytest

from bing_llm import events as ev
from bing_llm.completion.citations import place_citations

A = "[1](https://a.example/a)"
B = "[2](https://a.example/b)"
TEXT = f"`{A}` Rain{A}. Snow{B}{A}."
REPLY = ev.Reply(
    text=TEXT,
    citations=(
        ev.Citation(1, "https://a.example/a", "a", ((31, 55), (85, 109))),
        ev.Citation(2, "https://a.example/b", "b", ((61, 85),)),
        ev.Citation(3, "https://a.example/c", "c"),
    ),
)


def places(texts: list[str], reply: ev.Reply = REPLY) -> list[list[tuple[int, str]]]:
    """The numbers of the markers of each text, and what stands there."""
    placed = place_citations(texts, reply).markers
    return [
        [(each.citation.number, text[each.start : each.end]) for each in markers]
        for text, markers in zip(texts, placed, strict=True)
    ]


def test_one_text_has_the_places_of_the_reply() -> None:
    """They are those of the spans, in the order of the text; a citation without any is apart."""
    assert places([TEXT]) == [[(1, A), (2, B), (1, A)]]
    assert [each.number for each in place_citations([TEXT], REPLY).unmarked] == [3]


def test_each_text_has_its_own_places() -> None:
    """Places count from the beginning of their text."""
    texts = [TEXT[:55], TEXT[55:]]
    assert places(texts) == [[(1, A)], [(2, B), (1, A)]]


@pytest.mark.parametrize("end", [len(TEXT) - 3, 57])
def test_a_part_of_the_text_is_read_anew(end: int) -> None:
    """A stop sequence, or a call that was cut out, leaves texts that are not the whole of it."""
    assert places([TEXT[:end]])[0] == [(1, A), (2, B)][: 1 if end < 61 else 2]


def test_a_reply_without_places_is_read() -> None:
    """A service of one's own may give its sources alone."""
    reply = ev.Reply(text="Rain[^1^].", citations=(ev.Citation(1, "https://a.example"),))
    assert places(["Rain[^1^]."], reply) == [[(1, "[^1^]")]]


def test_without_citations_there_are_no_places() -> None:
    """Also for texts that look as if they had some."""
    assert places(["Rain[^1^]."], ev.Reply(text="Rain[^1^].")) == [[]]
