"""The messages of a context, as `bing_llm.messages.convert` writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Section", "sections_of", "told"]

_HEADER = re.compile(r"^\[(\w+)\]\(#\w+\)[ \t]*\n?", re.MULTILINE)
_USERS = {"user", "human"}


class Section(NamedTuple):
    """One message: its role in small letters, its text, and both as they stand in the context."""

    role: str
    text: str
    whole: str

    @property
    def is_user(self) -> bool:
        """Whether the user said it."""
        return self.role in _USERS


def sections_of(context: str) -> tuple[str, list[Section]]:
    """What stands before the first header, and the messages."""
    headers = list(_HEADER.finditer(context))
    starts = [*(header.start() for header in headers), len(context)]
    sections = [
        Section(header[1].lower(), context[header.end() : end], context[header.start() : end])
        for header, end in zip(headers, starts[1:], strict=True)
    ]
    return context[: starts[0]], sections


def told(context: str) -> list[str]:
    """What the system said, the oldest first."""
    return [section.text for section in sections_of(context)[1] if section.role == "system"]
