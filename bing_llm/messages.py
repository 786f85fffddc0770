"""Messages, and the one prompt that a turn sends: `Message`, `Prompt` and `convert`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from bing_llm.images import Image


class Message(msgspec.Struct, frozen=True):
    """One message of a history: `role` is free text (`user`, `assistant`, `system`), `content` its text."""

    role: str
    content: str


class Prompt(msgspec.Struct, frozen=True):
    """What one turn sends.

    Attributes:
        text: The user's message.
        context: Earlier turns or other text that the service is given, as `convert` writes it; None for none.
        images: Pictures that go with the message.
    """

    text: str
    context: str | None = None
    images: tuple[Image, ...] = ()

    @property
    def characters(self) -> int:
        """The length of text and context together, in characters."""
        return len(self.text) + len(self.context or "")


def convert(messages: Iterable[Message | Mapping[str, object]]) -> str:
    """Write a history as the text that the service takes as context.

    Each message becomes `[role](#message)`, a line break, its content and an empty line, in this order.

    ==============================  =====================================================
    content                         what is written
    ==============================  =====================================================
    a str                           as it is
    None, or no content             the empty text
    a list of parts                 its text parts, joined by a line break: each str, and
                                    `text` of each `{"type": "text", "text": ...}`; other
                                    parts (images) have no text and are left out
    anything else                   TypeError
    ==============================  =====================================================

    For messages of LangChain and LlamaIndex there are `langchain_bing.convert` and `llama_index.llms.bing.convert`.

    Args:
        messages: `Message` objects, or mappings with `role` (str) and `content`, the oldest first.

    Raises:
        TypeError: A message has no role, or a role or a content of another type; the text names its index.
    """
    return "".join(_written(as_message(index, message)) for index, message in enumerate(messages))


def as_message(index: int, message: object) -> Message:
    """One message of a history, its content as text.

    Raises:
        TypeError: As in `convert`.
    """
    role: object
    content: object
    if isinstance(message, Message):
        role, content = message.role, message.content
    elif isinstance(message, Mapping):
        role, content = message.get("role"), message.get("content")
    else:
        found = type(message).__name__
        msg = (
            f"Message {index} is a {found}; it must be a mapping with role and content, or a Message. "
            "Messages of LangChain are for langchain_bing.convert, of LlamaIndex for llama_index.llms.bing.convert."
        )
        raise TypeError(msg)
    if not isinstance(role, str):
        found = "has no role" if role is None else f"has a role of type {type(role).__name__}"
        msg = f"Message {index} {found}; the role must be a str such as 'user', 'assistant' or 'system'."
        raise TypeError(msg)
    return Message(role, _text_of(index, content))


def _written(message: Message) -> str:
    return f"[{message.role}](#message)\n{message.content}\n\n"


def _text_of(index: int, content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        parts = (_part_text(index, part) for part in content)
        return "\n".join(part for part in parts if part is not None)
    found = type(content).__name__
    msg = f"Message {index} has content of type {found}; it must be a str, a list of parts or None."
    raise TypeError(msg)


def _part_text(index: int, part: object) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        msg = f"Message {index} has a part of type {type(part).__name__}; a part must be a str or a mapping."
        raise TypeError(msg)
    if part.get("type", "text") != "text":
        return None
    text = part.get("text")
    if not isinstance(text, str):
        msg = f"Message {index} has a text part whose text is a {type(text).__name__}; it must be a str."
        raise TypeError(msg)
    return text
