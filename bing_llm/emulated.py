"""The backend of `Emulated`: a ChatHub backend, and the server on this machine that it speaks to."""

from __future__ import annotations

import asyncio
import logging
import socket
import weakref
from typing import TYPE_CHECKING

from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.services import ChatHub
from bing_llm.sync import background_loop

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bing_llm.emulator import Emulator
    from bing_llm.limits import Limits, Timeouts
    from bing_llm.services import Emulated

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"


class EmulatedBackend(ChatHubBackend):
    """A ChatHub backend that closes its server with its connections.

    To open it does not wait for the server: its socket listens at once, and connections wait in the socket's queue
    until the server takes them. The server runs on the background loop, so it outlives the loop of its first use.
    """

    def __init__(self, service: Emulated, *, timeouts: Timeouts, limits: Limits) -> None:
        listening = socket.create_server((_HOST, 0))
        local = ChatHub(
            endpoint=f"http://{_HOST}:{listening.getsockname()[1]}",
            cookies="",  # nothing of the environment either
            model=service.model,
            search=service.search,
            location=service.location,
            prompt_limit=service.prompt_limit,
            locale=service.locale,
            option_sets=service.option_sets,
        )
        super().__init__(local, timeouts=timeouts, limits=limits)
        self._server = _Server(listening)

    async def aclose(self) -> None:
        """Close the connections, and the server with what it keeps. May be called twice."""
        await super().aclose()
        await self._server.aclose()


class _Server:
    """An emulator on the background loop; the same for all models of a backend."""

    def __init__(self, listening: socket.socket) -> None:
        self._started = asyncio.run_coroutine_threadsafe(_start(listening), background_loop())
        # For a client that nobody closed; at the end of the process all is gone anyway.
        weakref.finalize(self, _close_soon, self._started).atexit = False

    async def aclose(self) -> None:
        closing = asyncio.run_coroutine_threadsafe(_close(self._started), background_loop())
        await asyncio.shield(asyncio.wrap_future(closing))


async def _start(listening: socket.socket) -> Emulator:
    from bing_llm.emulator import Emulator  # noqa: PLC0415 - on the background loop: it takes a while

    emulator = Emulator()
    try:
        await emulator.start(listening)
    except BaseException:
        listening.close()  # so that the connections which wait for it are refused
        _log.exception("The emulator did not start.")
        raise
    return emulator


def _close_soon(started: Future[Emulator]) -> None:
    asyncio.run_coroutine_threadsafe(_close(started), background_loop())


async def _close(started: Future[Emulator]) -> None:
    try:
        emulator = await asyncio.wrap_future(started)
    except Exception:  # noqa: BLE001 - whatever it was, it has been logged, and nothing runs
        return
    await emulator.aclose()
