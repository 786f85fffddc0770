"""What a brain is asked, what it must offer, and its outputs, checked before a service writes them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, TypeAlias, get_args

import msgspec

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.chathub.shapes import check_playable
from bing_llm.images import Image


class Cited(msgspec.Struct, frozen=True):
    """The sources of an answer, before its text: live answers of Work IQ link to them while they stream.

    Citations of a `TurnCompleted` come too late for that. Nothing is sent for it.
    """

    citations: tuple[ev.Citation, ...]


Output: TypeAlias = ev.Event | errors.BingError | Cited
"""What a brain yields: an event of the answer, its sources, or an error that is played as the service would."""

_EVENTS: tuple[type[ev.Event], ...] = get_args(ev.Event)

_log = logging.getLogger(__name__)


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
        agent: The id of the agent that is asked; "" for none.
    """

    text: str
    context: str = ""
    history: tuple[PastTurn, ...] = ()
    search: bool = True
    images: tuple[Image, ...] = ()
    tone: str = ""
    conversation_id: str = ""
    number: int = 0
    agent: str = ""


class Brain(Protocol):
    """Answers questions. The emulator closes the iterator when the client stops the turn or goes away."""

    def answer(self, question: Question) -> AsyncIterator[Output]:
        """The events of the answer, in order.

        The emulator adds what every turn has: ids, the quota, the user's own message, the final frame. A
        `TurnCompleted` is not needed; as the last event it brings citations and suggestions, and the text where none
        came before. An error ends the turn in the way in which the service reports that error.
        """


async def outputs_of(brain: Brain, question: Question) -> AsyncGenerator[Output, None]:
    """The outputs of the brain. An exception that it raises becomes the last output."""
    try:
        outputs = brain.answer(question)
        try:
            async for output in outputs:
                yield output
        finally:
            close = getattr(outputs, "aclose", None)
            if close is not None:
                await close()
    except errors.BingError as exc:
        yield exc
    except Exception as exc:  # noqa: BLE001 - whatever a brain raises, the client gets an answer
        _log.exception("The brain %s failed.", type(brain).__name__)
        yield brain_failure(f"{type(exc).__name__}: {exc}")


def checked_output(output: Output) -> Output:
    """The output, or an error in its place if no service can send it."""
    if isinstance(output, errors.BingError):
        try:
            check_playable(output)
        except errors.ConfigurationError as exc:
            return brain_failure(str(exc))
        return output
    why = unplayable(output)
    return output if why is None else brain_failure(f"it yielded {why}")


def brain_failure(why: str) -> errors.BingError:
    """The error for a mistake of the brain. Clients do not retry it."""
    return errors.InvalidRequest(service_message=f"The emulator's brain failed ({why.rstrip('.')}).")


def ends_conversation(output: Output) -> bool:
    """Whether the conversation ends with this output."""
    return isinstance(output, errors.ConversationEnded) or (isinstance(output, ev.TextRevoked) and output.ended)


def unplayable(event: object) -> str | None:
    """Why the ChatHub cannot send this; None if it can."""
    match event:
        case ev.ImageCreated():
            return "ImageCreated: the ChatHub only asks for pictures; use ImageRequested"
        case Cited():
            return None
        case ev.Restarted():
            return "Restarted: only a client restarts a turn"
        case ev.Unknown(raw=value) if not isinstance(value, dict):
            return "Unknown whose raw is not a JSON object: use a frame (with `type`) or a message (with `messageType`)"
        case _ if not isinstance(event, _EVENTS):
            return f"a {type(event).__name__}: it is not an event"
        case _:
            return None
