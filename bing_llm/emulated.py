"""The backend of `Emulated`: a ChatHub backend, and the server on this machine that it speaks to."""

from __future__ import annotations

import asyncio
import logging
import socket
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING

from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.services import ChatHub
from bing_llm.sync import background_loop

if TYPE_CHECKING:
    from bing_llm.backends.base import ConversationInfo
    from bing_llm.backends.chathub.request import ChatHubConversation
    from bing_llm.emulator import Emulator
    from bing_llm.limits import Deadline, Limits, Timeouts
    from bing_llm.services import Emulated

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"


class EmulatedBackend(ChatHubBackend):
    """A ChatHub backend that starts its server with the first call, and closes it with its connections.

    Nobody waits for the start: the socket listens as soon as the backend is opened, and connections wait in its queue
    until the server takes them. The server runs on the background loop, so it outlives the loop of its first use.
    """

    def __init__(self, service: Emulated, *, timeouts: Timeouts, limits: Limits) -> None:
        self._server = _Server()
        local = ChatHub(
            endpoint=f"http://{_HOST}:{self._server.port}",
            cookies="",  # nothing of the environment either
            model=service.model,
            search=service.search,
            location=service.location,
            prompt_limit=service.prompt_limit,
            locale=service.locale,
            option_sets=service.option_sets,
        )
        super().__init__(local, timeouts=timeouts, limits=limits)

    # What a turn needs comes from one of these calls, so there is always a server for it.

    async def create_conversation(self, deadline: Deadline) -> ChatHubConversation:
        """Create a conversation."""
        self._server.start()
        return await super().create_conversation(deadline)

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> ChatHubConversation:
        """Fresh signatures for a conversation that exists."""
        self._server.start()
        return await super().open_conversation(conversation_id, deadline)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """The conversations that the server keeps."""
        self._server.start()
        return await super().list_conversations(deadline)

    async def aclose(self) -> None:
        """Close the connections, and the server with what it keeps. May be called twice."""
        await super().aclose()
        await self._server.aclose()


class _Server:
    """An emulator on the background loop; the same for all models of a backend.

    It may be used from several threads. It has no lock, which a fork could copy while it is held: whoever takes the
    listening socket out of its list starts the server, or closes it.
    """

    def __init__(self) -> None:
        listening = socket.create_server((_HOST, 0))
        self.port: int = listening.getsockname()[1]
        # As a file descriptor: Python would warn of a socket that is left open when the process ends.
        self._listening = [listening.detach()]
        self._started: Future[Emulator] = Future()
        # For a client that nobody closed; at the end of the process all is gone anyway.
        weakref.finalize(self, _close_soon, self._listening, self._started).atexit = False

    def start(self) -> None:
        """Start the server, unless it was started or closed; does not wait for it."""
        if self._listening:
            try:
                descriptor = self._listening.pop()
            except IndexError:  # another thread was faster
                return
            asyncio.run_coroutine_threadsafe(_start(socket.socket(fileno=descriptor), self._started), background_loop())

    async def aclose(self) -> None:
        closing = _close_soon(self._listening, self._started)
        if closing is not None:
            await asyncio.shield(asyncio.wrap_future(closing))


async def _start(listening: socket.socket, started: Future[Emulator]) -> None:
    try:
        from bing_llm.emulator import Emulator  # noqa: PLC0415 - on the background loop: it takes a while

        emulator = Emulator()
        await emulator.start(listening)
    except BaseException as exc:
        listening.close()  # so that the connections which wait for it are refused
        _log.exception("The emulator did not start.")
        started.set_exception(exc)
        raise
    started.set_result(emulator)


def _close_soon(listening: list[int], started: Future[Emulator]) -> Future[None] | None:
    """Close the server; what is returned ends when it is closed, None if it was never started."""
    try:
        socket.close(listening.pop())
    except IndexError:
        return asyncio.run_coroutine_threadsafe(_close(started), background_loop())
    started.cancel()
    return None


async def _close(started: Future[Emulator]) -> None:
    if started.cancelled():
        return
    try:
        emulator = await asyncio.wrap_future(started)
    except Exception:  # noqa: BLE001 - whatever it was, it has been logged, and nothing runs
        return
    await emulator.aclose()
