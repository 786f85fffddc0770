"""JSON objects that stand in running text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["FoundObject", "find_objects"]

_START = re.compile(r'\{(?=\s{0,999}["}])')
# In an object: a brace that may begin another, one that may end one, a string. Quotes in prose are no strings. One that
# its line does not end is over with it: then nothing is read twice.
_INSIDE = re.compile(rf'{_START.pattern}|\}}|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?')
_ROUNDS = 8  # how often the text may be read in vain: braces that are no JSON are read once for each level


class FoundObject(NamedTuple):
    """One object, and where in the text it stands."""

    value: dict[str, Any]
    start: int
    end: int


def find_objects(text: str) -> Iterator[FoundObject]:
    """The outermost JSON objects of a text, in order. The time is linear: behind much that only looks so, none is."""
    last = 0
    in_vain = _ROUNDS * len(text)
    for start, end in sorted(_pairs(text)):
        if start < last:
            continue
        try:
            # A slice, because an error counts the lines of the whole text before it.
            value = json.loads(text[start:end])
        except (ValueError, RecursionError):
            in_vain -= end - start
            if in_vain < 0:
                return
        else:
            yield FoundObject(value, start, end)
            last = end


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Where the braces that belong together begin and end."""
    waiting: list[int] = []
    position = 0
    while found := (_INSIDE if waiting else _START).search(text, position):
        position = found.end()
        if found[0] == "{":
            waiting.append(found.start())
        elif found[0] == "}":
            yield waiting.pop(), position
