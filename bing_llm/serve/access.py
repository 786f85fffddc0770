"""Who may use the front: whoever has its key, and without a key the programs of this machine alone. No I/O."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from bing_llm._guard import ALL_ADDRESSES, HostGuard
from bing_llm._secrets import Wrapped
from bing_llm._urls import is_loopback
from bing_llm.errors import ConfigurationError
from bing_llm.serve.errors import ApiError

_SHORTEST_KEY = 16  # characters: 64 bits in hexadecimal, which nobody guesses over a network

_BEARER = "bearer "


class Access:
    """Decides by the headers of a request.

    Args:
        key: What callers must send as a bearer token; None for nothing, which only works on loopback.
        host: The address that is listened on.
        allowed_hosts: More names by which the server may be reached.
        allowed_origins: Origins of web pages that may use it.

    Raises:
        ConfigurationError: Other machines may reach it and there is no key; or the key, a name or an origin cannot be
            one.
    """

    def __init__(
        self, key: str | None, *, host: str, allowed_hosts: Sequence[str] = (), allowed_origins: Sequence[str] = ()
    ) -> None:
        self._guard = HostGuard("server", host, allowed_hosts, allowed_origins)
        reaching = [name for name in (host, *allowed_hosts) if name in ALL_ADDRESSES or not is_loopback(name)]
        if key is None and reaching:
            msg = f"Other machines could reach this server as {reaching[0] or 'any address'!r}, and it has no key."
            raise ConfigurationError(msg, hint="Set BING_LLM_SERVE_KEY or use --key-file; in Python, pass key=.")
        if key is not None and not (len(key) >= _SHORTEST_KEY and _is_token(key)):
            msg = (
                f"The key of the server must be text of {_SHORTEST_KEY} printable ASCII characters or more, no blanks."
            )
            raise ConfigurationError(msg, hint='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"')
        self._digest = None if key is None else Wrapped(_digest(key))

    def takes_origin(self, origin: str) -> bool:
        """Whether web pages of this origin may use the server."""
        return self._guard.takes_origin(origin)

    def check_names(self, host: str | None, origin: str | None, remote: str | None, *, site: str | None = None) -> None:
        """Refuse a request that a web page of somebody else may have sent, and without a key one of another machine.

        Args:
            host: The header `Host`.
            origin: The header `Origin`; None for none.
            remote: The address of the caller; None or "" for a Unix socket.
            site: The header `Sec-Fetch-Site`, which browsers send.

        Raises:
            ApiError: It is refused.
        """
        why = self._guard.why_refused(host, origin, site=site)
        if not why and self._digest is None and remote and not is_loopback(remote):
            why = "This server has no key, so it takes no requests of other machines. Set BING_LLM_SERVE_KEY."
        if why:
            raise ApiError(403, why, type="permission_error", code="forbidden", should_retry=False)

    def check_key(self, authorization: str | None) -> None:
        """Refuse a request without the key.

        Args:
            authorization: The header `Authorization`.

        Raises:
            ApiError: It is refused.
        """
        if self._digest is None:
            return
        given = authorization or ""
        token = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else ""
        # Digests, because the time of the comparison would show the length of the key.
        if not hmac.compare_digest(_digest(token), self._digest.unwrap()):
            problem = "The key is not the one of this server." if token else "You did not send a key."
            hint = "Send it as the header `Authorization: Bearer ...`: OpenAI's SDKs call it the API key."
            raise ApiError(401, f"{problem} {hint}", code="invalid_api_key", should_retry=False)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _is_token(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
