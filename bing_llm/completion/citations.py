"""Where the citations of a reply stand in the texts that an adapter returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm.backends.markers import find_markers

Span: TypeAlias = tuple[int, int]

_Spans: TypeAlias = dict[int, list[Span]]  # by the place of the citation in the reply


class Placed(NamedTuple):
    """A marker of a citation, or the citation itself if no marker names it.

    Attributes:
        citation: What it names.
        span: Where it stands: a half-open range [start, end) in characters of its text. None without a marker.
    """

    citation: ev.Citation
    span: Span | None


def place_citations(
    texts: Sequence[str], reply: ev.Reply, *, elsewhere: Iterable[str] = ()
) -> tuple[tuple[ev.Citation, ...], ...]:
    """The citations of each text that was made of a reply, with their spans in that text.

    A citation that the reply does not mark is one of the last text, without spans. One whose markers are all in a part
    that the texts do not have, because a stop sequence, a length or a call cut it off, is left out.

    Args:
        texts: The texts, in order.
        reply: The reply. If it has no spans, its markers are read.
        elsewhere: What else is returned of it, such as arguments of calls. A citation that only these mark is one of
            the last text, too.
    """
    if not reply.citations:
        return tuple(() for _ in texts)
    given = {number: list(each.spans) for number, each in enumerate(reply.citations) if each.spans}
    marked = given or _read(reply.text, reply)
    # The spans are those of the whole text. Where the texts are not its beginning, their own markers are read.
    is_beginning = reply.text.startswith("".join(texts))
    found = list(_shared_out(texts, marked)) if is_beginning else [_read(text, reply) for text in texts]
    placed = {number for spans in found for number in spans}
    also = {number for text in elsewhere for number in _read(text, reply)}
    unplaced = {number for number in range(len(reply.citations)) if number not in marked or number in also} - placed
    last: _Spans = {**{number: [] for number in unplaced}, **(found[-1] if found else {})}
    return tuple(_with_spans(reply.citations, spans) for spans in (*found[:-1], last))


def in_order(citations: Sequence[ev.Citation]) -> Iterator[Placed]:
    """The markers in the order of the text, then the citations that have none."""
    markers = [Placed(citation, span) for citation in citations for span in citation.spans]
    yield from sorted(markers, key=lambda marker: marker.span or ())
    yield from (Placed(citation, None) for citation in citations if not citation.spans)


def _shared_out(texts: Sequence[str], marked: Mapping[int, Sequence[Span]]) -> Iterator[_Spans]:
    """The spans that each of the texts has as a whole, counted from its own beginning."""
    spans = sorted((start, end, number) for number, places in marked.items() for start, end in places)
    at = offset = 0
    for text in texts:
        found: _Spans = {}
        limit = offset + len(text)
        while at < len(spans) and spans[at][0] < limit:
            start, end, number = spans[at]
            at += 1
            if end <= limit:
                found.setdefault(number, []).append((start - offset, end - offset))
        yield found
        offset = limit


def _read(text: str, reply: ev.Reply) -> _Spans:
    by_number = {citation.number: at for at, citation in enumerate(reply.citations)}
    markers = find_markers(text)
    found: _Spans = {}
    for marker in markers.links or markers.notes:
        if marker.number in by_number:
            found.setdefault(by_number[marker.number], []).append((marker.start, marker.end))
    return found


def _with_spans(citations: Sequence[ev.Citation], spans: _Spans) -> tuple[ev.Citation, ...]:
    return tuple(
        msgspec.structs.replace(citation, spans=tuple(spans[number]))
        for number, citation in enumerate(citations)
        if number in spans
    )
