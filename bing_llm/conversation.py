"""Conversations, and where the attempts of a turn come from: one's own conversation, or one made for a single turn."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Protocol

from bing_llm import events as ev
from bing_llm._checks import check_text
from bing_llm._retry import Attempts, retried
from bing_llm._slots import Slots
from bing_llm.backends.base import Backend, ConversationHandle, TurnChannel
from bing_llm.errors import (
    BingError,
    ConnectionLost,
    ConversationBusy,
    ConversationEnded,
    InvalidRequest,
    PromptTooLong,
    SessionExpired,
    TimedOut,
    TurnLimitReached,
    Unauthorized,
    is_transient,
)
from bing_llm.images import ImageSource, load_image
from bing_llm.limits import Deadline, Retries, Timeouts
from bing_llm.messages import Prompt
from bing_llm.stream import TurnStream
from bing_llm.warm import WarmPool

__all__ = ["Conversation", "SingleTurn", "Workplace", "make_prompt", "new_deadline"]

# What a fresh conversation may mend: a socket that broke, or went silent or was closed without a word while it waited
# (which also means a prompt that is too long); a conversation or its signature that expired.
_STALE = (ConnectionLost, TimedOut, PromptTooLong, SessionExpired, Unauthorized)


class Workplace(Protocol):
    """What turns need of their client; internal."""

    @property
    def backend(self) -> Backend:
        """The service."""

    @property
    def timeouts(self) -> Timeouts:
        """The limits."""

    @property
    def retries(self) -> Retries:
        """The attempts."""

    @property
    def slots(self) -> Slots | None:
        """How many turns may be open at once; None for no limit."""

    @property
    def pool(self) -> WarmPool:
        """What is ready for first turns."""


def make_prompt(backend: Backend, text: str, context: str | None = None, images: Sequence[ImageSource] = ()) -> Prompt:
    """A prompt that the backend takes.

    Raises:
        InvalidRequest: The backend would not take it, or an image cannot be read.
    """
    check_text(text, "The prompt")
    if context is not None:
        check_text(context, "The context")
    if not isinstance(images, list | tuple):
        msg = f"images is a {type(images).__name__}; it must be a list of images, even of one."
        raise InvalidRequest(msg)
    prompt = Prompt(text, context, tuple(load_image(image) for image in images))
    backend.check_prompt(prompt)
    return prompt


def new_deadline(workplace: Workplace) -> Deadline:
    """The deadline of an operation that begins now."""
    label = f"[turn {uuid.uuid4().hex[:8]}]"
    return Deadline(workplace.timeouts.turn, workplace.retries.clock or time.monotonic, label)


class SingleTurn:
    """A turn in a conversation of its own: it may be opened again in a new one until it gives text.

    The first attempt takes a warm conversation, where one is ready. That has waited, and may have gone stale unseen; so
    the next attempts go the whole way.
    """

    def __init__(self, workplace: Workplace, prompt: Prompt) -> None:
        self._workplace = workplace
        self._prompt = prompt
        self._is_first = True
        self._is_warm = False

    @property
    def slots(self) -> Slots | None:
        """Those of the client."""
        return self._workplace.slots

    def begin(self) -> tuple[Attempts, Deadline]:
        """A fresh budget. An expired conversation is no obstacle here: each attempt makes a new one."""
        deadline = new_deadline(self._workplace)

        def may_retry(exc: BingError) -> bool:
            return is_transient(exc) or isinstance(exc, SessionExpired)

        return Attempts(self._workplace.retries, deadline, may_retry), deadline

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Send the turn in a warm conversation or a new one."""
        _, channel = await self._opened(deadline)
        return channel

    async def _opened(self, deadline: Deadline) -> tuple[ConversationHandle, TurnChannel]:
        """One attempt: the conversation, and the turn in it."""
        workplace = self._workplace  # asked for its backend anew each time: the client may be closed meanwhile
        warm = await workplace.pool.take() if self._is_first else None
        self._is_first, self._is_warm = False, warm is not None
        if warm is not None:
            return warm.handle, await workplace.backend.open_warm(warm, self._prompt, deadline)
        handle = await workplace.backend.create_conversation(deadline)
        return handle, await workplace.backend.open_turn(handle, self._prompt, 0, deadline)

    def may_reopen(self) -> bool:
        """Nothing is lost with the conversation."""
        return True

    def falls_back(self, failure: BingError) -> bool:
        """Whether the attempt that failed was on a warm conversation, and that may be why: the next one is new."""
        return self._is_warm and isinstance(failure, _STALE)

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """Nothing to keep."""


class _Thread:
    """What is known of a conversation: how many turns it was sent, whether one runs, whether it takes more."""

    def __init__(self, workplace: Workplace, handle: ConversationHandle) -> None:
        self.workplace = workplace
        self.handle = handle
        self.turns_sent = 0
        self.is_running = False
        self.quota: ev.Quota | None = None
        self.ended = False

    def check_free(self) -> None:
        if self.is_running:
            msg = "A turn of this conversation is still running."
            raise ConversationBusy(msg)
        if self.ended:
            msg = "This conversation has ended; it takes no further turn."
            raise ConversationEnded(msg)
        if self.quota is not None and self.quota.spent:
            msg = (
                f"This conversation has had {self.quota.used} of the {self.quota.limit} turns that the service allows."
            )
            raise TurnLimitReached(msg)


class _ThreadTurn:
    """A turn of an explicit conversation: opened again only while its request was not sent."""

    def __init__(self, thread: _Thread, prompt: Prompt) -> None:
        self._thread = thread
        self._prompt = prompt

    @property
    def slots(self) -> Slots | None:
        return self._thread.workplace.slots

    def begin(self) -> tuple[Attempts, Deadline]:
        self._thread.check_free()
        self._thread.is_running = True
        deadline = new_deadline(self._thread.workplace)

        def may_retry(exc: BingError) -> bool:
            # A connection that broke while the request went out may have delivered it.
            return is_transient(exc) and not isinstance(exc, ConnectionLost)

        return Attempts(self._thread.workplace.retries, deadline, may_retry), deadline

    async def open(self, deadline: Deadline) -> TurnChannel:
        thread = self._thread
        channel = await thread.workplace.backend.open_turn(thread.handle, self._prompt, thread.turns_sent, deadline)
        thread.turns_sent += 1
        return channel

    def may_reopen(self) -> bool:
        return False

    def falls_back(self, failure: BingError) -> bool:  # noqa: ARG002 - of all sources
        return False

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        thread = self._thread
        thread.is_running = False
        if isinstance(error, ConversationEnded):
            thread.ended = True
        if reply is not None:
            thread.quota = reply.quota or thread.quota
            thread.ended = thread.ended or reply.conversation_ended


class Conversation:
    """Turns that the service remembers. Made by `BingClient.create_conversation`.

    One turn at a time: a second one raises `ConversationBusy`. An explicit conversation is never replaced: when the
    service has ended it, or its turns are used up, the next turn raises.
    """

    def __init__(self, workplace: Workplace, handle: ConversationHandle) -> None:
        self._thread = _Thread(workplace, handle)

    @property
    def id(self) -> str:
        """The service's id of this conversation."""
        return self._thread.handle.id

    @property
    def handle(self) -> ConversationHandle:
        """The conversation as the backend knows it; for adapters. It holds secrets."""
        return self._thread.handle

    @property
    def quota(self) -> ev.Quota | None:
        """Turns used and allowed, as the service last said; None before the first reply."""
        return self._thread.quota

    @property
    def ended(self) -> bool:
        """Whether the conversation takes no further turn."""
        return self._thread.ended

    def __repr__(self) -> str:
        return f"Conversation(id={self.id!r}, quota={self.quota!r})"

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> TurnStream:
        """The next turn. Nothing is sent until its first event is asked for.

        Args:
            prompt: The user's message.
            context: Text that the service shall know, as `convert` writes it.
            images: PNG, JPEG, GIF or WebP bytes, paths, `data:` or http(s) URLs; ChatHub takes one a turn.

        Raises:
            ConversationBusy: A turn of this conversation runs.
            ConversationEnded: The service ended the conversation.
            TurnLimitReached: Its turns are used up.
            InvalidRequest: The prompt or an image cannot be sent.
        """
        self._thread.check_free()
        prepared = make_prompt(self._thread.workplace.backend, prompt, context, images)
        return TurnStream(_ThreadTurn(self._thread, prepared))

    async def ask(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> ev.Reply:
        """The next turn's whole answer. Arguments and errors as in `stream`; also the errors of the turn itself."""
        async with self.stream(prompt, context=context, images=images) as turn:
            return await turn.reply()

    async def delete(self) -> None:
        """Delete this conversation at the service; it takes no further turn.

        Raises:
            BingError: The service refused, or could not be reached.
        """
        thread = self._thread
        deadline = new_deadline(thread.workplace)
        await retried(
            lambda: thread.workplace.backend.delete_conversation(thread.handle, deadline),
            Attempts(thread.workplace.retries, deadline),
        )
        thread.ended = True
