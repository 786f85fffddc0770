"""Secrets: data whose repr leaves them out and that is not pickled, and `Redactor`, which takes them out of text."""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import ClassVar, Generic, NoReturn, TypeVar

import msgspec

from bing_llm.errors import BingError

T = TypeVar("T")

_MASK = "***"
_SHORTEST = 6  # a shorter value would blank ordinary words


class SecretStruct(msgspec.Struct, frozen=True):
    """Data of which `repr` and rich show only the fields in `SHOWN`, and that is not pickled."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.SHOWN)
        return f"{type(self).__name__}({', '.join((*shown, '...'))})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, getattr(self, name)) for name in self.SHOWN]

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


def refuse_to_pickle(holder: object) -> NoReturn:
    """Keep secrets and connections out of pickles.

    Raises:
        TypeError: Always.
    """
    kind = type(holder).__name__
    msg = f"A {kind} holds cookies, tokens, signatures or connections; it is not pickled or copied. Make a new one."
    raise TypeError(msg)


class Wrapped(Generic[T]):
    """A secret on its way to the call that sends it. Tools that print local variables only see that it is one."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wrapped) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def unwrap(self) -> T:
        """The secret. Use it in the call that needs it, and keep it in no variable."""
        return self._value


def unwrap(value: T | Wrapped[T]) -> T:
    """The value, wrapped or not."""
    return value.unwrap() if isinstance(value, Wrapped) else value


class Redactor:
    """Replaces known secrets by `***`, however they are spelled.

    Texts are compared as they read after decoding: percent-encoding, escapes of JSON, entities of HTML, mixed and one
    in the other. So are the secrets, because a cookie may be encoded already.

    Args:
        secrets: The values; those of under 6 characters are left alone, since they would blank ordinary words.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = secrets

    @cached_property
    def _forms(self) -> list[str]:
        """The secrets as they may be written; found when they are first needed, since most turns log nothing."""
        forms = {form for secret in self._secrets for form in (secret, _decode_all(secret))}
        return sorted(form for form in forms if len(form) >= _SHORTEST)

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if not self._forms:
            return text
        decoded = _Decoded(text)
        hidden = [*decoded.places_of(self._forms)]
        while decoded.decode():
            hidden += decoded.places_of(self._forms)
        for start, end in reversed(_merged(hidden)):
            text = f"{text[:start]}{_MASK}{text[end:]}"
        return text

    def errors(self) -> _RedactedErrors:
        """Takes the secrets out of an error of ours that leaves the block: a service may repeat them in its words.

        The traceback begins at the block: tools that print local variables would show what the parser was given.
        """
        return _RedactedErrors(self)


class _RedactedErrors:
    """The block of `Redactor.errors`."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact

    def __enter__(self) -> None:
        """Nothing is there to redact yet."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(exc, BingError):
            return
        redact = self._redact
        exc.message = redact(exc.message)
        exc.args = (exc.message,)
        exc.value = exc.value and redact(exc.value)
        exc.service_message = exc.service_message and redact(exc.service_message)
        forget_frames(exc)
        raise exc


def forget_frames(exc: BaseException) -> None:
    """Forget where this error and its causes came from, with the local variables there."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            waiting += [each.__cause__, each.__context__]


_ESCAPE = re.compile(
    r"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|&#[xX]([0-9A-Fa-f]{1,6});|&#([0-9]{1,7});"
    r"|&(amp|lt|gt|quot|apos);|\\(.)"
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_DEEPEST = 5  # encodings one in the other; each makes a text longer, and nobody reads what is deeper


class _Decoded:
    """A text, decoded step by step, and where its characters come from.

    Attributes:
        text: What it reads as now.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts: Sequence[int] | None = None  # of each character, and the end; None for the text as it came
        self._left = _DEEPEST

    def decode(self) -> bool:
        """Decode what is encoded now; False if nothing is, or if it was done often enough."""
        if not self._left or _ESCAPE.search(self.text) is None:
            return False
        self._left -= 1
        before = range(len(self.text) + 1) if self._starts is None else self._starts
        parts: list[str] = []
        starts = array("Q")
        at = 0
        for found in _ESCAPE.finditer(self.text):
            parts += (self.text[at : found.start()], _character(found))
            starts.extend(before[at : found.start()])
            starts.append(before[found.start()])
            at = found.end()
        starts.extend(before[at:])
        self.text, self._starts = "".join((*parts, self.text[at:])), starts
        return True

    def places_of(self, secrets: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where these stand, as half-open ranges of the text as it came."""
        starts = range(len(self.text) + 1) if self._starts is None else self._starts
        for secret in secrets:
            at = self.text.find(secret)
            while at >= 0:
                yield starts[at], starts[at + len(secret)]
                at = self.text.find(secret, at + len(secret))


def _character(found: re.Match[str]) -> str:
    percent, unicode_, byte, hexadecimal, decimal, entity, plain = found.groups()
    for digits, base in ((percent, 16), (unicode_, 16), (byte, 16), (hexadecimal, 16), (decimal, 10)):
        if digits is not None:
            code = int(digits, base)
            return chr(code) if code <= sys.maxunicode else "\ufffd"
    return _ENTITIES[entity] if entity is not None else plain


def _decode_all(text: str) -> str:
    decoded = _Decoded(text)
    while decoded.decode():
        pass
    return decoded.text


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that overlap, as one; in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
