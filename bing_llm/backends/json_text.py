"""JSON of a service: what would take too much memory is refused, and each failure is a `ProtocolError`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from bing_llm.errors import ProtocolError

# Counted before a text is parsed, since each value takes many times its text in memory: a frame of 16 MiB that is
# nothing but `{},` would take more than 1 GB. The largest recorded frame has some thousand values, and prose of 16 Mi
# characters has some 200,000 commas.
MAX_VALUES: Final = 500_000

T = TypeVar("T")

_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def check_values(text: str | bytes | memoryview) -> None:
    """Refuse a text that may have more than 500,000 values: as many braces, brackets and commas, in strings or not.

    Raises:
        ProtocolError: It has.
    """
    if len(text) <= MAX_VALUES:
        return
    text = bytes(text) if isinstance(text, memoryview) else text
    signs = (b"{", b"[", b",") if isinstance(text, bytes) else ("{", "[", ",")
    if sum(map(text.count, signs)) > MAX_VALUES:  # type: ignore[arg-type]  # signs are of the type of the text
        raise ProtocolError(f"The service sent a JSON text of over {MAX_VALUES:,} values.")


def decode(decoder: msgspec.json.Decoder[T], text: str | bytes | memoryview | msgspec.Raw, failure: str) -> T:
    """What a text holds, by a typed decoder.

    Args:
        decoder: Of the type to expect.
        text: The text; one that is raw is a part of a text that was checked.
        failure: What the other end has sent where it does not fit: "a record that does not parse".

    Raises:
        ProtocolError: It does not fit, is nested too deep, or has too many values.
    """
    if not isinstance(text, msgspec.Raw):
        check_values(text)
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise ProtocolError(f"The other end sent {failure}: {exc}.") from exc


def decode_json(text: str | bytes | memoryview | msgspec.Raw) -> Any:
    """What a text holds, whatever it is.

    Raises:
        ProtocolError: It is not JSON, is nested too deep, or has too many values.
    """
    return decode(_any, text, "a text that is not JSON")


def decode_or_none(text: str | bytes | memoryview | msgspec.Raw) -> Any:
    """What a text holds; None for an empty one, and for one that is not JSON."""
    try:
        return decode_json(text) if text else None
    except ProtocolError:
        return None


def objects_in(value: object) -> Iterator[dict[str, object]]:
    """The JSON objects of a list; none where it is not a list."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def text_in(item: Mapping[str, object], key: str) -> str:
    """The text of a JSON object's field; "" where that is not a text."""
    value = item.get(key)
    return value if isinstance(value, str) else ""
