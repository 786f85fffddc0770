"""The tags around names in an answer: `<Person>`, `<File>` and `<Event>` (docs/protocol/workiq.md, section 5)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_half_tag", "without_tags"]

_NAMES: Final = ("Person", "File", "Event")
_SPACES = re.compile(r"[ \t\r\n]")

# The samples have no attributes. Some are let pass, in case they come.
_LONGEST_ATTRIBUTES: Final = 200
_TAG = re.compile(rf"</?(?:{'|'.join(_NAMES)})(?:[ \t\r\n][^<>]{{0,{_LONGEST_ATTRIBUTES - 1}}})?>")
_LONGEST_HALF: Final = len("</") + max(map(len, _NAMES)) + _LONGEST_ATTRIBUTES


def without_tags(text: str) -> str:
    """The text with the names alone."""
    return _TAG.sub("", text)


def without_half_tag(text: str) -> str:
    """The text up to a tag that is not complete: what follows may make it one."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_HALF))
    return text[:start] if start >= 0 and _is_half(text[start:]) else text


def _is_half(tail: str) -> bool:
    name, *attributes = _SPACES.split(tail.removeprefix("<").removeprefix("/"), maxsplit=1)
    if not attributes:
        return any(known.startswith(name) for known in _NAMES)
    return name in _NAMES and ">" not in attributes[0] and len(attributes[0]) < _LONGEST_ATTRIBUTES
