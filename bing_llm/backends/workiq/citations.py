"""The citations of an answer: its markers, and what the service says of their sources beside the text.

One reader for REST and A2A. Three forms are known (docs/protocol/workiq.md, sections 5 and 12):

- Live answers have the markers `[N](url#key)`. The map `references` has an entry for each key, in any order.
- They may have the markers `[N](url)` alone.
- The documents have the markers `[^N^]`, and N counts the `attributions` of type citation.

If a text has both forms of markers, the links are the citations, and attributions only give their titles.

What goes with the text is decoration: a part that does not have the known shape gives nothing, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qs, unquote, urldefrag, urlsplit

from bing_llm._urls import web_url
from bing_llm.backends.json_text import objects_in, text_in
from bing_llm.backends.markers import BEGINNING, Marker, Markers, find_markers, spans_of, unfinished_from
from bing_llm.events import Citation

CitationMarkers: TypeAlias = Literal["keep", "footnote"]
"""How markers stand in the text: as the service wrote them, or as `[^N^]`."""

_CITATION: Final = "citation"
_LINKS: Final = ("seeMoreWebUrl", "imageWebUrl", "imageFavIcon")


class Sources(NamedTuple):
    """What the service says of the sources of an answer, as parsed JSON of any shape.

    Attributes:
        attributions: A list of objects with `attributionType`, `seeMoreWebUrl`, `providerDisplayName`.
        references: A map from keys to objects with `targetLink`, or a list of such objects.
    """

    attributions: object = None
    references: object = None


class Cited(NamedTuple):
    """The citations of an answer, and the references that it does not cite.

    Attributes:
        citations: One for each number, in the order of the numbers.
        uncited: The other references by their keys, as they came, but for what is empty.
    """

    citations: tuple[Citation, ...]
    uncited: dict[str, dict[str, Any]]


class MarkedText(NamedTuple):
    """A text as it is given to the user, and its markers, whose places are those in this text."""

    text: str
    markers: Markers


def mark(text: str, form: CitationMarkers, *, final: bool) -> MarkedText:
    """The text in this form. If more may follow, it ends before a marker that is not complete.

    What is given for a text is the beginning of what is given for each text that extends it.

    Args:
        text: The text so far, as the service wrote it.
        form: How its markers are to stand in it.
        final: Whether the text is complete.
    """
    if form == "keep":
        given = marked_text(text, form, final=final)
        return MarkedText(given, find_markers(given) if final else Markers((), (), len(given), BEGINNING))
    markers = find_markers(text, final=final)
    return _as_footnotes(text[: markers.decided], markers)


def marked_text(text: str, form: CitationMarkers, *, final: bool) -> str:
    """The text of `mark` alone, which costs little for each beginning of a long text where the markers are kept."""
    if form == "keep":
        return text if final else text[: unfinished_from(text)]
    return mark(text, form, final=final).text


class Footnotes:
    """The text of `mark` with footnotes for the snapshots of one answer: only what is not settled yet is read again."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._read = ""
        self._written = ""  # the footnotes' form of what was read
        self._place = BEGINNING  # where it ends

    def text(self, text: str, *, final: bool) -> str:
        """The text of one snapshot. If it does not extend the last one, it is read from its beginning."""
        if not text.startswith(self._read):
            self._forget()
        rest = text[len(self._read) :]
        markers = find_markers(rest, final=final, place=self._place)
        shown = self._written + _as_footnotes(rest[: markers.decided], markers).text
        settled = rest[: markers.settled.at]
        if settled:
            links = tuple(link for link in markers.links if link.end <= len(settled))
            self._written += _as_footnotes(settled, markers._replace(links=links)).text
            self._read += settled
        self._place = markers.settled
        return shown


def _as_footnotes(text: str, markers: Markers) -> MarkedText:
    parts: list[str] = []
    links: list[Marker] = []
    before = length = 0
    for link in markers.links:
        note = f"[^{link.number}^]"
        length += link.start - before + len(note)
        parts += text[before : link.start], note
        links.append(link._replace(start=length - len(note), end=length))
        before = link.end
    shown = "".join((*parts, text[before:]))
    # The places of `[^N^]` matter only where there are no links, and so no change.
    return MarkedText(shown, Markers(tuple(links), () if links else markers.notes, len(shown), BEGINNING))


def cite(markers: Markers, sources: Sources, most: int) -> Cited:
    """The citations that these markers make with these sources.

    Args:
        markers: The markers of the text.
        sources: What came with it.
        most: How many markers, attributions and references are read of each.
    """
    attributed = list(islice(_cited_attributions(sources.attributions), most))
    references = _References(sources.references, most)
    if markers.links:
        titles = {text_in(each, "seeMoreWebUrl"): text_in(each, "providerDisplayName") for each in reversed(attributed)}
        citations = tuple(_linked(islice(markers.links, most), references, titles))
    else:
        citations = tuple(_attributed(attributed, spans_of(markers.notes)))
    return Cited(citations, references.unused())


def _linked(links: Iterable[Marker], references: _References, titles: Mapping[str, str]) -> Iterator[Citation]:
    """One citation for each number: its first link says where it leads."""
    first: dict[int, Marker] = {}
    places: list[Marker] = []
    labels: dict[int, dict[str, Any]] = {}
    for link in links:
        places.append(link)
        reference = references.use(link.url)
        if link.number not in first:
            first[link.number] = link
            labels[link.number] = label_of(reference.get("sensitivityLabel"))
    spans = spans_of(places)
    for number, link in sorted(first.items()):
        title = titles.get(link.url) or titles.get(urldefrag(link.url).url) or link.title or title_of(link.url)
        yield Citation(number, link.url, title, spans[number], labels[number] or None)


def _attributed(
    attributions: Sequence[Mapping[str, object]], spans: Mapping[int, tuple[tuple[int, int], ...]]
) -> Iterator[Citation]:
    """None is left out, so that numbers and places agree. A URL that is not a harmless link becomes ""."""
    for number, each in enumerate(attributions, 1):
        url = web_url(text_in(each, "seeMoreWebUrl"))
        yield Citation(number, url, text_in(each, "providerDisplayName"), spans.get(number, ()))


def title_of(url: str) -> str:
    """A title for a source that has none: the last part of its path, decoded (docs/protocol/workiq.md, section 12)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    path = parts.path.rstrip("/")
    if host == "teams.microsoft.com" and f"{path}/".startswith("/l/meeting/"):
        return "Meeting"
    asked = parse_qs(parts.query).get("q", [""])[0] if host == "office.com" and path == "/search" else ""
    title = asked or unquote(path.rpartition("/")[2]) or host
    return " ".join("".join(sign if sign.isprintable() else " " for sign in title).split())


# --- attributions and references --------------------------------------------------------------------------------------


def _cited_attributions(attributions: object) -> Iterator[dict[str, object]]:
    return (each for each in objects_in(attributions) if _is_citation(each))


def _is_citation(attribution: Mapping[str, object]) -> bool:
    return text_in(attribution, "attributionType").lower() == _CITATION  # A2A writes it with a capital


def annotations_in(attributions: object) -> list[dict[str, object]]:
    """The attributions of other types, as they came: links of the people, files and events that the text names.

    A URL that is not a harmless link becomes "".
    """
    others = (each for each in objects_in(attributions) if not _is_citation(each))
    return [{**each, **{key: web_url(text_in(each, key)) for key in _LINKS if key in each}} for each in others]


def label_of(label: object) -> dict[str, Any]:
    """A sensitivity label without its empty fields: one without a label has an object whose fields are all null."""
    if not isinstance(label, dict):
        return {}
    fields = {key: value for key, value in label.items() if value is not None}
    return {} if fields.keys() <= {"@odata.type"} else fields


class _References:
    """The references of an answer, found by key or by URL, and which of them were used."""

    def __init__(self, references: object, most: int) -> None:
        items: Iterable[tuple[str, object]] = ()
        if isinstance(references, dict):
            items = references.items()
        elif isinstance(references, list):
            items = ((str(number), each) for number, each in enumerate(references, 1))
        known = ((key, each) for key, each in items if isinstance(each, dict))
        self._by_key: dict[str, dict[str, Any]] = dict(islice(known, most))
        self._by_url: dict[str, str] = {}
        for whole in (True, False):
            for key, each in self._by_key.items():
                url = text_in(each, "targetLink")
                self._by_url.setdefault(url if whole else urldefrag(url).url, key)
        self._used: set[str] = set()

    def use(self, url: str) -> dict[str, Any]:
        """The reference of a link; empty if there is none."""
        plain, fragment = urldefrag(url)
        keys = (fragment, unquote(fragment), self._by_url.get(url), self._by_url.get(plain))
        key = next((key for key in keys if key and key in self._by_key), None)
        if key is None:
            return {}
        self._used.add(key)
        return self._by_key[key]

    def unused(self) -> dict[str, dict[str, Any]]:
        """The references that no link has used, without unsafe URLs and without empty labels."""
        return {key: _plain(each) for key, each in self._by_key.items() if key not in self._used}


def _plain(reference: Mapping[str, Any]) -> dict[str, Any]:
    label = label_of(reference.get("sensitivityLabel"))
    others = {key: value for key, value in reference.items() if key not in {"sensitivityLabel", "@odata.type"}}
    url = {"targetLink": web_url(text_in(reference, "targetLink"))} if "targetLink" in reference else {}
    return {**others, **url, **({"sensitivityLabel": label} if label else {})}
