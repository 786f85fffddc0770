"""What the service sends, as typed data: conversations, messages, sources, errors.

See docs/protocol/workiq.md, sections 5 and 7.

Tolerant: only what a turn cannot do without has a type. Other parts stay undecoded (`msgspec.Raw`) until they are asked
for, and what is not known is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from bing_llm._urls import web_url
from bing_llm.backends.json_text import decode, decode_or_none, objects_in, text_in
from bing_llm.events import Citation

DISENGAGED: Final = "disengagedForRai"
"""The `state` of a conversation that the service ended; other values are to be expected."""

INTERMEDIATE: Final = "Intermediate Conversation Update"
"""The `displayName` of a conversation whose answer is still written."""

_CITATION = "citation"
_LINKS: Final = ("seeMoreWebUrl", "imageWebUrl", "imageFavIcon")

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
        error = decode_or_none(self.error)
        return None if error is None else fault_of(error)

    def replies(self, asked: str = "") -> list[Message]:
        """The messages with text, but for the echo of the prompt: the first of several, or one with this text."""
        messages = [message for message in self.messages or () if message is not None]
        if len(messages) > 1:
            messages = messages[1:]
        elif messages and messages[0].text == asked:
            messages = []
        return [message for message in messages if message.text]


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


_conversation: msgspec.json.Decoder[Conversation] = msgspec.json.Decoder(Conversation)


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


# --- what an answer rests on ------------------------------------------------------------------------------------------
#
# These parts are decoration: one that does not have the known shape gives nothing, never an error. The service's own
# pages disagree where the sources stand, in `attributions` or in `references` (docs/protocol/workiq.md, section 5), so
# both are read.


def citations_of(message: Message, most: int) -> tuple[Citation, ...]:
    """The sources of the `[^n^]` markers: attributions of type citation, else references, numbered in order.

    None is left out, so that numbers and places agree. A URL that is not a harmless link becomes "".

    Args:
        message: The answer.
        most: How many are read.
    """
    attributed = [each for each in _attributions(message) if each.get("attributionType") == _CITATION]
    named = [(text_in(each, "seeMoreWebUrl"), text_in(each, "providerDisplayName")) for each in attributed]
    if not named:
        named = [(text_in(each, "targetLink"), "") for each in _references(message)]
    return tuple(Citation(number, web_url(url), title) for number, (url, title) in enumerate(islice(named, most), 1))


def annotations_of(message: Message) -> list[dict[str, object]]:
    """The attributions of other types, as they came: links of the people, files and events that the text names.

    A URL that is not a harmless link becomes "".
    """
    others = (each for each in _attributions(message) if each.get("attributionType") != _CITATION)
    return [{**each, **{key: web_url(text_in(each, key)) for key in _LINKS if key in each}} for each in others]


def sensitivity_label_of(message: Message) -> dict[str, object]:
    """The highest label of what the answer rests on, without its empty fields."""
    label = decode_or_none(message.sensitivity_label)
    return {key: value for key, value in label.items() if value is not None} if isinstance(label, dict) else {}


def _attributions(message: Message) -> Iterator[dict[str, object]]:
    return objects_in(decode_or_none(message.attributions))


def _references(message: Message) -> Iterator[dict[str, object]]:
    references = decode_or_none(message.references)
    return objects_in(list(references.values()) if isinstance(references, dict) else references)
