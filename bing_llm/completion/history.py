"""A framework's history as a request has it: its messages, their calls, and the pictures that go with the turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource, picture_url
from bing_llm.messages import Message
from bing_llm.tools.prompt import render_foreign_call

_LONGEST_LABEL = 64  # characters of a name or a role: it is one word, or a few


class HistoryMessage(msgspec.Struct, frozen=True):
    """One message and the pictures in it, which are iterated only if they go with the turn."""

    message: Message
    images: Iterable[ImageSource] = ()


class HistoryCall(msgspec.Struct, frozen=True):
    """A call that a model made earlier.

    Attributes:
        ids: The ids by which a result may refer to it.
        name: The name of its tool.
        text: How the prompt shows it.
    """

    ids: frozenset[str]
    name: str
    text: str

    @classmethod
    def render(cls, name: str, arguments: Any, *ids: Any) -> HistoryCall:
        """The call as `render_foreign_call` writes it; ids that are not a str or are empty do not count.

        Raises:
            InvalidRequest: The arguments cannot be written as JSON.
        """
        known = frozenset(key for key in ids if isinstance(key, str) and key)
        return cls(known, name, render_foreign_call(name, arguments))


class History(msgspec.Struct, frozen=True):
    """The messages for the prompt, the oldest first, and the pictures that go with the turn."""

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()

    @classmethod
    def of(cls, messages: Iterable[HistoryMessage]) -> History:
        """The history of these messages, the oldest first.

        The service takes pictures only with a turn. So only pictures in the newest user message since the last answer
        that has any are sent, and sent again with the results of tools; earlier ones are not.
        """
        converted: list[Message] = []
        question: list[Iterable[ImageSource]] = []
        answered = False
        for one in messages:
            converted.append(one.message)
            if one.message.role == "user":
                question = [one.images] if answered else [*question, one.images]
            answered = one.message.role == "assistant" or (answered and one.message.role != "user")
        newest_first = (tuple(images) for images in reversed(question))
        return cls(tuple(converted), next((images for images in newest_first if images), ()))


def join_lines(parts: Iterable[str | None]) -> str:
    """The parts that are not empty, each on a line of its own."""
    return "\n".join(part for part in parts if part)


def label(text: str) -> str:
    """A name or a role as one short line, without the brackets that make the header of a message."""
    characters = (c if c.isprintable() and c not in "[]" else " " for c in text[:_LONGEST_LABEL])
    return " ".join("".join(characters).split())


def with_name(name: str, text: str) -> str:
    """The text of a message after the name of its author, where both are given."""
    name = label(name)
    return f"{name}: {text}" if name and text else text


def image_url(url: object, *, where: str, hint: str) -> str:
    """The URL of a picture as the client takes it.

    Args:
        url: What the message holds.
        where: Which block it is, for the error: "An image block".
        hint: What to pass instead.

    Raises:
        InvalidRequest: It is not an http(s) or `data:` URL. Only its scheme and host are shown: the rest may be secret.
    """
    if isinstance(url, str) and (known := picture_url(url)):
        return known
    raise InvalidRequest(f"{where} {_complaint(url)}.", hint=hint)


def _complaint(url: object) -> str:
    if not isinstance(url, str) or not url:
        return "has neither data nor a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "has a URL that cannot be read"
    if host and parts.scheme != "file":
        return f"has a URL of {parts.scheme}://{host:.200}, which the service cannot fetch"
    # It would be read from this machine's disk, and messages may come from strangers.
    return "names a file, and files named by a URL are not read"
