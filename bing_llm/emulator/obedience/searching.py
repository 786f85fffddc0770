"""When to search the web, and what a search finds: made-up pages, on hosts that are reserved for examples."""

# ruff: noqa: RUF001 - people write typographic apostrophes, and Russian

from __future__ import annotations

import re

from bing_llm.events import SearchResult

__all__ = ["answer_from_pages", "found_pages", "needs_search", "query_of"]

_CURRENT = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|latest|recent(?:ly)?|news|headlines?|weather|forecasts?|currently|prices?|scores?"
    r"|stocks?|exchange rates?|what(?:'s|’s| is) new"
    r"|this (?:week|month|year)|right now|up to date|search the web|look up"
    r"|current(?! of\b)|who (?:is|'s) the (?:president|prime minister|king|queen|ceo|mayor)"
    r"|сегодня|завтра|сейчас|новост\w*|погод\w*|курс\w*|последни\w*|цен[аыу])\b",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^\s*(?:(?:please|hello|hi|hey|can you|could you|tell me(?: about)?"
    r"|show me|give me|find|search(?: the web)?(?: for)?|look up"
    r"|what(?:'s|’s| is| are)|who(?:'s|’s| is)|how is|the|пожалуйста|скажи|какая|какой|какие)\b[\s,:]*)+",
    re.IGNORECASE,
)
_QUERY_CHARACTERS = 80  # a longer query is no query
_NOT_IN_URL = re.compile(r"[^a-z0-9]+")


def needs_search(question: str) -> bool:
    """Whether the question asks for something current."""
    return _CURRENT.search(question) is not None


def query_of(question: str) -> str:
    """The question as one would type it into a search box."""
    words = _POLITE.sub("", " ".join(question.split())).strip(" ?!.")
    return words[:_QUERY_CHARACTERS].strip() or question.strip()[:_QUERY_CHARACTERS]


def found_pages(query: str) -> tuple[SearchResult, ...]:
    """Three pages about the query, always the same."""
    slug = _NOT_IN_URL.sub("-", query.lower()).strip("-") or "page"
    title = query[:1].upper() + query[1:]
    return (
        SearchResult(
            f"{title} - Example News",
            f"https://www.example.com/news/{slug}",
            (f"What is known about {query}, in short.", "This page is made up."),
        ),
        SearchResult(
            f"{title}: an overview",
            f"https://www.example.org/overview/{slug}",
            (f"Background, figures and dates about {query}.", "This page is made up."),
        ),
        SearchResult(
            f"Questions and answers: {query}",
            f"https://www.example.net/questions/{slug}",
            (f"What people ask about {query}.", "This page is made up."),
        ),
    )


def answer_from_pages(query: str) -> str:
    """An answer that cites the pages of `found_pages`, by their markers."""
    return (
        f"I searched the web for “{query}”. Example News has it in short [^1^], and there is an overview with "
        "background and figures [^2^]. The pages are made up: this is the emulator of bing_llm, and it has no web."
    )
