"""Continuing a conversation: the turn that answers a history in the live conversation that already holds it.

Frameworks send the whole history each turn; the services keep it. If a live conversation already holds the beginning
of a history, only the new messages are sent, with the reminder of this turn; a service that forgets the context of a
turn is sent that again. Every other history gets a conversation of its own, with the earlier messages as context.

A conversation is known by a digest of all that it was sent: the model, the prefix, each message as
the adapter converted it, and its answer as the adapter will show it. It is taken out when it is used, so a history that
goes on from the same point twice, or from an earlier one, never meets another's turns. Not kept are those that hold
something else than the history says: pictures, which a history does not repeat, or an answer that was cut or withdrawn;
and those that the service ended, or that are at their last turn.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec.structs import replace

from bing_llm import events as ev
from bing_llm._safe_text import log_line
from bing_llm.backends.base import AnyBackend, TurnChannel
from bing_llm.completion.prompt import about_repeats, build_prompt
from bing_llm.conversation import SingleTurn, make_prompt
from bing_llm.errors import BingError, InvalidRequest, UploadFailed
from bing_llm.images import ImageSource, load_image
from bing_llm.limits import Deadline
from bing_llm.messages import Message, Prompt
from bing_llm.pool import Continuations, LiveConversation
from bing_llm.tools.prompt import Instructions
from bing_llm.turn import TurnContext

_log = logging.getLogger(__name__)

_NAME = re.compile(r"[^\[\]\n]{1,64}?: ")
"""What an adapter writes before the text of an assistant that has a name."""


class HistoryContext(TurnContext, Protocol):
    """What turns of a framework's histories need of their client; internal."""

    @property
    def model(self) -> str:
        """The name of the model."""

    @property
    def continuations(self) -> Continuations | None:
        """The conversations that may go on; None where each history has one of its own."""


class TurnObserver(Protocol):
    """Is told when the turns of a completion begin and end, one after the other; for traces."""

    def began(self) -> None:
        """A turn begins: the first one, or the one that asks once more."""

    def ended(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """The turn is over: with this reply, with this error, or closed early. It may be called from any thread."""


class HistoryTurn(SingleTurn):
    """A turn that answers a history: in the conversation that holds it up to its last answer, else in a new one.

    Going on is a shortcut: if that conversation cannot, a new one is sent the whole history, and nobody notices.

    Args:
        context: The client.
        messages: The history, the oldest first, as an adapter converts it.
        instructions: What to say of tools and JSON. A conversation gets the prefix once, the rest with each turn.
        images: Pictures that go with the last message.
        spare_images: Pictures of which the service is sent as many as it takes, the first ones.
        observer: Is told when the turn begins and ends; None for nobody.

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
        spare_images: Sequence[ImageSource] = (),
        *,
        observer: TurnObserver | None = None,
    ) -> None:
        backend, instructions = context.backend, about_repeats(messages, instructions)
        self._limit = backend.prompt_limit
        whole = build_prompt(messages, instructions, limit=self._limit)
        plain = make_prompt(backend, whole.text, whole.context, images)
        self._plain = plain
        self._whole = self.sent = _with_spare_images(backend, plain, spare_images)
        super().__init__(context, self._whole)
        self._kept = None if self._whole.images else context.continuations
        self._may_go_on = self._kept is not None
        # The reminder is for one turn, but who was asked for JSON without a schema should not be asked for prose there.
        self._keys = _HistoryKeys(context.model, instructions.prefix or instructions.reminder, messages)
        self._again = replace(instructions, prefix="")
        self._turns = 0
        self._observer = observer
        if observer is not None:
            observer.began()

    async def open(self, deadline: Deadline) -> TurnChannel:
        """Send the new messages; without such a conversation, and from the second attempt on, all of them."""
        live, self._may_go_on = self._take_live(), False
        if live is None:
            self.sent, self._turns = self._whole, 1
            return await self._open_whole(deadline)
        self.conversation = "used"
        self.handle, self._turns = live.handle, live.turns + 1
        backend = self.context.backend
        new = build_prompt(self._keys.new, self._again, limit=self._limit)
        self.sent = make_prompt(backend, new.text, live.context + (new.context or "") or None)
        return await backend.open_turn(live.handle, self.sent, live.turns, deadline)

    async def _open_whole(self, deadline: Deadline) -> TurnChannel:
        try:
            return await super().open(deadline)
        except UploadFailed as exc:
            if self._whole is self._plain:
                raise
            _log.info("a picture that this turn's author did not write is left out: %s", log_line(exc.message))
            self._whole = self.sent = self._prompt = self._plain
            return await super().open(deadline)

    def _take_live(self) -> LiveConversation | None:
        """The conversation that this history extends, if there is one."""
        if self._kept is None or not self._may_go_on:
            return None
        found = map(self._kept.take, self._keys.before_last_answer())
        return next((live for live in found if live is not None), None)

    def end(self, reply: ev.Reply | None, error: BingError | None) -> None:
        """Where a turn failed, or was left, nobody knows what its conversation holds."""
        if reply is None:
            self.handle = None
        super().end(reply, error)
        if self._observer is not None:
            self._observer.ended(reply, error)

    def keep(self, answer: str, reply: ev.Reply) -> None:
        """Remember the conversation, for a history that goes on after this answer.

        Args:
            answer: The answer, as the framework's next history will show it.
            reply: The reply that completed the turn.
        """
        over = reply.revoked or reply.conversation_ended or (reply.quota is not None and reply.quota.spent)
        if self._kept is not None and self.handle is not None and not over:
            forgets = not self.context.backend.keeps_context
            context = (self.sent.context or "") if forgets else ""
            self._kept.keep(self._keys.after(answer), self.handle, self._turns, context)


def _with_spare_images(backend: AnyBackend, prompt: Prompt, images: Sequence[ImageSource]) -> Prompt:
    """The prompt with those of the pictures that can be read and that the service takes together."""
    for source in images:
        try:
            more = replace(prompt, images=(*prompt.images, load_image(source)))
            backend.check_prompt(more)
        except InvalidRequest as exc:
            _log.debug("a picture that this turn's author did not write is left out: %s", log_line(exc.message))
        else:
            prompt = more
    return prompt


class _HistoryKeys:
    """The keys of the conversations that hold a history, or its beginning."""

    def __init__(self, model: str, prefix: str, messages: Sequence[Message]) -> None:
        self._first = (model, prefix)
        self._messages = messages
        answers = (at for at, message in enumerate(messages) if message.role == "assistant")
        self._last_answer = max(answers, default=-1)

    @property
    def new(self) -> Sequence[Message]:
        """The messages after the last answer."""
        return self._messages[self._last_answer + 1 :]

    def before_last_answer(self) -> list[bytes]:
        """The keys of a conversation that these messages may extend, whose answer is shown with a name or without."""
        if self._last_answer < 0 or all(message.role == "system" for message in self.new):
            return []
        answer = self._messages[self._last_answer].content
        named = _NAME.match(answer)
        before = self._digest(self._messages[: self._last_answer])
        return [_key(before, text) for text in (answer, *([answer[named.end() :]] if named else []))]

    def after(self, answer: str) -> bytes:
        """The key of the conversation that was sent all messages, and gave this answer."""
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
