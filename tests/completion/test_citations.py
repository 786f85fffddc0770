"""Where the citations of a reply stand in the texts of an adapter."""

from __future__ import annotations

import pytest

from bing_llm import events as ev
from bing_llm.completion.citations import in_order, place_citations

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
    """The numbers of the markers of each text, and what stands there; "" for nothing."""
    return [
        [(number.number, "" if span is None else text[slice(*span)]) for number, span in in_order(citations)]
        for text, citations in zip(texts, place_citations(texts, reply), strict=True)
    ]


def test_one_text_has_the_places_of_the_reply() -> None:
    """They are those of the spans, in the order of the text; a citation without any comes last."""
    assert places([TEXT]) == [[(1, A), (2, B), (1, A), (3, "")]]


def test_each_text_has_its_own_places() -> None:
    """Places count from the beginning of their text."""
    texts = [TEXT[:55], TEXT[55:]]
    assert places(texts) == [[(1, A)], [(2, B), (1, A), (3, "")]]


@pytest.mark.parametrize("end", [85, len(TEXT) - 3, 84, 61, 57, 54, 0])
def test_a_citation_whose_markers_were_cut_off_is_left_out(end: int) -> None:
    """A stop sequence, also one in the middle of a marker, or a length ends the text."""
    whole = [(1, A), (2, B)][: 2 if end >= 85 else 1 if end >= 55 else 0]
    assert places([TEXT[:end]]) == [[*whole, (3, "")]]


def test_a_part_of_the_text_is_read_anew() -> None:
    """A call before the text that follows, or text around JSON, is not in the texts."""
    assert places([TEXT[55:]]) == [[(2, B), (1, A), (3, "")]]


def test_a_marker_elsewhere_is_not_cut_off() -> None:
    """Arguments of a call are returned too, but a place in them cannot be named."""
    (citations,) = place_citations([""], REPLY, elsewhere=[f'{{"text": "Snow {B}"}}'])
    assert [(each.number, each.spans) for each in citations] == [(2, ()), (3, ())]


def test_a_reply_without_places_is_read() -> None:
    """A service of one's own may give its sources alone."""
    reply = ev.Reply(text="Rain[^1^].", citations=(ev.Citation(1, "https://a.example"),))
    assert places(["Rain[^1^]."], reply) == [[(1, "[^1^]")]]
    assert places(["Rain"], reply) == [[]]


def test_without_citations_there_are_no_places() -> None:
    """Also for texts that look as if they had some."""
    assert places(["Rain[^1^]."], ev.Reply(text="Rain[^1^].")) == [[]]
