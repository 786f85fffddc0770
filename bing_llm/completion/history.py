"""A framework's history as a request has it: its messages, their calls, and the pictures that go with the turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource, picture_url
from bing_llm.messages import Message
from bing_llm.tools.prompt import render_foreign_call, render_result

_LONGEST_LABEL = 64  # characters of a name or a role: it is one word, or a few


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


class HistoryBuilder:
    """Collects the messages of a framework, the oldest first.

    The service takes pictures only with a turn. So only pictures in the newest user message since the last answer that
    has any are sent, and sent again with the results of tools; earlier ones are not, and are not read.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._question: list[Iterable[ImageSource]] = []
        self._answered = False
        self._tools: dict[str, str] = {}  # names by the ids of their calls

    def add(self, role: str, text: str, *, name: str = "", images: Iterable[ImageSource] = ()) -> None:
        """Add a message.

        Args:
            role: `system`, `user`, `assistant`, or any other.
            text: Its text.
            name: Its author's name, which goes before the text; "" for none.
            images: The pictures in it, if a user wrote it; iterated only if they go with the turn.
        """
        name = label(name)
        self._messages.append(Message(role, f"{name}: {text}" if name and text else text))
        if role == "user":
            self._question = [images] if self._answered else [*self._question, images]
        self._answered = role == "assistant" or (self._answered and role != "user")

    def add_answer(self, text: str, calls: Sequence[HistoryCall], *, name: str = "") -> None:
        """Add a message of the model, with the calls that it made after the text."""
        self._tools.update((key, call.name) for call in calls for key in call.ids)
        written = [call.text for call in calls]
        if text:
            self.add("assistant", join_lines([text, *written]), name=name)
        else:
            self.add("assistant", join_lines(written))

    def add_result(self, text: str, *, call_id: str, name: str = "", failed: bool | None = None) -> None:
        """Add what a tool returned.

        Args:
            text: What it returned.
            call_id: The id of the call, by which the tool's name is found.
            name: The name of the tool, if the message has one.
            failed: Whether the tool failed; None if that is not known.
        """
        self.add("tool", render_result(name or self._tools.get(call_id, ""), text, failed=failed))

    def build(self) -> History:
        """The history. Reads the pictures that go with the turn.

        Raises:
            InvalidRequest: Such a picture cannot be sent.
        """
        newest_first = (tuple(images) for images in reversed(self._question))
        return History(tuple(self._messages), next((images for images in newest_first if images), ()))


def join_lines(parts: Iterable[str | None]) -> str:
    """The parts that are not empty, each on a line of its own."""
    return "\n".join(part for part in parts if part)


def label(text: str) -> str:
    """A name or a role as one short line, without the brackets that make the header of a message."""
    characters = (c if c.isprintable() and c not in "[]" else " " for c in text[:_LONGEST_LABEL])
    return " ".join("".join(characters).split())


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
    return "names a file, and paths are not read"
