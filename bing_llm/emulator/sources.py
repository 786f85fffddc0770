"""How an answer cites: markers in its text, link definitions and a list of sources in its card."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bing_llm.events import Citation, SearchResult

_MARKER = re.compile(r"\[\^(\d{1,6})\^\]")


class Sources:
    """The sources of one answer: the citations that it defines, or else the pages that its searches found, in order."""

    def __init__(self) -> None:
        self._defined: tuple[Citation, ...] = ()
        self._found: tuple[Citation, ...] = ()

    def found(self, results: tuple[SearchResult, ...]) -> None:
        """Add the pages of one search."""
        first = len(self._found) + 1
        self._found += tuple(Citation(number, page.url, page.title) for number, page in enumerate(results, first))

    def define(self, citations: tuple[Citation, ...]) -> None:
        """Set the citations themselves; they replace the pages."""
        self._defined = citations

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The definitions, in their order."""
        return self._defined or self._found

    def used_by(self, text: str) -> bool:
        """Whether the text cites, or the definitions were given for it."""
        return bool(self._defined) or bool(self._cited(text))

    def card_text(self, text: str) -> str:
        """The text as it is in the card: definitions, an empty line, and markers `[^i^][n]`, i by first appearance."""
        citations = self.citations
        if not citations:
            return text
        places = {citation.number: place for place, citation in enumerate(self._cited(text), 1)}

        def marked(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"[^{places[number]}^][{number}]" if number in places else found[0]

        definitions = "\n".join(f'[{c.number}]: {c.url} "{_one_line(c.title)}"' for c in citations)
        return f"{definitions}\n\n{_MARKER.sub(marked, text)}"

    def learn_more(self, text: str) -> str:
        """The line of links below the answer; "" if it cites nothing."""
        cited = self._cited(text)
        links = " ".join(f"[{i}. {_host(citation.url)}]({citation.url})" for i, citation in enumerate(cited, 1))
        return f"Learn more: {links}" if links else ""

    def attributions(self, text: str) -> list[dict[str, object]]:
        """`sourceAttributions`, in the order in which the text cites."""
        return [
            {"providerDisplayName": citation.title, "seeMoreUrl": citation.url, "searchQuery": ""}
            for citation in self._cited(text)
        ]

    def _cited(self, text: str) -> list[Citation]:
        """What the text cites, by first appearance."""
        by_number = {citation.number: citation for citation in self.citations}
        if not by_number:
            return []
        numbers = (int(found) for found in _MARKER.findall(text))
        return [by_number[number] for number in dict.fromkeys(numbers) if number in by_number]


def _one_line(title: str) -> str:
    return " ".join(title.split())


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
