"""Which live conversation a history extends, and the turn that goes on there.

Frameworks send the whole history each turn; the services keep it. Where a history is that of a conversation which is
still there, with messages behind it, only those are sent, and what they are asked for; a service that forgets the
context of a turn is told that again. Every other history has a conversation of its own, which is told it as context.

A conversation is known by a digest of all that it was told: the model, the list of tools or the schema, each message as
the adapter converted it, and its answer as the adapter will show it. It is taken out when it is used, so a history that
goes on from the same point twice, or from an earlier one, never meets another's turns. Not kept are those that hold
something else than the history says: pictures, which a history does not repeat, or an answer that was cut or withdrawn;
and those that the service ended, or that are at their last turn.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Protocol

import msgspec

from bing_llm import events as ev
from bing_llm._loops import PerProcess
from bing_llm.backends.base import ConversationHandle, TurnChannel
from bing_llm.completion.prompt import build_prompt
from bing_llm.conversation import SingleTurn, make_prompt
from bing_llm.errors import BingError
from bing_llm.images import ImageSource
from bing_llm.limits import CONVERSATION_SECONDS, Deadline
from bing_llm.messages import Message
from bing_llm.tools.prompt import Instructions
from bing_llm.turn import TurnContext

MOST_KEPT = 1024  # about a kilobyte each

_NAME = re.compile(r"[^\[\]\n]{1,64}?: ")
"""What an adapter writes before the text of an assistant that has a name."""


class Live(msgspec.Struct, frozen=True):
    """A conversation that may go on.

    Attributes:
        handle: The backend's.
        turns: How many it was sent.
        context: What it must be told again with each turn; "" where it remembers.
        since: When it was kept, by the clock.
    """

    handle: ConversationHandle
    turns: int
    context: str
    since: float


class Continuations:
    """The conversations of one client that may go on, each by the digest of what it holds.

    It may be used from several threads, and has no lock: each step is one operation of a dict. A process that was
    forked begins without any, or two processes would go on in one conversation.

    Args:
        most: How many are kept; the one that waits longest goes first.
        seconds: How long one is kept after its last turn.
        clock: The time in seconds.
    """

    def __init__(
        self,
        *,
        most: int = MOST_KEPT,
        seconds: float = CONVERSATION_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._by_key: PerProcess[OrderedDict[bytes, Live]] = PerProcess(OrderedDict)

    def __len__(self) -> int:
        return len(self._by_key.get())

    def keep(self, key: bytes, handle: ConversationHandle, turns: int, context: str = "") -> None:
        """Remember a conversation that was sent so many turns; of two with one key, the later one."""
        by_key = self._by_key.get()
        by_key.pop(key, None)
        by_key[key] = Live(handle, turns, context, self._clock())
        with suppress(KeyError):  # another thread was faster
            while len(by_key) > self._most:
                by_key.popitem(last=False)

    def take(self, key: bytes) -> Live | None:
        """The conversation of this key, which is nobody else's from now on; None where there is none."""
        live = self._by_key.get().pop(key, None)
        return live if live is not None and self._clock() - live.since < self._seconds else None


class HistoryContext(TurnContext, Protocol):
    """What turns of a framework's histories need of their client; internal."""

    @property
    def model(self) -> str:
        """The name of the model."""

    @property
    def continuations(self) -> Continuations | None:
        """The conversations that may go on; None where each history has one of its own."""


class HistoryTurn(SingleTurn):
    """A turn that answers a history: in the conversation that holds it up to its last answer, else in a new one.

    Going on is a short cut: if that conversation cannot, a new one is told the whole history, once, and nobody notices.

    Args:
        context: The client.
        messages: The history, the oldest first, as an adapter converts it.
        instructions: What to say of tools and JSON. A conversation hears the listing once, the rules with each turn.
        images: Pictures that go with the last message.

    Attributes:
        sent: What the last attempt sent.

    Raises:
        InvalidRequest: The history cannot be sent.
    """

    def __init__(
        self,
        context: HistoryContext,
        messages: Sequence[Message],
        instructions: Instructions,
        images: Sequence[ImageSource] = (),
    ) -> None:
        backend = context.backend
        self._limit = backend.prompt_limit
        whole = build_prompt(messages, instructions, limit=self._limit)
        self.sent = make_prompt(backend, whole.text, whole.context, images)
        super().__init__(context, self.sent)
        self._continuations = None if images else context.continuations
        # Rules are for one turn, but who was asked for JSON without a schema should not be asked for prose there.
        self._told = _Told(context.model, instructions.listing or instructions.rules, messages)
        self._rules = Instructions(rules=instructions.rules)
        self._search_in = self._continuations
        self._handle: ConversationHandle | None = None
        self._turns = 0

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Send the new messages; without such a conversation, and from the second attempt on, all of them."""
        live = self._take_live()
        if live is None:
            self.sent, self._turns = self._prompt, 1
            self._handle, channel = await self._opened(deadline)
            return channel
        self.conversation = "used"
        backend = self.context.backend
        new = build_prompt(self._told.new, self._rules, limit=self._limit)
        self.sent = make_prompt(backend, new.text, live.context + (new.context or "") or None)
        self._handle, self._turns = live.handle, live.turns + 1
        return await backend.open_turn(live.handle, self.sent, live.turns, deadline)

    def _take_live(self) -> Live | None:
        """The conversation that this history extends, if there is one; once."""
        continuations, self._search_in = self._search_in, None
        if continuations is None:
            return None
        found = map(continuations.take, self._told.keys_before())
        return next((live for live in found if live is not None), None)

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """Where a turn failed, or was left, nobody knows what its conversation holds."""
        if reply is None:
            self._handle = None
        super().end(reply, error)

    def keep(self, answer: str, reply: ev.Reply) -> None:
        """Remember the conversation, for a history that goes on behind this answer.

        Args:
            answer: The answer, as the framework's next history will show it.
            reply: The reply that completed the turn.
        """
        over = reply.revoked or reply.conversation_ended or (reply.quota is not None and reply.quota.spent)
        if self._continuations is not None and self._handle is not None and not over:
            forgets = not self.context.backend.keeps_context
            context = (self.sent.context or "") if forgets else ""
            self._continuations.keep(self._told.key_behind(answer), self._handle, self._turns, context)


class _Told:
    """What a conversation is told, and the keys that follow from it."""

    def __init__(self, model: str, listing: str, messages: Sequence[Message]) -> None:
        self._first = (model, listing)
        self._messages = messages
        answers = (at for at, message in enumerate(messages) if message.role == "assistant")
        self._last_answer = max(answers, default=-1)

    @property
    def new(self) -> Sequence[Message]:
        """The messages behind the last answer."""
        return self._messages[self._last_answer + 1 :]

    def keys_before(self) -> list[bytes]:
        """The keys of a conversation that these messages may extend, whose answer is shown with a name or without."""
        if self._last_answer < 0 or all(message.role == "system" for message in self.new):
            return []
        answer = self._messages[self._last_answer].content
        named = _NAME.match(answer)
        before = self._digest(self._messages[: self._last_answer])
        return [_key(before, text) for text in (answer, *([answer[named.end() :]] if named else []))]

    def key_behind(self, answer: str) -> bytes:
        """The key of the conversation that was told all messages, and gave this answer."""
        return _key(self._digest(self._messages), answer)

    def _digest(self, messages: Sequence[Message]) -> blake2b:
        digest = blake2b(digest_size=16)
        for part in (*self._first, *(part for message in messages for part in (message.role, message.content))):
            _add(digest, part)
        return digest


def _key(before: blake2b, answer: str) -> bytes:
    """Without whitespace: adapters and frameworks move it, about calls and at the ends."""
    digest = before.copy()
    _add(digest, "".join(answer.split()))
    return digest.digest()


def _add(digest: blake2b, part: str) -> None:
    """With its length, so that no text can pass for several parts."""
    encoded = part.encode("utf-8", "surrogatepass")
    digest.update(b"%d:%b" % (len(encoded), encoded))
