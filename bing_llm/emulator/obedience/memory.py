"""Facts that the user told, said again when asked for."""

# ruff: noqa: RUF001 - people write typographic apostrophes, and Russian

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["noted", "recalled"]

_VALUE = r"([^.,!?\n]{1,100})"
_TOLD = (
    (re.compile(rf"\bmy ([\w ]{{1,40}}?) (?:is|are) {_VALUE}", re.IGNORECASE), ""),
    (re.compile(rf"\bi live in {_VALUE}", re.IGNORECASE), "home"),
    (re.compile(rf"\b(?:call me|i am called|меня зовут) {_VALUE}", re.IGNORECASE), "name"),
)
_ASKED = (
    (re.compile(r"\bwhat(?:'s|’s| is| are) my ([\w ]{1,40}?)\s*(?:[?.!]|$)", re.IGNORECASE), ""),
    (re.compile(r"\bwhere do i live\b", re.IGNORECASE), "home"),
    (re.compile(r"\bwho am i\b|\bкак меня зовут\b", re.IGNORECASE), "name"),
)
_LAST = re.compile(
    r"\bwhat did i (?:just )?(?:say|ask|tell you)\b|\bwhat was my (?:last|previous) (?:question|message)\b",
    re.IGNORECASE,
)


def recalled(question: str, earlier: Sequence[str]) -> str | None:
    """The answer to a question about something that the user said; None for another question.

    Args:
        question: The user's message.
        earlier: The context and what the user said before, the oldest first.
    """
    if earlier and _LAST.search(question):
        return f"You said: “{earlier[-1].strip()}”"
    for pattern, fixed in _ASKED:
        asked = pattern.search(question)
        if asked is not None:
            thing = fixed or asked[1].lower()
            facts = dict(fact for text in (*earlier, question) for fact in _facts(text))
            return _sentence(thing, facts[thing]) if thing in facts else f"You have not told me your {thing} yet."
    return None


def noted(question: str) -> str | None:
    """The answer to a message that tells facts and asks nothing; None for another message."""
    facts = list(_facts(question))
    if not facts or "?" in question:
        return None
    return "Noted. " + " ".join(_sentence(thing, value) for thing, value in facts)


def _facts(text: str) -> Iterator[tuple[str, str]]:
    for pattern, fixed in _TOLD:
        for groups in pattern.findall(text):
            thing, value = (fixed, groups) if fixed else groups
            yield thing.lower(), value.strip()


def _sentence(thing: str, value: str) -> str:
    return f"You live in {value}." if thing == "home" else f"Your {thing} is {value}."
