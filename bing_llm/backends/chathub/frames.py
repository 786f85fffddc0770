"""The frames of the ChatHub, in both directions, as typed data.

Of what the server says, only fields that the client reads are declared. Others are skipped while decoding, and those
that the emulator writes are in `bing_llm.emulator.chathub.shapes`. Wire names are camelCase. Sources:
docs/protocol/chathub.md, sections c to e, and the recordings (02, 03, 04, 05, 10, 12, 22).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """A JSON object of the wire; absent, null and default are the same. None refers to itself, so `gc=False`."""


# --- what the server says ----------------------------------------------------------------------------------


class UpdateMessage(_Wire):
    """One message of a conversation, as far as we read it.

    The shapeless fields stay undecoded (`msgspec.Raw`) until they are asked for. Cards are left out of updates: they
    repeat the text, and only those of the last answer are wanted.
    """

    text: str | None = None
    author: str | None = None
    message_id: str | None = None
    message_type: str | None = None
    content_type: str | None = None
    content_origin: str | None = None
    hidden_text: str | None = None
    invocation: str | None = None
    suggested_responses: msgspec.Raw = msgspec.Raw()
    references: msgspec.Raw = msgspec.Raw()
    search_queries: msgspec.Raw = msgspec.Raw()


class WireMessage(UpdateMessage):
    """One message with its card, which has the definitions of its citations."""

    adaptive_cards: msgspec.Raw = msgspec.Raw()


class Throttling(_Wire):
    """Turns of this conversation. `num...` may be absent (docs/protocol/chathub.md, section e)."""

    max_num_user_messages_in_conversation: int | None = None
    num_user_messages_in_conversation: int | None = None


class Cursor(_Wire):
    """Where text is being written.

    `j` is a JSON path that begins with the message: `$['<messageId>'].adaptiveCards[0].body[0].text`.
    """

    j: str | None = None


class UpdateArguments(_Wire):
    """What one update brings. `write_at_cursor` and `references` come from the Microsoft 365 hub only."""

    messages: Sequence[UpdateMessage] | None = None
    throttling: Throttling | None = None
    cursor: Cursor | None = None
    write_at_cursor: str | None = None
    references: msgspec.Raw = msgspec.Raw()


class Update(msgspec.Struct, tag_field="type", tag=1, kw_only=True, gc=False):
    """Type 1 from the server: news of the running turn."""

    target: Literal["update"] = "update"
    arguments: Sequence[UpdateArguments] = []


_LONGEST_WAIT_S = 1e9  # 30 years; beyond it nobody could wait


class Result(_Wire):
    """How a turn, a creation or a deletion ended.

    `retry_after`, in seconds, was not seen: an HTTP status has a header for it, and a result nothing. The emulator
    sends it, so that a test's `Throttled(retry_after=7)` arrives as it is.
    """

    value: str | None = None
    message: str | None = None
    error: str | None = None
    service_version: str | None = None
    retry_after: object = None

    @property
    def wait_s(self) -> float | None:
        """How long to wait before the next attempt, in seconds; None where that is not said."""
        wait = self.retry_after
        return float(wait) if isinstance(wait, int | float) and 0 <= wait < _LONGEST_WAIT_S else None


class FinalItem(_Wire):
    """The whole turn. An error has neither `messages` nor `throttling` (recordings 04, 08, 10)."""

    messages: list[WireMessage] | None = None
    conversation_id: str | None = None
    request_id: str | None = None
    conversation_expiry_time: str | None = None
    throttling: Throttling | None = None
    result: Result | None = None
    first_new_message_index: int | None = None


class Final(msgspec.Struct, tag_field="type", tag=2, rename="camel"):
    """Type 2: the final frame of a turn."""

    item: FinalItem
    invocation_id: str | None = None


class Completion(msgspec.Struct, tag_field="type", tag=3, rename="camel", omit_defaults=True):
    """Type 3: the invocation is over. Follows type 2; comes alone after a stop."""

    invocation_id: str | None = None
    error: str | None = None


class Ping(msgspec.Struct, tag_field="type", tag=6):
    """Type 6, in both directions: keep-alive."""


class Close(msgspec.Struct, tag_field="type", tag=7, rename="camel", omit_defaults=True):
    """Type 7: the server closes the connection (recording 12)."""

    error: str | None = None
    allow_reconnect: bool | None = None


class HandshakeAck(msgspec.Struct, omit_defaults=True):
    """The server's first record: `{}`, or an error before it closes."""

    error: str | None = None


class UnknownFrame(msgspec.Struct):
    """A frame that this version does not know, as parsed JSON."""

    raw: Any


# --- what the client says ----------------------------------------------------------------------------------


class HandshakeRequest(msgspec.Struct):
    """The client's first record."""

    protocol: str
    version: int


HANDSHAKE = HandshakeRequest(protocol="json", version=1)


class Participant(_Wire):
    """Who talks: the client id from the creation."""

    id: str | None = None


class UserMessage(_Wire):
    """The user's message of a turn."""

    author: str = ""
    text: str = ""
    message_type: str | None = None
    input_method: str | None = None
    request_id: str | None = None
    message_id: str | None = None
    locale: str | None = None
    market: str | None = None
    region: str | None = None
    location: str | None = None
    location_hints: list[dict[str, Any]] | None = None
    timestamp: str | None = None
    image_url: str | None = None
    original_image_url: str | None = None


class PreviousMessage(_Wire):
    """Context that goes before the message (docs/protocol/chathub.md, section d)."""

    author: str | None = None
    description: str | None = None
    context_type: str | None = None
    message_type: str | None = None
    message_id: str | None = None
    text: str | None = None


class ChatArguments(_Wire):
    """A chat request. The server wants every field up to `message`."""

    source: str | None = None
    options_sets: list[str] | None = None
    is_start_of_session: bool | None = None
    conversation_id: str | None = None
    conversation_signature: str | None = None
    participant: Participant | None = None
    message: UserMessage | None = None
    allowed_message_types: list[str] | None = None
    slice_ids: list[str] | None = None
    verbosity: str | None = None
    scenario: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    tone: str | None = None
    spoken_text_mode: str | None = None
    previous_messages: list[PreviousMessage] | None = None
    plugins: list[dict[str, Any]] | None = None
    conversation_history_options_sets: list[str] | None = None
    gpt_id: str | None = None

    @property
    def characters(self) -> int:
        """The length of the message and its context together, in characters."""
        message = self.message or UserMessage()
        context = (previous.description or previous.text or "" for previous in self.previous_messages or ())
        return len(message.text) + sum(map(len, context))


class Chat(msgspec.Struct, tag_field="type", tag=4, rename="camel"):
    """Type 4: one turn. `invocation_id` is a string counter, "0" on the first turn of a conversation."""

    arguments: list[ChatArguments]
    invocation_id: str
    target: str = "chat"


class Invocation(msgspec.Struct, tag_field="type", tag=1, rename="camel", omit_defaults=True):
    """Type 1 from the client: `stop` ends the running turn; the Microsoft 365 client also sends `Metrics`."""

    target: str
    invocation_id: str | None = None
    arguments: list[Any] = []


class ServerRecord(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Any frame of the server that is known, with the fields of all kinds, for reading alone.

    A union of kinds reads a record twice where `type` is not its first key.
    """

    type: int
    target: str = "update"
    arguments: list[UpdateArguments] = []
    item: FinalItem | None = None
    invocation_id: str | None = None
    error: str | None = None
    allow_reconnect: bool | None = None


class SpelledMessage(UpdateMessage):
    """A message whose text is a JSON literal, until `codec` puts the text in its place."""

    text: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class SpelledArguments(UpdateArguments):
    """What an update brings, with such messages."""

    messages: list[SpelledMessage] | None = None


class SpelledRecord(msgspec.Struct, gc=False):
    """Any frame of the server, of which only an update has its content."""

    type: int
    target: str = "update"
    arguments: list[SpelledArguments] = []


ServerFrame: TypeAlias = Update | Final | Completion | Ping | Close | HandshakeAck | UnknownFrame
ClientFrame: TypeAlias = HandshakeRequest | Chat | Invocation | Ping | UnknownFrame
