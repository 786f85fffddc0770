"""From the events of an answer to the frames of its turn, without I/O (docs/protocol/chathub.md, section e)."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.emulator.brains.base import Cited, unplayable
from bing_llm.emulator.chathub import messages, shapes
from bing_llm.emulator.sources import Sources
from bing_llm.emulator.wire import new_id, timestamp
from bing_llm.errors import ConfigurationError

Frames = tuple[frames.ServerFrame, ...]
"""What goes out as one WebSocket message."""

_KNOWN_TYPES = range(1, 8)


class AnswerWriter:
    """Writes the frames of one turn.

    Args:
        chat: The request.
        lifetime: How long the conversation will live after this turn, in seconds.
        clock: The time, in seconds since 1970.

    Attributes:
        quota: The turns of the conversation, this one included.
        text: The answer so far.
    """

    def __init__(self, chat: frames.Chat, *, lifetime: float, clock: Callable[[], float]) -> None:
        self._invocation_id = chat.invocation_id
        self._arguments = chat.arguments[0] if chat.arguments else frames.ChatArguments()
        self.quota = ev.Quota(0, 0)
        self._lifetime = lifetime
        self._clock = clock
        self._began = clock()
        said = self._arguments.message or frames.UserMessage()
        self._request_id = said.request_id or self._arguments.request_id or new_id()
        self._write = messages.MessageWriter(self._request_id, clock)
        self._answer_id = new_id()
        self._asides: list[shapes.Message] = []
        self._moderation: shapes.Message | None = None
        self._sources = Sources()
        self._suggestions: tuple[shapes.Message, ...] = ()
        self._query = ""
        self.text = ""

    def opening(self) -> Frames:
        """The first frame of a turn: nothing but the quota (recording 03)."""
        return (self._update(throttling=self._throttling()),)

    def write(self, event: ev.Event | Cited) -> Frames:  # noqa: PLR0911, PLR0912 - one branch an event
        """The frames of one event; none for what only the final frame shows.

        Raises:
            ConfigurationError: The ChatHub has nothing for this event.
        """
        match event:
            case ev.TextDelta(text=text):
                return self._revise(self.text + text)
            case ev.TextRevised(text=text):
                return self._revise(text)
            case ev.TextRevoked(notice=notice, ended=ended):
                return self._moderate(self._write.disengaged(notice) if ended else self._write.apology(notice))
            case Cited(citations=citations):
                self._sources.define(citations)
                return ()
            case ev.SearchStarted(query=query):
                self._query = query
                return self._aside(self._write.search_query(query))
            case ev.SearchResults(results=results):
                self._sources.found(results)
                return self._aside(self._write.search_result(results))
            case ev.Progress(text=text):
                return self._aside(self._write.loader(text))
            case ev.ImageRequested(prompt=prompt):
                return self._aside(self._write.image_request(prompt))
            case ev.Suggestions(texts=texts):
                return self._suggest(texts)
            case ev.Quota():
                self.quota = event
                return self.opening()
            case ev.Unknown(raw=dict() as raw):
                return self._pass_on(raw)
            case ev.TurnCompleted(reply=reply):
                return self._complete(reply)
            case ev.ImageCreated() | ev.Restarted() | ev.Unknown():
                raise ConfigurationError(f"The emulator cannot send {unplayable(event)}.")
            case _:
                assert_never(event)

    def begin_message(self) -> None:
        """Continue the answer under another message id."""
        self._answer_id = new_id()

    def limited(self) -> Frames:
        """The message that the conversation has had its turns."""
        self.quota = ev.Quota(self.quota.limit, self.quota.limit)
        return self._moderate(self._write.turn_limiter())

    def closing(self) -> Frames:
        """The final frame and the completion, to be sent as one message, as recording 10 has them."""
        item = shapes.Item(
            messages=self._all_messages(),
            first_new_message_index=1,
            conversation_id=self._arguments.conversation_id,
            request_id=self._request_id,
            conversation_expiry_time=timestamp(self._clock() + self._lifetime, "Z"),
            should_initiate_conversation=True,
            telemetry={"startTime": timestamp(self._began, "Z")},
            throttling=self._throttling(),
            result=frames.Result(
                value="Success", message=self._query or self.text, service_version=shapes.SERVICE_VERSION
            ),
        )
        return (frames.Final(item, self._invocation_id), self.completion())

    def refusal(self, result: frames.Result) -> Frames:
        """The final frame of a refused turn and its completion (recordings 04, 08, 10)."""
        item = shapes.RefusedItem(
            conversation_id=self._arguments.conversation_id,
            request_id=self._request_id,
            telemetry={"metrics": None, "startTime": timestamp(self._began, "Z")},
            result=msgspec.structs.replace(result, service_version=shapes.SERVICE_VERSION),
        )
        return (frames.Final(item, self._invocation_id), self.completion())

    def completion(self) -> frames.Completion:
        """The end of the invocation; alone after a stop."""
        return frames.Completion(self._invocation_id)

    def _all_messages(self) -> list[frames.WireMessage]:
        """The user's message first and the answer last, or the message of moderation in its place."""
        answer = self._moderation or (self._answer(final=True) if self.text else None)
        shown = [self._write.user(self._arguments), *self._asides, *((answer,) if answer else ())]
        for message in shown:
            message.request_id = self._request_id  # only final frames have it
        return list[frames.WireMessage](shown)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _revise(self, text: str) -> Frames:
        changed, is_first = text != self.text, not self.text
        self.text = text
        if not (text and changed):
            return ()
        cursor = None
        if is_first:
            cursor = shapes.TurnCursor(j=f"$['{self._answer_id}'].adaptiveCards[0].body[0].text", p=-1)
        return (self._update(self._answer(), cursor=cursor),)

    def _answer(self, *, final: bool = False) -> shapes.Message:
        # Definitions come with the first words, so that the card's text only grows; an answer that in the end cites
        # nothing has none.
        cites = not final or self._sources.used_by(self.text)
        message = self._write.answer(self._answer_id, self.text, self._sources if cites else Sources(), final=final)
        if self._suggestions:
            message.suggested_responses = shapes.raw(self._suggestions)
        return message

    def _suggest(self, texts: tuple[str, ...]) -> Frames:
        self._suggestions = tuple(self._write.suggestion(text) for text in texts)
        return (self._update(self._answer()),) if self.text else ()

    def _complete(self, reply: ev.Reply) -> Frames:
        sent = () if self.text else self._revise(reply.text)
        if reply.citations:
            self._sources.define(reply.citations)
        if reply.suggestions:
            return (*sent, *self._suggest(reply.suggestions))
        return sent

    def _aside(self, message: shapes.Message) -> Frames:
        if not self._allows(message):
            return ()
        self._asides.append(message)
        return (self._update(message),)

    def _moderate(self, message: shapes.Message) -> Frames:
        if not self._allows(message):
            return ()
        self._moderation = message
        return (self._update(message),)

    def _pass_on(self, raw: dict[str, object]) -> Frames:
        if isinstance(raw.get("type"), int) and raw["type"] not in _KNOWN_TYPES:
            return (frames.UnknownFrame(raw),)
        return (self._update(raw),)  # type: ignore[arg-type]

    def _allows(self, message: shapes.Message) -> bool:
        """Whether the client wants it: `allowedMessageTypes` is a filter (docs/protocol/chathub.md, section d)."""
        allowed = self._arguments.allowed_message_types
        return message.message_type is None or allowed is None or message.message_type in allowed

    def _throttling(self) -> frames.Throttling:
        return frames.Throttling(
            max_num_user_messages_in_conversation=self.quota.limit,
            num_user_messages_in_conversation=self.quota.used,
        )

    def _update(
        self,
        *shown: frames.WireMessage,
        throttling: frames.Throttling | None = None,
        cursor: frames.Cursor | None = None,
    ) -> frames.Update:
        arguments = shapes.UpdateArguments(
            messages=list(shown) or None, request_id=self._request_id, throttling=throttling, cursor=cursor
        )
        return frames.Update(arguments=[arguments])
