"""Who may talk to a server on this machine: its programs, and no web page of somebody else.

A page that a user looks at may send requests to this machine, and by rebinding its host name to a loopback address it
may read the answers too. Its requests name it: in `Host`, which a page cannot choose, in `Origin`, or in
`Sec-Fetch-Site`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from bing_llm._urls import is_loopback
from bing_llm.errors import ConfigurationError

ALL_ADDRESSES: Final = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - what is listened on, said by the user

_FOREIGN: Final = frozenset(("cross-site", "same-site"))  # what a browser says of a page of another origin


def cannot_listen(server: str, host: str, port: int, exc: OSError) -> ConfigurationError:
    """The error of a server that cannot listen.

    Args:
        server: What the server is: "emulator".
        host: The address.
        port: The port.
        exc: Why. asyncio puts the address into its text again, so the system's own words are taken where there are any.
    """
    reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror or exc  # of a name: below 0
    msg = f"The {server} cannot listen on {host}, port {port}: {reason}."
    return ConfigurationError(msg, hint="Pass an address of this machine, and a free port or 0.")


class HostGuard:
    """Refuses requests that a web page of somebody else may have sent.

    Args:
        server: What the server is, for the reasons: "emulator".
        host: The address that is listened on.
        allowed_hosts: More names by which the server may be reached.
        allowed_origins: More origins of pages that may use it, such as `http://localhost:3000`.
        own_hosts: Names that are always taken, besides those of loopback.

    Raises:
        ConfigurationError: A name or an origin is not one.
    """

    def __init__(
        self,
        server: str,
        host: str,
        allowed_hosts: Sequence[str],
        allowed_origins: Sequence[str],
        *,
        own_hosts: Iterable[str] = (),
    ) -> None:
        for name, values in (("allowed_hosts", allowed_hosts), ("allowed_origins", allowed_origins)):
            if isinstance(values, str) or not all(_is_name(value) for value in values):
                raise ConfigurationError(f"{name} is {values!r}; it must be a list of str.")
        self._server = server
        self._hosts = {_name(value) for value in (host, *own_hosts, *allowed_hosts)} - ALL_ADDRESSES
        self._origins = {value.rstrip("/").lower() for value in allowed_origins}
        self._takes_addresses = host in ALL_ADDRESSES

    def why_refused(
        self, host: str | None, origin: str | None, *, site: str | None = None, also: Collection[str] = ()
    ) -> str:
        """Why a request with these headers is refused; "" if it is not.

        Args:
            host: `Host`.
            origin: `Origin`.
            site: `Sec-Fetch-Site`, by which a browser says whether a page of another origin sends it; None to let pass
                what has no `Origin`.
            also: More origins that are taken, in lower case.
        """
        if not self._is_allowed(host or ""):
            return f"The {self._server} is not reached by this Host. Use --allow-host; in Python, pass allowed_hosts=."
        known = origin is None or origin.lower() in also or self.takes_origin(origin)
        if not known or (origin is None and site in _FOREIGN):
            return (
                f"The {self._server} takes no requests of this Origin. Use --allow-origin; in Python, allowed_origins=."
            )
        return ""

    def takes_origin(self, origin: str) -> bool:
        """Whether pages of this origin were allowed to use the server."""
        return origin.lower() in self._origins

    def _is_allowed(self, host: str) -> bool:
        name = _name(host)
        if not name:
            return False
        # An address cannot be rebound. So if all addresses of this machine are listened on, each of them may be named.
        return is_loopback(name) or name in self._hosts or (self._takes_addresses and _is_address(name))


def _name(host: str) -> str:
    """The name in a `Host` header, without port, brackets and a last dot; "" if it is not one."""
    if "@" in host or "/" in host:
        return ""
    try:
        parts = urlsplit(f"//{host}" if host.count(":") <= 1 or host.startswith("[") else f"//[{host}]")
        _ = parts.port  # raises if it is not a number
    except ValueError:
        return ""
    return (parts.hostname or "").removesuffix(".").lower()


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
