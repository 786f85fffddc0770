"""The challenge of conditional access in an HTTP 401: which claims the next token must have.

`WWW-Authenticate: Bearer ... error="insufficient_claims", claims="<base64>"` (docs/protocol/workiq.md, section 12). The
claims are a JSON object as OpenID Connect defines it (Core 1.0, section 5.5).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from bing_llm._secrets import SecretStruct
from bing_llm.backends.json_text import decode_or_none

_LONGEST = 8192  # characters; the header of a server has 8 KB in all
_CLAIMS = re.compile(rf'(?:^|[\s,])claims\s*=\s*(?:"([^"]{{1,{_LONGEST}}})"|([^\s",]{{1,{_LONGEST}}}))', re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_CONTEXT = re.compile(r"[A-Za-z0-9]{1,10}")
_FARTHEST = 253_402_300_799.0  # seconds since 1970: the end of the year 9999


class Challenge(SecretStruct, frozen=True):
    """What the service wants of the next token.

    Attributes:
        claims: The claims as JSON, as `get_token(claims=...)` of azure-core takes them.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ()

    claims: str

    @property
    def meaning(self) -> str:
        """What is wanted, in words that hold nothing of the text: "a sign-in after 2026-11-30 17:00 UTC"."""
        wanted = decode_or_none(self.claims)
        parts = list(_meanings(wanted)) if isinstance(wanted, dict) else []
        return f"a new sign-in{'; ' if parts else ''}{', '.join(dict.fromkeys(parts))}"


def find_challenge(headers: Mapping[str, str]) -> Challenge | None:
    """The challenge in the headers of an answer; None if there is none that can be read.

    Args:
        headers: By name in lower case.
    """
    found = _CLAIMS.search(headers.get("www-authenticate", ""))
    return None if found is None else parse_challenge(found[1] or found[2])


def parse_challenge(text: str) -> Challenge | None:
    """A challenge from its text: JSON, or base64 or base64url of JSON, padded or not; None if it is neither."""
    text = text.strip()
    if not text.startswith("{"):
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode().strip()
        except (binascii.Error, ValueError):
            return None
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return Challenge(text) if isinstance(decoded, dict) else None


def _meanings(wanted: Mapping[str, object]) -> Iterator[str]:
    for claims in wanted.values():
        for name, claim in claims.items() if isinstance(claims, dict) else ():
            yield _meaning(name, claim.get("value") if isinstance(claim, dict) else None)


def _meaning(name: str, value: object) -> str:
    """What one claim asks for; a value is only shown where its form is known."""
    shown = value if isinstance(value, str) else ""
    if name == "nbf" and re.fullmatch(r"\d{1,12}", shown, re.ASCII) and float(shown) <= _FARTHEST:
        return f"one after {datetime.fromtimestamp(float(shown), UTC):%Y-%m-%d %H:%M} UTC"
    if name in {"acrs", "acr"}:
        context = f" (authentication context {shown})" if _CONTEXT.fullmatch(shown) else ""
        return f"with a stronger proof of who you are{context}"
    return f"for the claim {name}" if _NAME.fullmatch(name) else "for a further claim"
