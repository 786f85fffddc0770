"""What a conversation of the command line has said, and the turns that go on from there.

It goes on in the service's own conversation, if that one can be taken up by its id; else the messages are sent again,
as the context of a turn in a new conversation.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bing_llm import events as ev
from bing_llm.backends.base import ConversationHandle, TurnChannel
from bing_llm.client import BingClient
from bing_llm.conversation import Conversation, SingleTurn, make_prompt
from bing_llm.images import ImageSource
from bing_llm.limits import Deadline
from bing_llm.messages import Message, Prompt
from bing_llm.turn import TurnContext, TurnStream


class Exchange(msgspec.Struct, frozen=True):
    """One turn.

    Attributes:
        prompt: The user's message.
        reply: The answer.
        context: The text that went with it: of a file, or piped in; "" for none.
    """

    prompt: str
    reply: ev.Reply
    context: str = ""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What was said before a turn.

    Attributes:
        system: What the service should heed in its answers; "" for nothing.
        exchanges: The turns, the oldest first.
        conversation_id: The conversation of the service that holds the last of them, if it can be taken up by its id;
            "" if it cannot.
        held_from: The index of the first exchange that it holds.
    """

    system: str = ""
    exchanges: tuple[Exchange, ...] = ()
    conversation_id: str = ""
    held_from: int = 0

    def context(self, new: str = "", *, held_from: int | None = None, keeps_context: bool = False) -> str | None:
        """What goes with the next turn besides its prompt; None for nothing.

        Args:
            new: A text that belongs to that turn.
            held_from: The index of the first exchange that the service's conversation holds; None if it holds none.
            keeps_context: Whether that conversation remembers the context of its earlier turns.
        """
        if held_from is not None and keeps_context:
            return new or None
        unknown = len(self.exchanges) if held_from is None else held_from
        parts = [_render(Message("system", self.system))] if self.system else []
        for index, exchange in enumerate(self.exchanges):
            parts.append(exchange.context)
            if index < unknown:
                parts.append(_render_exchange(exchange))
        return "".join([*parts, new]) or None


def _render_exchange(exchange: Exchange) -> str:
    """Both messages of a turn; nothing of one whose answer was withdrawn, which would be withdrawn again."""
    if exchange.reply.revoked:
        return ""
    return _render(Message("user", exchange.prompt), Message("assistant", exchange.reply.text))


def _render(*messages: Message) -> str:
    from bing_llm.completion.prompt import render_context  # noqa: PLC0415 - most turns have no past

    return render_context(messages)


class ResumedTurn(SingleTurn):
    """A turn in a conversation that is taken up by its id; if that one is gone, in a new one, with what was said.

    Args:
        context: The client.
        whole: What a new conversation is sent.
        conversation_id: The service's conversation; "" for none.
        rest: What that conversation is sent.

    Attributes:
        taken_up: Whether the last attempt took place in that conversation.
    """

    def __init__(
        self, context: TurnContext, whole: Prompt, conversation_id: str = "", rest: Prompt | None = None
    ) -> None:
        super().__init__(context, whole)
        self.taken_up = False
        self._conversation_id = conversation_id
        self._rest = rest

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Send the turn; from the second attempt on, in a new conversation."""
        conversation_id, self._conversation_id = self._conversation_id, ""
        self.taken_up = bool(conversation_id)
        if not conversation_id or self._rest is None:
            return await super().open(deadline)
        self.conversation = "used"
        backend = self.context.backend
        self.handle = await backend.open_conversation(conversation_id, deadline)
        return await backend.open_turn(self.handle, self._rest, 1, deadline)


def next_turn(
    client: BingClient, past: Past, prompt: str, *, context: str = "", images: Sequence[ImageSource] = ()
) -> ResumedTurn:
    """The turn that goes on from what was said; nothing is sent yet.

    Args:
        client: The client of the service.
        past: What was said.
        prompt: The user's message.
        context: A text that belongs to it.
        images: Pictures that go with it.

    Raises:
        RequestError: It cannot be sent.
    """
    backend = client.backend
    whole = make_prompt(backend, prompt, past.context(context), images)
    if not past.conversation_id:
        return ResumedTurn(client, whole)
    held = past.context(context, held_from=past.held_from, keeps_context=backend.keeps_context)
    return ResumedTurn(client, whole, past.conversation_id, msgspec.structs.replace(whole, context=held))


class Session:
    """The conversation of a chat. It takes one turn after another.

    Args:
        client: The client of the service.
        past: What was said before.

    Attributes:
        past: What was said until now.
    """

    def __init__(self, client: BingClient, past: Past) -> None:
        self._client = client
        self.past = past
        self._conversation: Conversation | None = None
        self._held_from: int | None = None
        self._resumed: ResumedTurn | None = None

    @property
    def handle(self) -> ConversationHandle | None:
        """The service's conversation; None before the first turn."""
        return None if self._conversation is None else self._conversation.handle

    async def turn(self, prompt: str, images: Sequence[ImageSource] = ()) -> TurnStream:
        """The next turn; of the turn itself, nothing is sent yet.

        Raises:
            BingError: It cannot be sent, or no conversation can be created.
        """
        if self._conversation is None and self.past.conversation_id:
            self._resumed = next_turn(self._client, self.past, prompt, images=images)
            return TurnStream(self._resumed)
        if self._conversation is None:
            self._conversation = await self._client.create_conversation()
        context = self.past.context(held_from=self._held_from, keeps_context=self._client.backend.keeps_context)
        return self._conversation.stream(prompt, context=context, images=images)

    def add(self, exchange: Exchange) -> None:
        """Take in a turn that is complete."""
        count = len(self.past.exchanges)
        if self._resumed is not None and self._resumed.handle is not None:
            self._conversation = Conversation(self._client, self._resumed.handle, turns_sent=1)
            self._held_from = self.past.held_from if self._resumed.taken_up else count
            self._resumed = None
        elif self._held_from is None:
            self._held_from = count
        self.past = msgspec.structs.replace(self.past, exchanges=(*self.past.exchanges, exchange))
