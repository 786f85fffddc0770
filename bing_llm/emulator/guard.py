"""Who may talk to the emulator: programs of this machine, and no web page.

A page that a user looks at may send requests to this machine, and by rebinding its host name to a loopback address it
may read the answers too, and spend the key of `--upstream`. Its requests name it: in `Host`, which a page cannot
choose, or in `Origin`. The origins of the services themselves are taken, because published clients send them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bing_llm._urls import is_loopback
from bing_llm.emulator.received import received_of
from bing_llm.errors import ConfigurationError

ORIGINS: Final = ("https://www.bing.com", "https://edgeservices.bing.com", "https://copilot.microsoft.com")
"""Those of the services that it plays."""

CONTROL: Final = "/_emulator/"
"""Where the emulator is inspected and controlled; see `bing_llm.emulator.control`."""

_SERVICE_HOST: Final = "sydney.bing.com"
"""The host of the service, which published clients send wherever they connect to; no page can rebind that name."""

_ALL_ADDRESSES: Final = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - what is listened on, said by the user


class Guard:
    """Refuses requests that a web page of somebody else may have sent.

    Args:
        host: The address that is listened on.
        allowed_hosts: More names by which the emulator may be reached.
        allowed_origins: More origins of pages that may use it, such as `http://localhost:3000`.

    Raises:
        ConfigurationError: A name or an origin is not one.
    """

    def __init__(self, host: str, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]) -> None:
        for name, values in (("allowed_hosts", allowed_hosts), ("allowed_origins", allowed_origins)):
            if isinstance(values, str) or not all(_is_name(value) for value in values):
                raise ConfigurationError(f"{name} is {values!r}; it must be a list of str.")
        self._hosts = {_name(value) for value in (host, _SERVICE_HOST, *allowed_hosts)} - _ALL_ADDRESSES
        self._own_origins = {value.rstrip("/").lower() for value in allowed_origins}
        self._origins = self._own_origins | set(ORIGINS)
        self._takes_addresses = host in _ALL_ADDRESSES

    def refusal(self, host: str | None, origin: str | None, *, site: str | None = None, control: bool = False) -> str:
        """Why a request with these headers is refused; "" if it is not.

        Args:
            host: `Host`.
            origin: `Origin`.
            site: `Sec-Fetch-Site`, by which a browser says whether a page of another origin sends it.
            control: Whether it would control the emulator, which no page may, unless the user allowed its origin: not
                those of the services either, because no published client does.
        """
        if not self._is_allowed(host or ""):
            return "The emulator is not reached by this Host. Use --allow-host; in Python, pass allowed_hosts=."
        origins = self._own_origins if control else self._origins
        foreign = control and site in {"cross-site", "same-site"}
        if foreign if origin is None else origin.lower() not in origins:
            return "The emulator takes no requests of this Origin. Use --allow-origin; in Python, allowed_origins=."
        return ""

    def _is_allowed(self, host: str) -> bool:
        name = _name(host)
        if not name:
            return False
        # An address cannot be rebound. So if all addresses of this machine are listened on, each of them may be named.
        return is_loopback(name) or name in self._hosts or (self._takes_addresses and _is_address(name))

    @property
    def middleware(self) -> Middleware:
        """Asks before any route does; for `web.Application`."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            headers = request.headers
            why = self.refusal(
                headers.get("Host"),
                headers.get("Origin"),
                site=headers.get("Sec-Fetch-Site"),
                control=request.path.startswith(CONTROL),
            )
            if not why:
                return await handler(request)
            received_of(request).fail(why)
            return web.Response(status=403, text=f"{why}\n")

        return guard


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
