"""A framework's history as a `Request` has it: its messages, and the pictures that go with the turn."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bing_llm.images import ImageSource
from bing_llm.messages import Message

__all__ = ["History", "Said", "history_of", "label"]

_LONGEST_LABEL = 64  # characters of a name or a role: it is one word, or a few


class Said(msgspec.Struct, frozen=True):
    """One message, and the pictures that stand in it; these are iterated only if they go with the turn."""

    message: Message
    images: Iterable[ImageSource] = ()


class History(msgspec.Struct, frozen=True):
    """What the messages say: `messages` for the prompt, and the `images` of the question that they end with."""

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()


def history_of(said: Iterable[Said]) -> History:
    """The history of these messages, the oldest first.

    The service takes pictures with a turn alone. So those of the question go, and with the results of its tools again:
    of what users said since the last answer, those of the newest message that has some; no earlier ones.
    """
    messages: list[Message] = []
    question: list[Iterable[ImageSource]] = []
    answered = False
    for one in said:
        messages.append(one.message)
        if one.message.role == "user":
            question = [one.images] if answered else [*question, one.images]
        answered = one.message.role == "assistant" or (answered and one.message.role != "user")
    shown = (tuple(images) for images in reversed(question))
    return History(tuple(messages), next((images for images in shown if images), ()))


def label(text: str) -> str:
    """A name or a role as one short line, without the brackets that make the header of a message."""
    signs = (sign if sign.isprintable() and sign not in "[]" else " " for sign in text[:_LONGEST_LABEL])
    return " ".join("".join(signs).split())
