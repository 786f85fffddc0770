"""A service that fails at random: one turn in ten, in each way in which a service ends a turn, and some creations."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

from benchmarks.memory import words
from bing_llm import errors
from bing_llm.emulator import Emulator, FaultPoint, Question, Scripted
from bing_llm.events import TextDelta

__all__ = ["ANSWER", "KINDS", "TOKEN", "faulty"]

TOKEN = "soak"  # noqa: S105 - of the Work IQ of this server; it protects nothing

FAULTY_TURNS = 0.1
REFUSED_CREATIONS = 0.02
"""Parts of one: of turns and, for each turn, of creations."""

WORDS = words(12)
ANSWER = "".join(WORDS)
"""What a turn without a fault says."""

KINDS = (
    errors.Throttled,
    errors.CaptchaRequired,
    errors.SessionExpired,
    errors.Unauthorized,
    errors.InvalidRequest,
    errors.ConversationBusy,
    errors.ServiceError,
    errors.ContentFiltered,
    errors.ConversationEnded,
    errors.TurnLimitReached,
    errors.PromptTooLong,
    errors.ConnectionLost,
    errors.TimedOut,
    errors.ProtocolError,
)
"""How a turn fails."""

_CREATION = (errors.Throttled, errors.Unauthorized, errors.ServiceError, errors.ProtocolError)


@asynccontextmanager
async def faulty(seed: int) -> AsyncGenerator[str, None]:
    """The URL of an emulator that fails by this seed: before the first word, between two, or after the last."""
    random = Random(seed)  # noqa: S311 - it must be repeatable

    def turn(question: Question) -> list[TextDelta | errors.BingError]:
        del question
        deltas = [TextDelta(word) for word in WORDS]
        if random.random() >= FAULTY_TURNS:
            return [*deltas]
        return [*deltas[: random.randint(0, len(deltas))], random.choice(KINDS)()]

    def refused(moment: FaultPoint) -> errors.BingError | None:
        refuses = moment.step == "creation" and random.random() < REFUSED_CREATIONS
        return random.choice(_CREATION)() if refuses else None

    async with Emulator(Scripted(turn), faults=refused, token=TOKEN) as emulator:
        yield emulator.url
