"""The outputs of a brain, checked before a service writes them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import get_args

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.brains.base import Brain, Output, Question
from bing_llm.emulator.chathub.error_replies import check_playable

_EVENTS: tuple[type[ev.Event], ...] = get_args(ev.Event)

_log = logging.getLogger(__name__)


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
        case ev.Restarted():
            return "Restarted: only a client restarts a turn"
        case ev.Unknown(raw=value) if not isinstance(value, dict):
            return "Unknown whose raw is not a JSON object: use a frame (with `type`) or a message (with `messageType`)"
        case _ if not isinstance(event, _EVENTS):
            return f"a {type(event).__name__}: it is not an event"
        case _:
            return None
