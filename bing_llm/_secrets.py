"""Secrets: data whose repr leaves them out and that is not pickled, and `Redactor`, which takes them out of text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar, NoReturn
from urllib.parse import quote

import msgspec

from bing_llm.errors import BingError

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


class Redactor:
    """Replaces known secrets by `***`, percent-encoded and JSON-escaped ones too.

    Args:
        secrets: The values; those of under 6 characters are left alone, since they would blank ordinary words.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = secrets

    @cached_property
    def _forms(self) -> list[str]:
        """The secrets as they may be written; found when they are first needed, since most turns log nothing."""
        forms = {
            form for secret in self._secrets for form in (secret, quote(secret, safe=""), secret.replace("/", "\\/"))
        }
        # Longest first, so that a secret inside another one does not leave the rest of it standing.
        return sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self._forms:
            text = text.replace(secret, _MASK)
        return text

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Takes the secrets out of an error of ours that leaves the block: a service may repeat them in its words."""
        try:
            yield
        except BingError as exc:
            exc.message = self(exc.message)
            exc.args = (exc.message,)
            exc.value = exc.value and self(exc.value)
            exc.service_message = exc.service_message and self(exc.service_message)
            raise
