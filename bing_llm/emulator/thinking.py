"""What a brain says, made safe for whoever writes it out."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.brain_errors import check_playable
from bing_llm.emulator.brains.base import Brain, Question, Thought
from bing_llm.emulator.writing import unplayable

__all__ = ["broken", "ends", "thoughts_of", "vetted"]

_log = logging.getLogger(__name__)


async def thoughts_of(brain: Brain, question: Question) -> AsyncGenerator[Thought, None]:
    """What the brain yields, with what it raises as the last thing that it yields."""
    try:
        thoughts = brain.answer(question)
        try:
            async for thought in thoughts:
                yield thought
        finally:
            close = getattr(thoughts, "aclose", None)
            if close is not None:
                await close()
    except errors.BingError as exc:
        yield exc
    except Exception as exc:  # noqa: BLE001 - whatever a brain raises, the client gets an answer
        _log.exception("The brain %s failed.", type(brain).__name__)
        yield broken(f"{type(exc).__name__}: {exc}")


def vetted(thought: Thought) -> Thought:
    """The thought itself, or in place of what no service sends an error that says so."""
    if isinstance(thought, errors.BingError):
        try:
            check_playable(thought)
        except errors.ConfigurationError as exc:
            return broken(str(exc))
        return thought
    why = unplayable(thought)
    return thought if why is None else broken(f"it yielded {why}")


def broken(why: str) -> errors.BingError:
    """A mistake of the brain, reported in the one way in which no client tries the turn again."""
    return errors.InvalidRequest(service_message=f"The emulator's brain failed ({why.rstrip('.')}).")


def ends(thought: Thought) -> bool:
    """Whether the conversation takes no further turn after this."""
    return isinstance(thought, errors.ConversationEnded) or (isinstance(thought, ev.TextRevoked) and thought.ended)
