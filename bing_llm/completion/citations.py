"""Where the citations of a reply stand in the texts that an adapter returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bing_llm import events as ev
from bing_llm.backends.markers import find_markers


class Placed(NamedTuple):
    """A marker of a citation.

    Attributes:
        citation: What it names.
        start: Where it begins, in characters of its text.
        end: Where it ends: the place after its last character.
    """

    citation: ev.Citation
    start: int
    end: int


class PlacedCitations(NamedTuple):
    """The citations of a reply.

    Attributes:
        markers: For each text its markers, in order.
        unmarked: The citations that no marker names.
    """

    markers: tuple[tuple[Placed, ...], ...]
    unmarked: tuple[ev.Citation, ...]


def place_citations(texts: Sequence[str], reply: ev.Reply) -> PlacedCitations:
    """Find the citations of a reply in the texts that were made of it.

    The spans of the reply are those of its whole text. Where the texts are only parts of it, because a stop sequence
    or a call was cut out, their own markers are read.
    """
    if not reply.citations:
        return PlacedCitations(tuple(() for _ in texts), ())
    whole = "".join(texts) == reply.text and any(citation.spans for citation in reply.citations)
    placed = tuple(_shared_out(texts, reply) if whole else (_marked(text, reply) for text in texts))
    named = {marker.citation.number for markers in placed for marker in markers}
    return PlacedCitations(placed, tuple(each for each in reply.citations if each.number not in named))


def _shared_out(texts: Sequence[str], reply: ev.Reply) -> Iterator[tuple[Placed, ...]]:
    spans = sorted((start, end, number) for number, each in enumerate(reply.citations) for start, end in each.spans)
    at = offset = 0
    for text in texts:
        found: list[Placed] = []
        limit = offset + len(text)
        while at < len(spans) and spans[at][0] < limit:
            start, end, number = spans[at]
            at += 1
            if end <= limit:
                found.append(Placed(reply.citations[number], start - offset, end - offset))
        yield tuple(found)
        offset = limit


def _marked(text: str, reply: ev.Reply) -> tuple[Placed, ...]:
    by_number = {citation.number: citation for citation in reply.citations}
    markers = find_markers(text)
    return tuple(
        Placed(by_number[marker.number], marker.start, marker.end)
        for marker in markers.links or markers.notes
        if marker.number in by_number
    )
