"""Conversations, and where a turn takes place: in one of these, or in a conversation made for a single turn."""

from __future__ import annotations

from collections.abc import Sequence

from bing_llm import events as ev
from bing_llm._checks import check_text
from bing_llm._retry import retried
from bing_llm.backends.base import AnyBackend, ConversationHandle, TurnChannel
from bing_llm.errors import (
    BingError,
    ConversationBusy,
    ConversationEnded,
    ConversationKind,
    InvalidRequest,
    TurnLimitReached,
)
from bing_llm.images import ImageSource, load_image
from bing_llm.limits import Deadline
from bing_llm.messages import Prompt
from bing_llm.turn import TurnContext, TurnStream, new_deadline


def make_prompt(
    backend: AnyBackend, text: str, context: str | None = None, images: Sequence[ImageSource] = ()
) -> Prompt:
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


class SingleTurn:
    """A turn in a conversation of its own.

    The first attempt takes a warm conversation, if one is ready. It may have become stale during its wait; so
    the next attempts go the whole way.

    Attributes:
        handle: The conversation of the last attempt; None before there was one.
    """

    def __init__(self, context: TurnContext, prompt: Prompt) -> None:
        self.context = context
        self.conversation: ConversationKind = "new"
        self.handle: ConversationHandle | None = None
        self._prompt = prompt
        self._is_first = True
        self._was_warm = False

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Send the turn in a warm conversation or a new one."""
        context = self.context  # its backend is looked up at each attempt, because the client may be closed between two
        warm = await context.pool.take() if self._is_first else None
        self._is_first = False
        self.conversation = "new" if warm is None else "used"
        if warm is not None:
            self._was_warm = True
            self.handle = warm.handle
            return await context.backend.open_warm(warm, self._prompt, deadline)
        self.handle = await context.backend.create_conversation(deadline)
        return await context.backend.open_turn(self.handle, self._prompt, 0, deadline)

    def answered(self) -> None:
        """Let another warm conversation take the place of the one that was taken."""
        if self._was_warm:
            self._was_warm = False
            self.context.pool.refill()

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:  # noqa: ARG002 - of all turns
        """Count a turn without text; unlike `answered`, it keeps nothing else."""
        self.answered()


class _ConversationState:
    """What is known of a conversation: how many turns it was sent, which one runs, whether it takes more."""

    def __init__(self, handle: ConversationHandle, turns_sent: int) -> None:
        self.handle = handle
        self.turns_sent = turns_sent
        self.running: _ConversationTurn | None = None
        self.quota: ev.Quota | None = None
        self.ended = False

    def check_free(self) -> None:
        if self.running is not None:
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


class _ConversationTurn:
    """A turn of an explicit conversation, which no other conversation may take the place of."""

    conversation: ConversationKind = "own"

    def __init__(self, context: TurnContext, state: _ConversationState, prompt: Prompt) -> None:
        self.context = context
        self._state = state
        self._prompt = prompt

    async def open(self, deadline: Deadline) -> TurnChannel:
        state = self._state
        if state.running is not self:
            state.check_free()
            state.running = self
        channel = await self.context.backend.open_turn(state.handle, self._prompt, state.turns_sent, deadline)
        state.turns_sent += 1
        return channel

    def answered(self) -> None:
        """Nothing waits for that."""

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        state = self._state
        if state.running is self:
            state.running = None
        if isinstance(error, ConversationEnded):
            state.ended = True
        if reply is not None:
            state.quota = reply.quota or state.quota
            state.ended = state.ended or reply.conversation_ended


class Conversation:
    """Turns that the service remembers. Made by `BingClient.create_conversation`.

    One turn at a time: a second one raises `ConversationBusy`. An explicit conversation is never replaced: when the
    service has ended it, or its turns are used up, the next turn raises.
    """

    def __init__(self, context: TurnContext, handle: ConversationHandle, *, turns_sent: int = 0) -> None:
        self._context = context
        self._state = _ConversationState(handle, turns_sent)

    @property
    def id(self) -> str:
        """The service's id of this conversation."""
        return self._state.handle.id

    @property
    def handle(self) -> ConversationHandle:
        """The conversation as the backend knows it; for adapters. It holds secrets."""
        return self._state.handle

    @property
    def quota(self) -> ev.Quota | None:
        """Turns used and allowed, as the service last said; None before the first reply."""
        return self._state.quota

    @property
    def ended(self) -> bool:
        """Whether the conversation takes no further turn."""
        return self._state.ended

    def __repr__(self) -> str:
        return f"Conversation(id={self.id!r}, quota={self.quota!r})"

    def stream(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> TurnStream:
        """The next turn. Nothing is sent until its first event is asked for.

        Args:
            prompt: The user's message.
            context: Earlier turns or other text that the service should know, as `convert` writes it.
            images: PNG, JPEG, GIF or WebP bytes, paths, `data:` or http(s) URLs; ChatHub takes one a turn.

        Raises:
            ConversationBusy: A turn of this conversation runs.
            ConversationEnded: The service ended the conversation.
            TurnLimitReached: Its turns are used up.
            InvalidRequest: The prompt or an image cannot be sent.
        """
        self._state.check_free()
        prepared = make_prompt(self._context.backend, prompt, context, images)
        return TurnStream(_ConversationTurn(self._context, self._state, prepared))

    async def ask(self, prompt: str, *, context: str | None = None, images: Sequence[ImageSource] = ()) -> ev.Reply:
        """The next turn's whole answer. Arguments and errors as in `stream`; also the errors of the turn itself."""
        async with self.stream(prompt, context=context, images=images) as turn:
            return await turn.reply()

    async def delete(self) -> None:
        """Delete this conversation at the service; it takes no further turn.

        Raises:
            BingError: The service refused, or could not be reached.
        """
        deadline = new_deadline(self._context)
        await retried(
            lambda: self._context.backend.delete_conversation(self.handle, deadline),
            self._context.retries,
            deadline,
            self._context.backend.metering,
        )
        self._state.ended = True
