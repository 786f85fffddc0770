"""Strings for a JSON schema."""

from __future__ import annotations

import re
from typing import Any

from bing_llm.emulator.obedience.evidence import Evidence, words_of
from bing_llm.emulator.obedience.schemas import Schema

__all__ = ["placeholder", "string"]

_PLACES = {"address", "city", "country", "destination", "location", "origin", "place", "region", "state", "town"}
_TEXTS = {"content", "expression", "input", "instruction", "message", "prompt", "query", "question", "request", "text"}
_TOPICS = {"keyword", "subject", "theme", "topic"}

_PATTERNS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+\.[\w.]*\w"),
    "url": re.compile(r"https?://[^\s<>\"')]+"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
}
_FORMATS = {
    "date": "2024-01-01",
    "date-time": "2024-01-01T00:00:00Z",
    "email": "user@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def string(schema: Schema, name: str, evidence: Evidence, *, needed: bool) -> str | None:
    """The string of the question for this property; None where it holds none.

    In this order: a value that is named (`unit: metric`), an e-mail address, URL, date or time where the name asks
    for one, the next quoted string, the whole question for a query, the next name of a place or of anything.
    """
    kinds = words_of(name)
    found = evidence.value_named(name) or _patterned(schema, kinds, evidence) or evidence.take_quoted()
    if found is None and kinds & _PLACES:
        found = evidence.take_place()
    if found is None and kinds & _TEXTS and needed:
        found = evidence.text
    if found is None and (needed or not name):
        found = (evidence.subject or None) if kinds & _TOPICS else evidence.take_name()
    return found if found is not None and _fits(schema, found) else None


def placeholder(schema: Schema, name: str, evidence: Evidence) -> str:
    """A string that is made up: the property's name, and what the question is about."""
    known = _FORMATS.get(str(schema.get("format", "")))
    if known is not None:
        return known
    words = name.replace("_", " ").strip().capitalize() or "Text"
    text = f"{words} ({evidence.subject})" if evidence.subject else words
    longest = schema.get("maxLength")
    text = text[:longest] if isinstance(longest, int) else text
    shortest = schema.get("minLength")
    return text.ljust(shortest, ".") if isinstance(shortest, int) else text


def _patterned(schema: Schema, kinds: set[str], evidence: Evidence) -> str | None:
    wanted = {str(schema.get("format", "")).replace("uri", "url")} | kinds
    for kind, pattern in _PATTERNS.items():
        if kind in wanted and (found := pattern.search(evidence.text)):
            return found[0]
    return None


def _fits(schema: Schema, value: str) -> bool:
    shortest, longest, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if isinstance(shortest, int) and len(value) < shortest:
        return False
    if isinstance(longest, int) and len(value) > longest:
        return False
    return not isinstance(pattern, str) or _matches(pattern, value)


def _matches(pattern: Any, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True
