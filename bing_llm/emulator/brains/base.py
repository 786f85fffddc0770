"""What a brain is asked, and what it must offer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

import msgspec

from bing_llm.errors import BingError
from bing_llm.events import Event
from bing_llm.images import Image

Output: TypeAlias = Event | BingError
"""What a brain yields: an event of the answer, or an error that the emulator plays as the service would."""


class PastTurn(msgspec.Struct, frozen=True):
    """An earlier turn of the conversation: what the user said, what was answered, and the context that came along."""

    question: str
    answer: str
    context: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One turn, as a brain sees it.

    Attributes:
        text: The user's message.
        context: The text of `previousMessages`, joined by empty lines; "" for none.
        history: The earlier turns of this conversation, the oldest first.
        search: Whether the brain may search the web (the option set `nosearchall` is not there).
        images: The pictures that go with the message: their bytes where they were uploaded here, else their URL.
        tone: The conversation style, such as `Balanced`; "" where none was sent.
        conversation_id: The id of the conversation.
        number: Which turn of the conversation this is, 0 for the first.
    """

    text: str
    context: str = ""
    history: tuple[PastTurn, ...] = ()
    search: bool = True
    images: tuple[Image, ...] = ()
    tone: str = ""
    conversation_id: str = ""
    number: int = 0


class Brain(Protocol):
    """Answers questions. The emulator closes the iterator when the client stops the turn or goes away."""

    def answer(self, question: Question) -> AsyncIterator[Output]:
        """The events of the answer, in order.

        The emulator adds what every turn has: ids, the quota, the user's own message, the final frame. A
        `TurnCompleted` is not needed; as the last event it brings citations and suggestions, and the text where none
        came before. An error ends the turn in the way in which the service reports that error.
        """
