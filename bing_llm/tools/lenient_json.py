r"""Lenient JSON: values that a model wrote and a service may have changed on the way, also in the middle of prose.

What is not strict JSON is repaired only where nothing can be lost:

==========================================  ==========================================================================
what                                        how it is read
==========================================  ==========================================================================
a control character in a string             as it is
a code fence around the whole               goes
typographic or single quotes that delimit   as plain ones
`True`, `False`, `None`                     as `true`, `false`, `null`
a comma before a closing brace or bracket   goes
a citation marker `[^1^]` outside strings   goes
a backslash that JSON does not know         outside strings before punctuation, and in one before ``_<>'`~#``: goes
`\xhh` in a string                          as `\u00hh`
a brace or bracket too many after a value   goes
missing closing braces at the end           added, but only where the writer closed the block around them
==========================================  ==========================================================================

The rest is a guess and is not repaired: another backslash in a string (`\d`, `\(` may be a regular expression's), a
string without an end, names without quotes, comments, missing commas.
"""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Iterable, Iterator
from typing import NoReturn

NEEDLESSLY_ESCAPED = frozenset("_<>'`~#")
"""The signs before which a backslash in a string is taken for Markdown's: in other notations too it changes little."""

_MAX_DEPTH = 100  # whoever reads or writes such a value later may be recursive
_MAX_DIGITS = 4300  # of an integer: Python's own limit where it has one; to read more takes quadratic time
_NEAR = 20  # characters to each side of a fault

_between = re.compile(r"[\s,]*")
_bracket = re.compile(r"[{}\[\]]")  # quotes in prose do not delimit strings
# A string runs to the end of the text if nothing ends it: then it is not read again.
_string_or_bracket = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]]', re.DOTALL)
_begins_json = re.compile(r'\{\s*"|\[\s*[{\["]')
_OPENERS = {"}": "{", "]": "["}

_blank = re.compile(r"[\s\u200b\ufeff]+|\[\^[0-9]+\^\]")
_sign = re.compile(r"[{}\[\]:]|-?[0-9][0-9.eE+-]*")
_word = re.compile(r"-?[A-Za-z]+")
_opening_fence = re.compile(r"\s*(?:`{3,}|~{3,})[ \t]*[A-Za-z_]*")
_escape = re.compile(r'\\x([0-9a-fA-F]{2})|\\(.)|"', re.DOTALL)

_BLANKS = " \t\n\r"
_GLUED = frozenset(("}{", "}[", "]{", "]["))
_CLOSERS = {"{": "}", "[": "]"}
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_NON_FINITE = frozenset(("nan", "inf", "infinity"))
_ESCAPES = frozenset('"\\/bfnrtu')
_PUNCTUATION = frozenset(string.punctuation) - frozenset("\"'\\")
_ENDS = {
    '"': '"',
    "'": "'",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u201f": "\u201d",
    "\u2018": "\u2019",
    "\u2019": "\u2019",
}
"""The quotes that may open a string, and those that end it."""

# The rest of a string; unrolled, so that no character is read twice. It always matches: the last group says how.
_rests = {
    quote: re.compile(rf"([^{ends}\\]*(?:\\.[^{ends}\\]*)*)([{ends}]?)", re.DOTALL) for quote, ends in _ENDS.items()
}


class Unreadable(ValueError):
    """The text is not JSON. The message is one sentence that a model can act on."""


def read_values(text: str, *, closed: bool, unique: bool = False) -> list[object]:
    """The JSON values that the text consists of, one or more; the last of equal keys wins, unless `unique`.

    Several are separated by whitespace or commas; objects and lists also by nothing.

    Args:
        text: All of it, of any length: the time is linear.
        closed: Whether the writer closed the block that holds it; only then missing closing braces are added.
        unique: Whether an object may not have two values under one key.

    Raises:
        Unreadable: It is not JSON, even after the repairs of the module's table; or a value is NaN, infinite, an
            integer of over 4,300 digits, or nested over 100 levels deep; or a key must be unique and is not.
    """
    decoder = _unique if unique else _lenient
    try:
        return _values(text, decoder)
    except json.JSONDecodeError as exc:
        broken = exc
    try:
        return _values("".join(_repaired(text, closed=closed)), decoder)
    except json.JSONDecodeError:
        raise Unreadable(_fault(text, broken)) from broken


def extent(text: str, at: int) -> int | None:
    """Where the object or list that begins at this position ends, by its brackets and strings; None if it does not."""
    depth = 0
    for mark in _string_or_bracket.finditer(text, at):
        depth += (mark[0] in "{[") - (mark[0] in "}]")
        if depth == 0:
            return mark.end()
    return None


def is_json(text: str) -> bool:
    """Whether `json.loads` reads the text, and `read_values` the same one value from it without any repair."""
    text = text.strip(_BLANKS)
    try:
        value, end = _strict.raw_decode(text)
        _check_depth(text, [value])
    except (ValueError, RecursionError):
        return False
    return end == len(text)


def json_in(text: str) -> str:
    """The JSON in a text, such that `json.loads` reads it; "" if there is none.

    That is the whole text if it is one value; otherwise the last object, or list that holds an object; without either,
    the last list. What is inside other braces or brackets, or inside JSON that was cut off, does not count. What had
    to be repaired is serialized again. The time is linear.
    """
    if whole := _single_value(text)[0]:
        return whole
    any_list = ""
    for start, end in reversed(_pairs(text)):
        found, value = _single_value(text[start:end])
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
            return found
        any_list = any_list or found
    return any_list


def _values(text: str, decoder: json.JSONDecoder) -> list[object]:
    values: list[object] = []
    position = len(text) - len(text.lstrip(_BLANKS))
    while position < len(text) or not values:
        try:
            value, end = decoder.raw_decode(text, position)
        except RecursionError:
            raise _too_deep() from None
        values.append(value)
        position = _end(_between, text, end)
        if position == end < len(text) and text[end - 1 : end + 1] not in _GLUED:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    _check_depth(text, values)
    return values


def _repaired(text: str, *, closed: bool) -> Iterator[str]:
    """The text as strict JSON, but for control characters in strings, in parts."""
    position, end = _inside_fence(text)
    waiting: list[str] = []  # the closers of what is open
    before = ""  # the last sign; a comma is written when it is seen that none closes after it
    while position < end:
        sign = text[position]
        if blank := _blank.match(text, position, end):
            yield " "
            position = blank.end()
            continue
        if sign == "\\" and text[position + 1 : position + 2] in _PUNCTUATION:
            position += 1
            continue
        if sign == ",":
            if before in ("", ",", ":", "{", "["):
                raise json.JSONDecodeError("Expecting value", text, position)
            position, before = position + 1, sign
            continue
        if before == "," and sign not in "}]":
            yield ","
        if sign in "}]" and not waiting and before in ("}", "]"):
            position += 1
            continue
        token, position = _token(text, position, end)
        _follow(waiting, token, position, text)
        before = token
        yield token
    if waiting and not closed:
        raise _truncated()
    yield from reversed(waiting)


def _token(text: str, position: int, end: int) -> tuple[str, int]:
    """The string, word, number or sign at the position as JSON, and where it ends."""
    sign = text[position]
    if sign in _rests:
        rest = _rests[sign].match(text, position + 1, end)
        if rest is None or not rest[2]:
            raise _truncated()
        return f'"{_escape.sub(_as_json, rest[1])}"', rest.end()
    if found := _sign.match(text, position, end):
        return found[0], found.end()
    word = _word.match(text, position, end)
    if word and word[0].lower().lstrip("-") in _NON_FINITE:
        _refuse_non_finite(word[0])
    if word is None or word[0] not in _WORDS:
        raise json.JSONDecodeError("Expecting value", text, position)
    return _WORDS[word[0]], word.end()


def _follow(waiting: list[str], token: str, position: int, text: str) -> None:
    if token in _CLOSERS:
        waiting.append(_CLOSERS[token])
        if len(waiting) > _MAX_DEPTH:
            raise _too_deep()
    elif token in ("}", "]") and (not waiting or waiting.pop() != token):
        raise json.JSONDecodeError("Expecting value", text, position)


def _as_json(found: re.Match[str]) -> str:
    """An escape or a quote inside a string, as JSON writes it."""
    code, escaped = found.groups()
    if code:
        return f"\\u00{code}"
    if escaped is None:
        return '\\"'
    if escaped in _ESCAPES:
        return found[0]
    if escaped in NEEDLESSLY_ESCAPED:
        return str(escaped)
    raise Unreadable(
        f"The JSON has a string with {found[0]!r:.8}, which is not an escape of JSON: write a backslash as two."
    )


def _inside_fence(text: str) -> tuple[int, int]:
    opening = _opening_fence.match(text)
    inside = text.rstrip()
    for fence in ("```", "~~~"):
        if inside.endswith(fence):
            inside = inside.rstrip(fence)
    return opening.end() if opening else 0, len(inside)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _check_depth(text: str, value: object) -> None:
    if text.count("{") + text.count("[") <= _MAX_DEPTH:
        return
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [part for whole in level for part in _parts(whole) if isinstance(part, dict | list)]
        if not level:
            return
    raise _too_deep()


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _fault(text: str, broken: json.JSONDecodeError) -> str:
    if not text.strip():
        return "There is no JSON: write one object."
    near = " ".join(text[max(0, broken.pos - _NEAR) : broken.pos + _NEAR].split())
    return f"The JSON is broken near {near!r}: {broken.msg}."


def _truncated() -> Unreadable:
    return Unreadable("The JSON ends before it is complete: write it to its last quote and brace.")


def _too_deep() -> Unreadable:
    return Unreadable(f"The JSON is nested over {_MAX_DEPTH} levels deep: write a flatter one.")


def _refuse_non_finite(word: str) -> NoReturn:
    raise Unreadable(f"{word} is not JSON: write a finite number or null.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Unreadable("The JSON has a number that is too large: write a smaller one, or a string.")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Unreadable(f"The JSON has a number of over {_MAX_DIGITS} digits: write a shorter one, or a string.")
    return int(digits)


def _single_value(text: str) -> tuple[str, object]:
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
    while found := (_string_or_bracket if waiting else _bracket).search(text, position):
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


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs, if no key has two values."""
    whole = dict(pairs)
    if len(whole) < len(pairs) and (twins := [key for key, part in pairs if whole[key] != part]):
        raise Unreadable(f'The JSON has two values under "{twins[0]:.60}": write one.')
    return whole


_strict, _lenient, _unique = (
    json.JSONDecoder(
        strict=strict,
        parse_constant=_refuse_non_finite,
        parse_float=_finite,
        parse_int=_integer,
        object_pairs_hook=hook,
    )
    for strict, hook in ((True, None), (False, None), (False, _without_twins))
)
