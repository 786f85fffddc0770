"""What an HTTP call sends and is answered, without the library that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import ClassVar, NamedTuple

from bing_llm._secrets import SecretStruct


class FormField(NamedTuple):
    """One field of a multipart form; without a content type it is plain text."""

    name: str
    value: str
    content_type: str | None = None


class Response(SecretStruct, frozen=True):
    """What an HTTP call, or a refused WebSocket upgrade, was answered. Its repr leaves out what may be secret.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case.
        body: The body; empty for a refused upgrade.
        retry_after: Seconds that the service asked to wait, None where it did not.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ("status",)

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    retry_after: float | None = None


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` header asks for: a number, or an HTTP date; None for none or nonsense.

    Args:
        value: The header.
        now: The time, in seconds since 1970.
    """
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
