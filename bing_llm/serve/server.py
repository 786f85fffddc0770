"""The front as a server of its own, which ends in order when it is asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, Self

from aiohttp import web

from bing_llm._guard import cannot_listen
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError
from bing_llm.serve.app import FRONT, application

PORT: Final = 8080

_AT_ONCE_S = 0.1  # for requests that run when it is closed; who wants them to end waits for `run`. 0 would be no limit


# aiohttp logs requests that it cannot read with all that they hold, keys included. What our handlers do, they log.
_http_log = logging.getLogger("bing_llm.serve.http")
_http_log.setLevel(logging.CRITICAL)


class Server:
    """The front on an address of this machine; `async with Server(client) as server` starts and stops it.

    Args:
        client: What asks the service; you close it.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        **settings: The other settings of `application`.

    Raises:
        ConfigurationError: As `application`.
    """

    def __init__(self, client: BingClient, *, host: str = "127.0.0.1", port: int = PORT, **settings: Any) -> None:
        self._host = host
        self._port = port
        self._app = application(client, host=host, **settings)
        self._runner: web.AppRunner | None = None
        self._address: Sequence[Any] = ()
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        """The base URL for clients: it ends with `/v1`.

        Raises:
            ConfigurationError: It is not running.
        """
        if not self._address:
            raise ConfigurationError("The server is not running.", hint="Use `async with Server(client) as server`.")
        host, port = self._address[:2]
        return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"

    async def start(self) -> None:
        """Start listening.

        Raises:
            ConfigurationError: It is running, or the address cannot be listened on.
        """
        if self._runner is not None:
            raise ConfigurationError("The server is running already.", hint="Close it before it is started again.")
        runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=_http_log,
            handler_cancellation=True,
            shutdown_timeout=_AT_ONCE_S,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as exc:
            await runner.cleanup()
            raise cannot_listen("server", self._host, self._port, exc) from exc
        self._runner = runner
        self._address = runner.addresses[0]

    def stop(self) -> bool:
        """Take no further request, and let `run` end with the last running one. False if that was asked before."""
        front = self._app[FRONT]
        if front.draining:
            return False
        front.draining = True
        self._stop.set()
        return True

    async def run(self) -> None:
        """Wait for `stop`, and then for the requests that run. New ones get status 503 meanwhile."""
        await self._stop.wait()
        await self._app[FRONT].idle()

    async def aclose(self) -> None:
        """Stop listening, and break what is open: no turn is left running. May be called twice."""
        runner, self._runner, self._address = self._runner, None, ()
        if runner is not None:
            await runner.cleanup()
