"""One turn, without I/O: the bytes of the stream in, events out (docs/protocol/workiq.md, section 6).

Each server-sent event holds the conversation as it is now, with the whole text so far. `receive`, `receive_body` and
`receive_eof` take in what came; `next_event` tells what it means.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal

import msgspec

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.workiq.frames import DISENGAGED, Conversation, Message, decode_conversation, decode_json
from bing_llm.backends.workiq.results import fault_error
from bing_llm.backends.workiq.sources import annotations_of, citations_of, sensitivity_label_of
from bing_llm.backends.workiq.sse import NEED_DATA, EventLines, Sentinel
from bing_llm.backends.workiq.tags import without_half_tag, without_tags
from bing_llm.fold import Fold
from bing_llm.limits import DEFAULT_LIMITS, Limits

__all__ = ["NEED_DATA", "Sentinel", "WorkIQTurn"]

_DONE: Final = "[DONE]"  # not documented here; other services end a stream with it, and clients expect it


class WorkIQTurn:
    """One turn of one conversation. There is nothing to send: the request is an HTTP call of its own.

    Args:
        asked: The text of the prompt, by which its echo is known.
        conversation_id: For a reply whose events do not name it.
        entity_tags: Whether `<Person>`, `<File>` and `<Event>` stay in the text. Half a tag is never given.
        limits: How much is taken of what the service sends.
    """

    def __init__(
        self,
        *,
        asked: str = "",
        conversation_id: str = "",
        entity_tags: Literal["keep", "strip"] = "keep",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.limits = limits
        self._lines = EventLines(limits)
        self._body: bytes | None = None
        self._asked = asked
        self._strips = entity_tags == "strip"
        self._events: deque[ev.Event] = deque()
        self._fold = Fold()
        self._text = ""
        self._conversation_id = conversation_id
        self._newest = Conversation()
        self._answer: Message | None = None
        self._events_received = 0
        self._stopped = False
        self._completed = False
        self._failure: errors.BingError | None = None

    @property
    def completed(self) -> bool:
        """Whether `TurnCompleted` was given."""
        return self._completed and not self._events

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._text

    @property
    def events_received(self) -> int:
        """How many server-sent events were read, comments left out: what shows that the answer goes on."""
        return self._events_received

    def receive(self, data: bytes) -> None:
        """Take in bytes of the stream, in any pieces. What is wrong with them, `next_event` says."""
        self._lines.receive(data)

    def receive_body(self, body: bytes) -> None:
        """Take in the whole answer of the call without a stream (`chat`): one conversation as JSON.

        What is longer than allowed may have been cut off: it is not read, and `next_event` says so.
        """
        self._body = body

    def receive_eof(self) -> None:
        """Take in that the stream is at its end."""
        self._lines.receive_eof()

    def stop(self) -> None:
        """End the answer with what came; the service cannot be asked to."""
        self._stopped = True

    def next_event(self) -> ev.Event | Literal[Sentinel.NEED_DATA]:
        """The next event, or NEED_DATA.

        Raises:
            BingError: The turn failed; the same error again when called again.
            ProtocolError: Also, that the turn is complete: nothing comes behind its last event.
        """
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self._read() is NEED_DATA:
                return NEED_DATA
        return self._events.popleft()

    def _read(self) -> Literal[Sentinel.NEED_DATA] | None:
        """Add the events of the next thing that came, or note why there are none."""
        try:
            if self._completed:
                raise errors.ProtocolError("This turn is complete; it has no further event.")
            if self._body is not None:
                body, self._body = self._body, None
                if len(body) > self.limits.frame_bytes:
                    raise self.limits.exceeded("frame_bytes", "bytes in one answer")
                self._take(body, whole=True)
                return None
            data = self._lines.next_event()
            if data is NEED_DATA and not self._stopped:
                return NEED_DATA
            if isinstance(data, Sentinel) or data.strip() == _DONE:
                self._ended()
            else:
                self._events_received += 1
                self._take(data)
        except errors.BingError as exc:
            exc.partial_text = exc.partial_text or self._text
            self._failure = exc
        return None

    def _take(self, data: str | bytes, *, whole: bool = False) -> None:
        """Add the events of one snapshot; `whole` where no further one follows."""
        try:
            conversation = decode_conversation(data)
        except errors.ProtocolError:
            if not self._lines.cut_off:
                raise
            self._ended()
            return
        fault = conversation.fault
        if fault is not None:
            raise fault_error(fault, "the turn")
        if not (conversation.is_known or whole):
            self._emit(ev.Unknown(decode_json(data)))
            return
        self._newest = conversation
        if conversation.is_disengaged:
            self._disengaged(conversation)
        else:
            self._snapshot(conversation, whole=whole)

    def _snapshot(self, conversation: Conversation, *, whole: bool) -> None:
        final = whole or (not conversation.is_intermediate and len(conversation.messages or ()) > 1)
        message = self._answer_in(conversation, final=final)
        if message is not None:
            self._answer = message
            self._whole(message.text or "", final=final)
            if final:
                self._complete()
        elif final and (whole or not self._text):
            raise errors.ServiceError("The service completed the turn without an answer.")

    def _answer_in(self, conversation: Conversation, *, final: bool) -> Message | None:
        """The message that is the answer: the one that was it before; else the last, which only the end may change."""
        if self._answer is None:
            replies = conversation.replies(self._asked)
        else:
            known = self._answer.id
            others = conversation.replies()
            replies = [message for message in others if message.id == known] or (others if final else [])
        return replies[-1] if replies else None

    def _disengaged(self, conversation: Conversation) -> None:
        said = [message.text or "" for message in conversation.replies(self._asked)]
        notice = said[-1] if said else ""
        if not self._text:
            msg = "The service ended the conversation."
            raise errors.ConversationEnded(msg, value=DISENGAGED, service_message=notice or None)
        shown = self._shown(notice, final=True)
        goes_on = shown.startswith(self._text) or self._text.startswith(shown)
        self._emit(ev.TextRevoked("" if goes_on else notice, ended=True))
        self._complete()

    # --- text -----------------------------------------------------------------------------------------------------

    def _whole(self, text: str, *, final: bool) -> None:
        if len(text) > self.limits.answer_characters:
            raise self.limits.exceeded("answer_characters", "characters in one answer")
        known, self._text = self._text, self._shown(text, final=final)
        if not self._text.startswith(known):
            self._emit(ev.TextRevised(self._text))
        elif len(self._text) > len(known):
            self._emit(ev.TextDelta(self._text[len(known) :]))

    def _shown(self, text: str, *, final: bool) -> str:
        text = text if final else without_half_tag(text)
        return without_tags(text) if self._strips else text

    # --- the end --------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        """Nothing more comes, and there was no final event."""
        if not self._stopped:
            raise errors.ConnectionLost("The service ended the stream before the answer was complete.")
        self._complete()

    def _complete(self) -> None:
        answer = self._answer or Message()
        citations = citations_of(answer, self.limits.citations + 1)
        if len(citations) > self.limits.citations:
            raise self.limits.exceeded("citations", "sources of one answer")
        reply = msgspec.structs.replace(
            self._fold.reply(),
            citations=citations,
            conversation_id=self._newest.id or self._conversation_id,
            message_id=answer.id or "",
            metadata=_metadata(self._newest, answer),
        )
        self._completed = True
        self._emit(ev.TurnCompleted(reply))

    def _emit(self, event: ev.Event) -> None:
        self._fold.add(event)
        self._events.append(event)


def _metadata(conversation: Conversation, answer: Message) -> dict[str, Any]:
    title = (
        {}
        if conversation.is_intermediate
        else {
            "displayName": conversation.display_name,
            "turnCount": conversation.turn_count,
        }
    )
    known = {
        **title,
        "agentId": conversation.agent_id,
        "annotations": annotations_of(answer) or None,
        "sensitivityLabel": sensitivity_label_of(answer) or None,
    }
    return {name: value for name, value in known.items() if value is not None}
