"""What a turn yields: one closed union of frozen types.

`Event` is closed for type checkers (`assert_never` works on it) and grows only by new types; whatever this
version does not know arrives as `Unknown`, so a `match` should keep a branch for it. `TurnCompleted` is
always the last event of a turn and comes exactly once, unless an error is raised. The fold of events into a
`Reply` is in `bing_llm.fold`.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

from bing_llm.errors import ProtocolError

__all__ = [
    "Citation",
    "Event",
    "FinishReason",
    "ImageCreated",
    "ImageRequested",
    "Progress",
    "Quota",
    "Reply",
    "Restarted",
    "Search",
    "SearchResult",
    "SearchResults",
    "SearchStarted",
    "Suggestions",
    "TextDelta",
    "TextRevised",
    "TextRevoked",
    "TurnCompleted",
    "Unknown",
    "event_from_json",
    "event_to_json",
]

FinishReason: TypeAlias = Literal["stop", "content_filter", "length"]


def _tag(class_name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class _Event(msgspec.Struct, frozen=True, tag_field="type", tag=_tag):
    """Each event's JSON holds its `type`, the class name in snake_case.

    `{"type": "text_delta", "text": "..."}`
    """


class SearchResult(msgspec.Struct, frozen=True):
    """One page that the service's web search found."""

    title: str
    url: str
    snippets: tuple[str, ...] = ()


class Search(msgspec.Struct, frozen=True):
    """One web search of the service: its query, and the results where the service sent them."""

    query: str
    results: tuple[SearchResult, ...] = ()


class Citation(msgspec.Struct, frozen=True):
    """One source, which markers of the text refer to by its number: `[^1^]`, with Work IQ also `[1](url)`.

    Attributes:
        number: Its number in the text.
        url: Where it is, "" where the service gave no link that is safe to show.
        title: Its title, "" if it has none.
        spans: The places of its markers in `Reply.text`: half-open ranges [start, end) in characters. Empty if the text
            does not mark it.
        sensitivity_label: The label of this source, by the service's own names; None if it has none.
    """

    number: int
    url: str
    title: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    sensitivity_label: dict[str, Any] | None = None


class TextDelta(_Event, frozen=True):
    """Append this text."""

    text: str


class TextRevised(_Event, frozen=True):
    """The service rewrote what it had sent: this is the whole text now."""

    text: str


class Restarted(_Event, frozen=True):
    """The turn was opened again: forget what came before, which was metadata and no text.

    `cause` is the message of the error that made it necessary.
    """

    cause: str


class TextRevoked(_Event, frozen=True):
    """Moderation withdrew the text that had been sent. `ended`: the conversation takes no further turn."""

    notice: str
    ended: bool = False


class SearchStarted(_Event, frozen=True):
    """The service searches the web."""

    query: str


class SearchResults(_Event, frozen=True):
    """The results of the first search that has had none yet."""

    results: tuple[SearchResult, ...]


class Progress(_Event, frozen=True):
    """A line that the service shows while it works: a loader line, a summary of reasoning. Not the answer."""

    text: str


class ImageRequested(_Event, frozen=True):
    """The service wants a picture made from this prompt."""

    prompt: str


class ImageCreated(_Event, frozen=True):
    """A picture that the service made."""

    url: str


class Suggestions(_Event, frozen=True):
    """Suggested next user messages; the newest list replaces earlier ones."""

    texts: tuple[str, ...]


class Quota(_Event, frozen=True):
    """Turns of this conversation: how many are used, and how many the service allows."""

    used: int
    limit: int

    @property
    def spent(self) -> bool:
        """Whether the conversation has no turn left."""
        return self.used >= self.limit


class Unknown(_Event, frozen=True):
    """Anything else that the service sent, as parsed JSON. Kept, logged once per kind, never an error."""

    raw: Any


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer of one turn.

    Attributes:
        text: The final text, with the service's citation markers.
        citations: The sources in the order in which the service defined them, uncited ones included.
        searches: The web searches of the turn.
        images: URLs of pictures that the service made.
        image_prompts: Prompts of pictures that the service wants made.
        suggestions: Suggested next user messages.
        quota: Turns used and allowed in this conversation, None where the service did not say.
        finish_reason: `stop`, `content_filter` (the service revoked the text) or `length` (a client-side
            limit cut it).
        conversation_id: The service's id of the conversation, "" where it sent none.
        message_id: The service's id of the answer, "" where it sent none.
        revoked: Whether moderation withdrew the text. `text` keeps what had been sent.
        revised: Whether `text` does not extend what `TurnStream.text` had yielded: that text was rewritten.
        conversation_ended: Whether the service takes no further turn on this conversation.
        notice: What the service said when it revoked the text, "" otherwise.
        metadata: What only this service sends, by the service's own names.
    """

    text: str = ""
    citations: tuple[Citation, ...] = ()
    searches: tuple[Search, ...] = ()
    images: tuple[str, ...] = ()
    image_prompts: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    quota: Quota | None = None
    finish_reason: FinishReason = "stop"
    conversation_id: str = ""
    message_id: str = ""
    revoked: bool = False
    revised: bool = False
    conversation_ended: bool = False
    notice: str = ""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_json(self) -> str:
        """The reply as one line of JSON.

        Raises:
            ProtocolError: It holds what the service nested too deep for JSON.
        """
        return _encode(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Reply:
        """The reply that `to_json` wrote.

        Raises:
            ProtocolError: The text is not the JSON of a reply.
        """
        reply: Reply = _decode(text, cls)
        return reply


class TurnCompleted(_Event, frozen=True):
    """The turn is over, as its final frame proved. Always the last event, exactly once."""

    reply: Reply


Event: TypeAlias = (
    TextDelta
    | TextRevised
    | Restarted
    | TextRevoked
    | SearchStarted
    | SearchResults
    | Progress
    | ImageRequested
    | ImageCreated
    | Suggestions
    | Quota
    | Unknown
    | TurnCompleted
)


def event_to_json(event: Event) -> str:
    """The event as one line of JSON; `type` names its class in snake_case.

    Raises:
        ProtocolError: It holds what the service nested too deep for JSON.
    """
    return _encode(event)


def event_from_json(text: str | bytes) -> Event:
    """The event that `event_to_json` wrote.

    Raises:
        ProtocolError: The text is not the JSON of an event.
    """
    event: Event = _decode(text, Event)
    return event


def _encode(value: Event | Reply) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError as exc:
        raise ProtocolError("The service sent JSON that is nested too deep to be written again.") from exc


def _decode(text: str | bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        name = "a reply" if kind is Reply else "an event"
        msg = f"This text is not the JSON of {name}: {exc}."
        raise ProtocolError(msg, hint="Use text that to_json() or event_to_json() wrote.") from exc
