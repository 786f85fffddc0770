"""JSON objects that stand in running text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["FoundObject", "find_objects"]

_decoder = json.JSONDecoder()
_START = re.compile(r'\{\s*["}]')


class FoundObject(NamedTuple):
    """One object, and where in the text it stands."""

    value: dict[str, Any]
    start: int
    end: int


def find_objects(text: str) -> Iterator[FoundObject]:
    """The outermost JSON objects of a text, in order."""
    end = 0
    while found := _START.search(text, end):
        start, end = found.start(), found.start() + 1
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        yield FoundObject(value, start, end)
