"""Who may talk to the emulator: programs of this machine, and no web page, which could spend the key of `--upstream`.

The origins of the services themselves are taken, because published clients send them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bing_llm._guard import HostGuard
from bing_llm.emulator.received import received_of

ORIGINS: Final = ("https://www.bing.com", "https://edgeservices.bing.com", "https://copilot.microsoft.com")
"""Those of the services that it plays."""

CONTROL: Final = "/_emulator/"
"""Where the emulator is inspected and controlled; see `bing_llm.emulator.control`."""

_SERVICE_HOST: Final = "sydney.bing.com"
"""The host of the service, which published clients send wherever they connect to; no page can rebind that name."""


class Guard(HostGuard):
    """Refuses requests that a web page of somebody else may have sent.

    Args:
        host: The address that is listened on.
        allowed_hosts: More names by which the emulator may be reached.
        allowed_origins: More origins of pages that may use it, such as `http://localhost:3000`.

    Raises:
        ConfigurationError: A name or an origin is not one.
    """

    def __init__(self, host: str, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]) -> None:
        super().__init__("emulator", host, allowed_hosts, allowed_origins, own_hosts=[_SERVICE_HOST])

    def refusal(self, host: str | None, origin: str | None, *, site: str | None = None, control: bool = False) -> str:
        """Why a request with these headers is refused; "" if it is not.

        Args:
            host: `Host`.
            origin: `Origin`.
            site: `Sec-Fetch-Site`, by which a browser says whether a page of another origin sends it.
            control: Whether it would control the emulator, which no page may, unless the user allowed its origin: not
                those of the services either, because no published client does.
        """
        return self.why_refused(host, origin, site=site if control else None, also=() if control else ORIGINS)

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
