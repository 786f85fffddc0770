"""What the service sends, as typed data: conversations, messages, sources, errors.

See docs/protocol/workiq.md, sections 5 and 7.

Tolerant: only what a turn cannot do without has a type. Other parts stay undecoded (`msgspec.Raw`) until they are asked
for, and what is not known is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from bing_llm.backends.json_text import MAX_VALUES, check_values, decode, decode_or_none, text_in
from bing_llm.backends.known_prefix import KnownPrefix, check_whole
from bing_llm.backends.workiq.citations import Sources, label_of

DISENGAGED: Final = "disengagedForRai"
"""The `state` of a conversation that the service ended; other values are to be expected."""

INTERMEDIATE: Final = "Intermediate Conversation Update"
"""The `displayName` of a conversation whose answer is still written."""

_DEEPEST = 8  # errors inside an error; some are seen


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A JSON object of the wire; absent, null and default are the same."""


class Message(_Wire):
    """One message: the echo of the prompt or the answer. Nothing in it says which.

    Cards are left out: they repeat the text.
    """

    id: str | None = None
    text: str | None = None
    attributions: msgspec.Raw = msgspec.Raw()
    references: msgspec.Raw = msgspec.Raw()
    sensitivity_label: msgspec.Raw = msgspec.Raw()


class Conversation(_Wire):
    """A copilotConversation: its newest turn, as far as it is known. In its place an error may come.

    `status` is what one printed sample has instead of `state`.
    """

    id: str | None = None
    state: str | None = None
    status: str | None = None
    display_name: str | None = None
    turn_count: object = None
    agent_id: object = None
    messages: list[Message | None] | None = None
    error: msgspec.Raw = msgspec.Raw()

    @property
    def is_known(self) -> bool:
        """Whether it has any field of a conversation."""
        return self != _NOTHING

    @property
    def is_disengaged(self) -> bool:
        """Whether the service ended the conversation."""
        return (self.state or self.status) == DISENGAGED

    @property
    def is_intermediate(self) -> bool:
        """Whether the service says that the answer is still written."""
        return self.display_name == INTERMEDIATE

    @property
    def fault(self) -> Fault | None:
        """The error that came in its place; None for none."""
        error = decode_or_none(self.error) if self.error else None
        return None if error is None else fault_of(error)

    def replies(self, asked: str = "") -> list[Message]:
        """The messages with text, but for the echo of the prompt: the first of several, or one with this text."""
        messages = [message for message in self.messages or () if message is not None]
        if len(messages) > 1:
            return [message for message in messages[1:] if message.text]
        return [message for message in messages if message.text and message.text != asked]


_NOTHING: Final = Conversation()


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the service words it; each part is "" where the service sent none.

    Attributes:
        code: Its name, such as `InvalidAuthenticationToken`.
        message: Its words.
        request_id: What support asks for.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""


class _SpelledMessage(Message):
    """A message whose text is a JSON literal, until the text is put in its place."""

    text: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class _SpelledConversation(Conversation):
    messages: list[_SpelledMessage | None] | None = None  # type: ignore[assignment]


_conversation: msgspec.json.Decoder[Conversation] = msgspec.json.Decoder(Conversation)
_decode_spelled = msgspec.json.Decoder(_SpelledConversation).decode


class SnapshotDecoder:
    """Decodes the snapshots of one turn as `decode_conversation` does, and the text that they repeat only once."""

    def __init__(self) -> None:
        self._known = KnownPrefix()

    def decode(self, data: bytes) -> Conversation:
        """The next snapshot.

        Raises:
            ProtocolError: As `decode_conversation`.
        """
        known = self._known
        if known.size and (short := known.shorten(data)) is not None:
            if len(data) > MAX_VALUES:
                check_values(data)
            try:
                return self._decode_shortened(short)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                known.give_up()
        conversation = decode_conversation(data)
        if len(data) >= known.due and conversation.messages:
            last = conversation.messages[-1]
            spelled = (_decode_spelled(data).messages or [None])[-1]
            if last is not None and last.text and spelled is not None:
                known.remember(data, spelled.text, last.text)
        return conversation

    def _decode_shortened(self, short: bytes) -> Conversation:
        known = self._known
        conversation = _decode_spelled(short)
        check_whole(conversation.error)
        literal, text = msgspec.Raw(), None
        for message in conversation.messages or ():
            if message is not None:
                check_whole(message.attributions, message.references, message.sensitivity_label)
                literal = message.text
                text = known.text_of(literal) if literal else None
                message.text = text  # type: ignore[assignment]  # it is the text from now on
        if text:
            known.remember(short, literal, text)
        return conversation


def decode_conversation(data: str | bytes) -> Conversation:
    """The conversation that a JSON text holds.

    Raises:
        ProtocolError: It is not a JSON object, has too many values, or a part that a turn cannot do without has another
            type.
    """
    return decode(_conversation, data, "an event that is not a conversation")


def fault_of(error: object) -> Fault:
    """The error in the `error` of an answer: an object with `code`, `message` and `innerError`, or a text."""
    if not isinstance(error, dict):
        return Fault(message=error if isinstance(error, str) else "")
    layers = list(_layers(error))
    return Fault(
        code=text_in(error, "code"),
        message=next((said for layer in layers if (said := text_in(layer, "message"))), ""),
        request_id=next((found for layer in layers if (found := _request_id(layer))), ""),
    )


def _layers(error: object) -> Iterator[dict[str, object]]:
    for _ in range(_DEEPEST):
        if not isinstance(error, dict):
            return
        yield error
        error = error.get("innerError") or error.get("innererror")


def _request_id(layer: dict[str, object]) -> str:
    return text_in(layer, "request-id") or text_in(layer, "requestId")


def sources_of(message: Message) -> Sources:
    """What the service says of the sources of a message."""
    return Sources(decode_or_none(message.attributions), decode_or_none(message.references))


def sensitivity_label_of(message: Message) -> dict[str, object]:
    """The highest label of what the answer rests on, without its empty fields."""
    return label_of(decode_or_none(message.sensitivity_label))
