"""Finding the JSON in a text that also holds something else."""

from __future__ import annotations

import json
import re
from typing import Any

from bing_llm.tools.reading import Unreadable, is_json, read_values

__all__ = ["json_in"]

_outside = re.compile(r"[{}\[\]]")  # quotes in prose are no strings
# A string runs to the end of the text if nothing ends it: then it is not read again.
_inside = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)
_begins_json = re.compile(r'\{\s*"|\[\s*[{\["]')
_OPENERS = {"}": "{", "]": "["}


def json_in(text: str) -> str:
    """The JSON in a text, such that `json.loads` reads it; "" if there is none.

    That is the whole text where it is one value. Else it is the last object, or list that holds an object; without
    either, the last list. Nothing inside other braces or brackets counts, or inside JSON that was cut off. What had to
    be repaired (`bing_llm.tools.reading`) is written anew. The time is linear.
    """
    if whole := _one(text)[0]:
        return whole
    a_list = ""
    for start, end in reversed(_pairs(text)):
        found, value = _one(text[start:end])
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
            return found
        a_list = a_list or found
    return a_list


def _one(text: str) -> tuple[str, Any]:
    try:
        values = read_values(text, closed=False)
    except Unreadable:
        return "", None
    value = values[0]
    if is_json(text):
        return text.strip(), value
    if len(values) > 1 or not isinstance(value, dict | list):  # `None` as the whole of a reply is a word
        return "", None
    return json.dumps(value, ensure_ascii=False), value


def _pairs(text: str) -> list[tuple[int, int]]:
    """Where each outermost pair of braces or brackets begins and ends, in order; those without a partner are none."""
    pairs: list[tuple[int, int]] = []
    waiting: list[tuple[str, int]] = []
    counts = {"{": 0, "[": 0}
    position = 0
    while found := (_inside if waiting else _outside).search(text, position):
        mark, position = found[0], found.end()
        if mark in counts:
            waiting.append((mark, found.start()))
            counts[mark] += 1
        elif mark in _OPENERS and counts[_OPENERS[mark]]:
            start = _popped(waiting, counts, _OPENERS[mark])
            while pairs and pairs[-1][0] > start:
                pairs.pop()
            pairs.append((start, position))
    # JSON that was cut off is not replaced by a part of it.
    cut = next((start for _, start in waiting if _begins_json.match(text, start)), len(text))
    return [pair for pair in pairs if pair[0] < cut]


def _popped(waiting: list[tuple[str, int]], counts: dict[str, int], opener: str) -> int:
    while True:
        mark, start = waiting.pop()
        counts[mark] -= 1
        if mark == opener:
            return start
