"""JSON objects that stand in running text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["FoundObject", "find_objects"]

_decoder = json.JSONDecoder()


class FoundObject(NamedTuple):
    """One object, and where in the text it stands."""

    value: dict[str, Any]
    start: int
    end: int


def find_objects(text: str) -> Iterator[FoundObject]:
    """The outermost JSON objects of a text, in order."""
    start = text.find("{")
    while start >= 0:
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield FoundObject(value, start, end)
        start = text.find("{", end)
