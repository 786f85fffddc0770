"""The emulator as a backend: the ChatHub client, speaking over loopback to a server that it starts when needed."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from bing_llm.backends.chathub.backend import ChatHubBackend
from bing_llm.backends.chathub.endpoints import resolve
from bing_llm.config import ConnectionSettings
from bing_llm.errors import BingError
from bing_llm.sync import background_loop

if TYPE_CHECKING:
    from bing_llm.backends.base import ConversationInfo
    from bing_llm.backends.chathub.creation import ChatHubConversation
    from bing_llm.backends.chathub.options import ChatHubOptions
    from bing_llm.emulator import Emulator
    from bing_llm.limits import Deadline
    from bing_llm.messages import Prompt

__all__ = ["EmulatorBackend"]


class _Home:
    """Where the emulator of one backend is kept; the same for all its models."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.started: Future[Emulator] | None = None


class EmulatorBackend(ChatHubBackend):
    """A ChatHub client with an emulator of its own, on the background loop, so that it outlives the caller's loop.

    Whatever would reach another machine (endpoint, cookies, proxy) is left out.
    """

    def __init__(self, connection: ConnectionSettings, options: ChatHubOptions) -> None:
        local = ConnectionSettings(timeouts=connection.timeouts, limits=connection.limits)
        super().__init__(local, msgspec.structs.replace(options, signed_in=False))
        self._home = _Home()

    async def _create(self, url_suffix: str, deadline: Deadline) -> ChatHubConversation:
        await self._start()
        return await super()._create(url_suffix, deadline)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """The conversations that this client's emulator keeps."""
        await self._start()
        return await super().list_conversations(deadline)

    async def _upload(self, handle: ChatHubConversation, prompt: Prompt, deadline: Deadline) -> str | None:
        if prompt.images:
            await self._start()  # a warm conversation serves all models, and this one's view may not know where it is
        return await super()._upload(handle, prompt, deadline)

    async def aclose(self) -> None:
        """Close the connections, and the emulator with what it keeps."""
        await super().aclose()
        with self._home.lock:
            started, self._home.started = self._home.started, None
        if started is not None:
            closing = asyncio.run_coroutine_threadsafe(_close(started), background_loop())
            await asyncio.shield(asyncio.wrap_future(closing))

    async def _start(self) -> None:
        home = self._home
        with home.lock:
            if home.started is None or (home.started.done() and home.started.exception()):
                home.started = asyncio.run_coroutine_threadsafe(_started_emulator(), background_loop())
                weakref.finalize(home, _close_soon, home.started).atexit = False  # a client that nobody closed
            started = home.started
        emulator = await asyncio.shield(asyncio.wrap_future(started))  # a cancelled caller does not end it for others
        self._endpoints = resolve(emulator.url)


async def _started_emulator() -> Emulator:
    from bing_llm.emulator import Emulator  # noqa: PLC0415 - the server is not needed before

    emulator = Emulator()
    await emulator.start()
    return emulator


def _close_soon(started: Future[Emulator]) -> None:
    asyncio.run_coroutine_threadsafe(_close(started), background_loop())


async def _close(started: Future[Emulator]) -> None:
    with suppress(BingError):  # a start that failed was raised where it was asked for
        emulator = await asyncio.wrap_future(started)
        await emulator.aclose()
