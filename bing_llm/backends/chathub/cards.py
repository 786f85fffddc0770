"""What the shapeless parts of a message hold: citations in cards or references, suggestions, search results.

These parts are decoration: one that does not have the known shape gives nothing, never an error. URLs are kept only
where they are harmless links (`bing_llm._urls.web_url`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from bing_llm._urls import web_url
from bing_llm.backends.chathub.frames import UpdateMessage, WireMessage
from bing_llm.backends.json_text import decode_json, decode_or_none, objects_in, text_in
from bing_llm.errors import ProtocolError
from bing_llm.events import Citation, SearchResult

# `[1]: https://example.org "Title"`, a line of the head of a card (docs/protocol/chathub.md, section e).
_DEFINITION = re.compile(r'\[(\d{1,6})\]:[ \t]+(\S+)(?:[ \t]+"(.*)")?[ \t\r]*(?:\n|\Z)')


def citations_of(message: UpdateMessage, most: int) -> tuple[Citation, ...]:
    """The sources of an answer: link definitions at the head of its cards, else the references of the M365 hub.

    Args:
        message: The answer.
        most: How many are read.
    """
    card = message.adaptive_cards if isinstance(message, WireMessage) else b""
    texts = _card_texts(decode_or_none(card))
    cards = tuple(islice(chain.from_iterable(map(_definitions, texts)), most))
    return cards or references_of(message.references, most)


def references_of(references: msgspec.Raw, most: int) -> tuple[Citation, ...]:
    """The references of the M365 hub, numbered in their order, as many as `most`.

    Sources disagree whether they stand in a message or beside it (docs/protocol/chathub.md, sections e and l), so both
    are read.
    """
    return tuple(islice(_references(decode_or_none(references)), most))


def suggestions_of(message: UpdateMessage) -> tuple[str, ...]:
    """The suggested next user messages that come with an answer."""
    suggested = decode_or_none(message.suggested_responses)
    return tuple(text for item in objects_in(suggested) if (text := text_in(item, "text")))


def search_query_of(message: UpdateMessage) -> str:
    """The query of an `InternalSearchQuery`: hiddenText, else the invocation, else what the text has in backticks."""
    if message.hidden_text:
        return message.hidden_text
    asked = _between(message.invocation or "", 'search_web(query="', '")')
    return asked or _between(message.text or "", "`", "`") or message.text or ""


def search_queries_of(message: UpdateMessage) -> tuple[str, ...]:
    """The queries that the M365 hub shows in a progress message of content type `SearchResults`."""
    queries = decode_or_none(message.search_queries)
    return tuple(query for query in queries if query and isinstance(query, str)) if isinstance(queries, list) else ()


def search_results_of(message: UpdateMessage) -> tuple[SearchResult, ...]:
    """The pages of an `InternalSearchResult`, whose text is JSON: every `*_results` list whose entries have a URL."""
    try:
        payload = decode_json(message.text or "")
    except ProtocolError:
        return ()
    if not isinstance(payload, dict):
        return ()
    lists = (value for key, value in payload.items() if key.endswith("_results"))
    return tuple(result for entries in lists for result in _results(entries))


def _results(entries: object) -> Iterator[SearchResult]:
    for entry in objects_in(entries):
        if url := web_url(text_in(entry, "url")):
            snippets = entry.get("snippets")
            texts = tuple(s for s in snippets if isinstance(s, str)) if isinstance(snippets, list) else ()
            yield SearchResult(text_in(entry, "title"), url, texts)


def _card_texts(cards: object) -> Iterator[str]:
    for card in objects_in(cards):
        for block in objects_in(card.get("body")):
            yield text_in(block, "text")


def _definitions(text: str) -> Iterator[Citation]:
    end = 0
    while found := _DEFINITION.match(text, end):
        end = found.end()
        if url := web_url(found[2]):
            yield Citation(int(found[1]), url, found[3] or "")


def _references(references: object) -> Iterator[Citation]:
    entries = references.values() if isinstance(references, dict) else ()
    for number, entry in enumerate(entries, 1):
        url = web_url(text_in(entry, "targetLink")) if isinstance(entry, dict) else ""
        if url:
            yield Citation(number, url, _display_title(entry))


def _display_title(reference: dict[str, object]) -> str:
    data = reference.get("displayData")
    try:
        content = decode_json(text_in(data, "content")) if isinstance(data, dict) else None
    except ProtocolError:
        return ""
    return text_in(content, "title") if isinstance(content, dict) else ""


def _between(text: str, opening: str, closing: str) -> str:
    """What stands between the first opening and the last closing; "" for nothing. Linear, unlike a pattern for it."""
    _, opened, rest = text.partition(opening)
    inside, closed, _ = rest.rpartition(closing)
    return inside if opened and closed else ""
