"""From the snapshots of one turn to its events: which message is the answer, what of its text is new, how it ended.

Each snapshot holds the conversation as it is now, with the whole text so far (docs/protocol/workiq.md, section 6).
"""

from __future__ import annotations

import re
from typing import Final, Literal

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.json_text import decode_json
from bing_llm.backends.markers import find_markers
from bing_llm.backends.reply import ReplyBuilder
from bing_llm.backends.workiq.citations import (
    CitationMarkers,
    Footnotes,
    MarkedText,
    annotations_in,
    cite,
    mark,
    marked_text,
)
from bing_llm.backends.workiq.errors import NO_ANSWER_HINT, fault_error
from bing_llm.backends.workiq.snapshots import (
    DISENGAGED,
    Conversation,
    Message,
    SnapshotDecoder,
    sensitivity_label_of,
    sources_of,
)
from bing_llm.limits import DEFAULT_LIMITS, Limits

_NAMES: Final = ("Person", "File", "Event")
_SPACES = re.compile(r"[ \t\r\n]")

# The samples have no attributes. Some are let pass, in case they come.
_LONGEST_ATTRIBUTES: Final = 200
_TAG = re.compile(rf"</?(?:{'|'.join(_NAMES)})(?:[ \t\r\n][^<>]{{0,{_LONGEST_ATTRIBUTES - 1}}})?>")
_LONGEST_HALF: Final = len("</") + max(map(len, _NAMES)) + _LONGEST_ATTRIBUTES


class AnswerReader:
    """Folds the snapshots of one turn into events.

    Args:
        asked: The text of the prompt, by which its echo is known.
        conversation_id: For a reply whose snapshots do not name it.
        entity_tags: Whether `<Person>`, `<File>` and `<Event>` stay in the text. Half a tag is never given.
        citation_markers: How markers of citations stand in the text. Half a marker is never given.
        limits: How much the turn may make us hold.

    Attributes:
        events: The events of the snapshots, for the caller to take from the left.
        completed: Whether `TurnCompleted` is among them, or was.
    """

    def __init__(
        self,
        *,
        asked: str = "",
        conversation_id: str = "",
        entity_tags: Literal["keep", "strip"] = "keep",
        citation_markers: CitationMarkers = "keep",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._asked = asked
        self._strips = entity_tags == "strip"
        self._citation_markers = citation_markers
        self._footnotes = Footnotes()
        self._conversation_id = conversation_id
        self._decoder = SnapshotDecoder()
        self._reply = ReplyBuilder()
        self.events = self._reply.events
        self._newest = Conversation()
        self._answer: Message | None = None
        self._shown: tuple[str, bool] = "", True  # the service's text that was shown last, and whether it was final
        self.completed = False

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._reply.text

    def parse(self, data: bytes) -> Conversation:
        """A snapshot as typed data.

        Raises:
            ProtocolError: It is not one.
        """
        return self._decoder.decode(data)

    def read(self, conversation: Conversation, data: str | bytes, *, whole: bool = False) -> None:
        """Add the events of what came; `data` is what it was parsed from.

        Raises:
            BingError: An error came in its place, or as `snapshot`.
        """
        fault = conversation.fault
        if fault is not None:
            raise fault_error(fault, "the turn")
        if conversation.is_known or whole:
            self.snapshot(conversation, whole=whole)
        else:
            self._reply.add(ev.Unknown(decode_json(data)))

    def stop_request(self) -> bytes:
        """Empty: the service has no such request."""
        return b""

    def snapshot(self, conversation: Conversation, *, whole: bool = False) -> None:
        """Add the events of one snapshot.

        Args:
            conversation: The snapshot.
            whole: Whether no further one follows.

        Raises:
            ConversationEnded: The service ended the conversation, and there is no text.
            ServiceError: The turn is over without an answer.
            ProtocolError: The answer is longer than any has, or has more sources.
        """
        self._newest = conversation
        if conversation.is_disengaged:
            self._disengaged(conversation)
            return
        final = whole or (not conversation.is_intermediate and len(conversation.messages or ()) > 1)
        message = self._answer_in(conversation, final=final)
        if message is not None:
            self._answer = message
            self._read_text(message.text or "", final=final)
            if final:
                self.complete()
        elif final and self.text:  # it was there, and is gone: not lost, but withdrawn (section 12 there)
            self._reply.add(ev.TextRevoked(""))
            self.complete()
        elif final:
            raise _no_answer()

    def complete(self) -> None:
        """Add `TurnCompleted`: what had come is the answer.

        Raises:
            ProtocolError: It has more sources than any answer has.
        """
        answer = self._answer or Message()
        sources = sources_of(answer)
        text, final = self._shown
        most = self._limits.citations
        # A turn that was stopped has no final text, but what was given of it is all that comes.
        markers = find_markers(self.text) if self._citation_markers == "keep" else self._mark(text, final=final).markers
        cited = cite(markers, sources, most + 1)
        if max(len(markers.links), len(cited.citations), len(cited.uncited)) > most:
            raise self._limits.exceeded("citations", "sources of one answer")
        self.completed = True
        self.events.append(
            self._reply.complete(
                citations=cited.citations,
                conversation_id=self._newest.id or self._conversation_id,
                message_id=answer.id or "",
                metadata=_metadata(
                    self._newest,
                    annotations=annotations_in(sources.attributions),
                    sensitivityLabel=sensitivity_label_of(answer),
                    uncitedReferences=cited.uncited,
                ),
            )
        )

    def _answer_in(self, conversation: Conversation, *, final: bool) -> Message | None:
        """The message that is the answer: the one that was it before; else the last, which only the end may change."""
        known = self._answer
        if known is None:
            replies = conversation.replies(self._asked)
            return replies[-1] if replies else None
        replies = conversation.replies()
        for message in reversed(replies):
            if message.id == known.id:
                return message
        return replies[-1] if replies and final else None

    def _disengaged(self, conversation: Conversation) -> None:
        said = [message.text or "" for message in conversation.replies(self._asked)]
        notice = said[-1] if said else ""
        if not self.text:
            msg = "The service ended the conversation."
            raise errors.ConversationEnded(msg, value=DISENGAGED, service_message=notice or None)
        shown = self._mark(notice, final=True).text
        goes_on = shown.startswith(self.text) or self.text.startswith(shown)
        self._reply.add(ev.TextRevoked("" if goes_on else notice, ended=True))
        self.complete()

    def _read_text(self, text: str, *, final: bool) -> None:
        if len(text) > self._limits.answer_characters:
            raise self._limits.exceeded("answer_characters", "characters in one answer")
        self._shown = text, final
        text = self._without_tags(text, final=final)
        keeps = self._citation_markers == "keep"
        shown = marked_text(text, "keep", final=final) if keeps else self._footnotes.text(text, final=final)
        self._reply.replace(shown)

    def _mark(self, text: str, *, final: bool) -> MarkedText:
        """The text as it is given, and its markers."""
        return mark(self._without_tags(text, final=final), self._citation_markers, final=final)

    def _without_tags(self, text: str, *, final: bool) -> str:
        text = text if final else without_half_tag(text)
        return without_tags(text) if self._strips else text


def _no_answer() -> errors.ServiceError:
    error = errors.ServiceError("The service completed the turn without an answer.", hint=NO_ANSWER_HINT)
    error.permanent = True
    return error


def _metadata(conversation: Conversation, **of_the_answer: object) -> dict[str, object]:
    title = (
        {}
        if conversation.is_intermediate
        else {
            "displayName": conversation.display_name,
            "turnCount": conversation.turn_count,
        }
    )
    known = {**title, "agentId": conversation.agent_id, **{key: value or None for key, value in of_the_answer.items()}}
    return {name: value for name, value in known.items() if value is not None}


# --- the tags around names in the text (docs/protocol/workiq.md, section 5) -------------------------------------------


def without_tags(text: str) -> str:
    """The text with the names alone."""
    return _TAG.sub("", text)


def without_half_tag(text: str) -> str:
    """The text up to a tag that is not complete: what follows may make it one."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_HALF))
    return text[:start] if start >= 0 and _is_half(text[start:]) else text


def _is_half(tail: str) -> bool:
    name, *attributes = _SPACES.split(tail.removeprefix("<").removeprefix("/"), maxsplit=1)
    if not attributes:
        return any(known.startswith(name) for known in _NAMES)
    return name in _NAMES and ">" not in attributes[0] and len(attributes[0]) < _LONGEST_ATTRIBUTES
