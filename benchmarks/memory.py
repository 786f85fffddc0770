"""A service whose answer is in memory: no socket, no parsing, no wait."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import msgspec

from bing_llm import events as ev
from bing_llm.backends.base import AnyBackend, ConversationInfo
from bing_llm.client import BingClient
from bing_llm.errors import UNMETERED
from bing_llm.limits import Deadline, Limits, Timeouts
from bing_llm.messages import Prompt

__all__ = ["client_from_memory", "words"]

_VOCABULARY = ("the ", "moon ", "makes ", "tides ", "of ", "every ", "sea ", "and ", "most ", "rivers ")
_STRETCH = 100  # as many events in a row as the ChatHub's channel gives as ready


def words(count: int) -> list[str]:
    """So many one-word deltas."""
    return list(itertools.islice(itertools.cycle(_VOCABULARY), count))


def client_from_memory(texts: list[str], *, reply: ev.Reply | None = None, stretch: int = _STRETCH) -> BingClient:
    """A client each of whose turns answers with these deltas, or with the text of this reply.

    Args:
        texts: The deltas.
        reply: The reply; None for the deltas together.
        stretch: How many events in a row are ready. With 1, no text is ever there to be joined.
    """
    whole = ev.Reply(text="".join(texts)) if reply is None else reply
    return BingClient(_InMemory(tuple(texts if reply is None else [reply.text]), whole, stretch))


class _InMemory(msgspec.Struct, frozen=True):
    """Implements `bing_llm.services.Service`."""

    texts: tuple[str, ...]
    reply: ev.Reply
    stretch: int
    name: str = "memory"
    model: str = "memory"
    models: tuple[str, ...] = ("memory",)

    def with_model(self, model: str, /) -> Self:
        del model
        return self

    def open(self, *, timeouts: Timeouts, limits: Limits) -> AnyBackend:
        del timeouts, limits
        return _Backend(self.texts, self.reply, self.stretch)


class _Handle(msgspec.Struct, frozen=True):
    id: str = "conversation"


class _Channel:
    def __init__(self, events: list[ev.Event], stretch: int) -> None:
        self._events = events
        self._stretch = stretch
        self._at = 0

    async def next_event(self) -> ev.Event:
        return self._take()

    def ready_event(self) -> ev.Event | None:
        return self._take() if self._at % self._stretch and self._at < len(self._events) else None

    def _take(self) -> ev.Event:
        self._at += 1
        return self._events[self._at - 1]

    async def stop(self) -> None:
        self._at = len(self._events) - 1

    def close(self) -> None:
        pass


class _Warm:
    """Implements `bing_llm.backends.base.WarmConversation`."""

    handle = _Handle()

    def alive(self) -> bool:
        return True

    async def keep_alive(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Backend:
    """Implements `bing_llm.backends.base.Backend`."""

    prompt_limit = 4000
    keeps_context = True

    metering = UNMETERED

    def __init__(self, texts: Sequence[str], reply: ev.Reply, stretch: int) -> None:
        self._stretch = stretch
        self._events: list[ev.Event] = [*map(ev.TextDelta, texts), ev.TurnCompleted(reply)]

    def with_model(self, model: str) -> _Backend:
        del model
        return self

    def check_prompt(self, prompt: Prompt) -> None:
        pass

    async def create_conversation(self, deadline: Deadline) -> _Handle:
        del deadline
        return _Handle()

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> _Handle:
        del deadline
        return _Handle(conversation_id)

    async def open_turn(self, handle: Any, prompt: Prompt, number: int, deadline: Deadline) -> _Channel:
        del handle, prompt, number, deadline
        return _Channel(self._events, self._stretch)

    async def warm_up(self, deadline: Deadline) -> _Warm:
        del deadline
        return _Warm()

    async def open_warm(self, warm: Any, prompt: Prompt, deadline: Deadline) -> _Channel:
        return await self.open_turn(warm.handle, prompt, 0, deadline)

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        del deadline
        return []

    async def delete_conversation(self, handle: Any, deadline: Deadline) -> None:
        pass

    async def aclose(self) -> None:
        pass
