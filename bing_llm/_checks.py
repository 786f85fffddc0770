"""Checks of what callers pass, before anything is sent: types by the declared fields, and text."""

from __future__ import annotations

from typing import Any

import msgspec

from bing_llm.errors import ConfigurationError, InvalidRequest


def check_types(settings: msgspec.Struct, name: str) -> None:
    """Refuse a field whose value is not of its declared type; msgspec declares but does not check when one is made.

    Raises:
        ConfigurationError: A field has another type, or text that is not Unicode; the text names the field, never its
            value.
    """
    try:
        msgspec.convert(msgspec.structs.asdict(settings), type(settings))
        msgspec.json.encode(settings, enc_hook=str)
    except msgspec.ValidationError as exc:
        said, _, place = str(exc).partition(" - at `$.")
        field = place.rstrip("`") or "a field"
        raise ConfigurationError(f"{name} has a value of another type in {field}: {said}.") from exc
    except UnicodeEncodeError as exc:
        msg = f"{name} holds half of a surrogate pair, which is not text."
        raise ConfigurationError(msg) from exc


def check_text(value: Any, name: str) -> None:
    """Refuse what is not text, or text that cannot be sent.

    Raises:
        InvalidRequest: It is not a str, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is a {type(value).__name__}; it must be a str.")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            f"{name} holds half of a surrogate pair at character {exc.start}, which is not text."
        ) from exc
