"""How an answer cites: markers in its text, link definitions and a list of sources in its card."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bing_llm.events import Citation, SearchResult

__all__ = ["Sources"]

_MARKER = re.compile(r"\[\^(\d{1,6})\^\]")


class Sources:
    """The sources of one answer: what it defines, or else the pages that its searches found, in order."""

    def __init__(self) -> None:
        self._defined: tuple[Citation, ...] = ()
        self._found: list[SearchResult] = []

    def found(self, results: tuple[SearchResult, ...]) -> None:
        """Take in the pages of one search."""
        self._found.extend(results)

    def define(self, citations: tuple[Citation, ...]) -> None:
        """Take in the definitions themselves; they replace the pages."""
        self._defined = citations

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The definitions, in their order."""
        pages = (Citation(number, page.url, page.title) for number, page in enumerate(self._found, 1))
        return self._defined or tuple(pages)

    def used_by(self, text: str) -> bool:
        """Whether the text cites, or the definitions were given for it."""
        return bool(self._defined) or bool(self._order(text))

    def card_text(self, text: str) -> str:
        """The text as it is in the card: definitions, an empty line, and markers `[^i^][n]`, i by first appearance."""
        order = self._order(text)

        def marked(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"[^{order.index(number) + 1}^][{number}]" if number in order else found[0]

        definitions = "\n".join(f'[{c.number}]: {c.url} "{_one_line(c.title)}"' for c in self.citations)
        return f"{definitions}\n\n{_MARKER.sub(marked, text)}" if definitions else text

    def learn_more(self, text: str) -> str:
        """The line of links below the answer; "" where it cites nothing."""
        cited = self._cited(text)
        links = " ".join(f"[{i}. {_host(citation.url)}]({citation.url})" for i, citation in enumerate(cited, 1))
        return f"Learn more: {links}" if links else ""

    def attributions(self, text: str) -> list[dict[str, Any]]:
        """`sourceAttributions`, in the order in which the text cites."""
        return [
            {"providerDisplayName": citation.title, "seeMoreUrl": citation.url, "searchQuery": ""}
            for citation in self._cited(text)
        ]

    def _cited(self, text: str) -> list[Citation]:
        by_number = {citation.number: citation for citation in self.citations}
        return [by_number[number] for number in self._order(text)]

    def _order(self, text: str) -> list[int]:
        known = {citation.number for citation in self.citations}
        numbers = (int(found) for found in _MARKER.findall(text))
        return [number for number in dict.fromkeys(numbers) if number in known]


def _one_line(title: str) -> str:
    return " ".join(title.split())


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
