"""What counts as a right reply: checks of calls, text and objects. Each says why a reply is wrong, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

JsonObject: TypeAlias = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """What a model answered.

    Attributes:
        text: The text around the calls.
        calls: Names and arguments, in order.
        value: The object that was asked for; None where none was, or none came.
        problem: What the framework could not read: an invalid call, a parsing error.
    """

    text: str = ""
    calls: tuple[tuple[str, JsonObject], ...] = ()
    value: object = None
    problem: str = ""


Check: TypeAlias = Callable[[Reply], str]
"""Says why a reply is wrong; "" if it is right."""

Wanted: TypeAlias = object
"""A value to compare with, or a predicate."""


def fits(value: object, wanted: Wanted) -> bool:
    """Whether a value is what is wanted: numbers by value, texts without regard to case and space, the rest as it is.

    A predicate decides by itself. A mapping may leave out what is wanted to be None.
    """
    match wanted:
        case bool() | None:
            return value is wanted
        case str():
            return isinstance(value, str) and _plain(value) == _plain(wanted)
        case int() | float():
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isclose(value, wanted)
        case Mapping():
            return isinstance(value, Mapping) and _fits_mapping(value, wanted)
        case Sequence():
            return isinstance(value, Sequence) and len(value) == len(wanted) and all(map(fits, value, wanted))
        case _:
            return callable(wanted) and bool(wanted(value))


def _fits_mapping(value: Mapping[str, object], wanted: Mapping[str, Wanted]) -> bool:
    return all(fits(value.get(key), part) for key, part in wanted.items())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".!?")


def one_of(*wanted: Wanted) -> Wanted:
    """Any of these."""
    return lambda value: any(fits(value, one) for one in wanted)


def has(*parts: str) -> Wanted:
    """A text with all of these parts, without regard to case."""
    return lambda value: isinstance(value, str) and all(part.casefold() in value.casefold() for part in parts)


def exactly(text: str) -> Wanted:
    """This very text, with its case and its whitespace."""
    return lambda value: value == text


def any_order(*wanted: Wanted) -> Wanted:
    """A list of these, in any order, and of nothing else."""

    def check(value: object) -> bool:
        left = list(value) if isinstance(value, list) else []
        for one in wanted:
            found = next((index for index, item in enumerate(left) if fits(item, one)), None)
            if found is None:
                return False
            del left[found]
        return not left

    return check


def calls(*wanted: tuple[str, Mapping[str, Wanted]]) -> Check:
    """Exactly these calls, in any order. Arguments that are not named here may have any value."""

    def check(reply: Reply) -> str:
        if reply.problem:
            return reply.problem
        if len(reply.calls) != len(wanted):
            return f"{len(reply.calls)} calls instead of {len(wanted)}"
        left = list(reply.calls)
        for name, arguments in wanted:
            found = next((call for call in left if call[0] == name and fits(call[1], arguments)), None)
            if found is None:
                return f"no right call of {name}"
            left.remove(found)
        return ""

    return check


def says(*parts: str, without: Sequence[str] = ()) -> Check:
    """No call, and a text that has all of these parts as words, and none of the others."""

    def check(reply: Reply) -> str:
        if reply.problem or reply.calls:
            return reply.problem or f"a call of {reply.calls[0][0]} that is not needed"
        if missing := [part for part in parts if not has_words(reply.text, part)]:
            return f"the text lacks {missing[0]!r}" if reply.text.strip() else "no text"
        return next((f"the text has {part!r}" for part in without if part in reply.text), "")

    return check


def has_words(text: str, words: str) -> bool:
    """Whether the text has these words as whole words, or one of several that are separated by `|`."""
    plain = text.replace(",", "") if words.replace(".", "").isdigit() else text
    return any(re.search(rf"(?<![\w.]){re.escape(one)}(?![\w]|\.\d)", plain, re.IGNORECASE) for one in words.split("|"))


def is_object(wanted: Wanted) -> Check:
    """An object, or whatever else the schema describes, of this content."""

    def check(reply: Reply) -> str:
        if reply.problem or reply.value is None:
            return reply.problem or "no object"
        return "" if fits(reply.value, wanted) else f"another object: {reply.value!r:.200}"

    return check
