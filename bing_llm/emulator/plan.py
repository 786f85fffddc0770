"""When the faults of a plan hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TypeAlias

import msgspec

from bing_llm.emulator.brains.base import Thought
from bing_llm.emulator.faults import Fault, Service, Step, What, check_what, fits
from bing_llm.emulator.wire_faults import WireFault
from bing_llm.errors import BingError, ConfigurationError

__all__ = ["Faults", "Moment", "Plan"]


class Moment(msgspec.Struct, frozen=True):
    """A place where a fault may hit.

    Attributes:
        service: Which of the two.
        step: As in `Fault`.
        turn: At which one, from 1 on, counted for each step of each service.
        after: With `mid`, behind how many pieces.
    """

    service: Service
    step: Step
    turn: int
    after: int = 1


Faults: TypeAlias = Iterable[Fault] | Callable[[Moment], What | None]
"""A list, used up as its steps come by; or a function that is asked at each moment, as for faults by chance."""


class Plan:
    """The faults of one emulator.

    Args:
        faults: What the emulator was given.

    Raises:
        ConfigurationError: It is neither a list of faults nor a function.
    """

    def __init__(self, faults: Faults = ()) -> None:
        self.left: list[Fault] = []
        self._choose: Callable[[Moment], What | None] | None = None
        self._counts: Counter[tuple[Service, Step]] = Counter()
        if callable(faults):
            self._choose = faults
            return
        self.left = list(faults)
        for fault in self.left:
            _check_fault(fault)

    def come_to(self, service: Service, step: Step) -> What | None:
        """What hits a step that is no part of an answer; None for nothing."""
        return self._at(Moment(service, step, self._count(service, step)))

    async def interrupt(
        self, service: Service, thoughts: AsyncGenerator[Thought, None]
    ) -> AsyncGenerator[Thought | WireFault, None]:
        """The thoughts of one turn, with what hits it between them. Closing it early closes them."""
        turn = self._count(service, "first")
        async with aclosing(thoughts):
            if (what := self._at(Moment(service, "first", turn))) is not None:
                yield what
            told = 0
            async for thought in thoughts:
                yield thought
                if isinstance(thought, BingError):
                    return
                told += 1
                if (what := self._at(Moment(service, "mid", turn, told))) is not None:
                    yield what
            if (what := self._at(Moment(service, "last", turn))) is not None:
                yield what

    def _count(self, service: Service, step: Step) -> int:
        self._counts[service, step] += 1
        return self._counts[service, step]

    def _at(self, moment: Moment) -> What | None:
        if self._choose is not None:
            return _checked(self._choose(moment), moment)
        for place, fault in enumerate(self.left):
            if _hits(fault, moment):
                del self.left[place]
                return fault.what
        return None


def _check_fault(fault: object) -> None:
    if not isinstance(fault, Fault):
        msg = f"A fault of the plan is a {type(fault).__name__}."
        raise ConfigurationError(msg, hint="Pass a list of Fault, or a function.")


def _hits(fault: Fault, moment: Moment) -> bool:
    if fault.step != moment.step or fault.after != moment.after:
        return False
    return fault.turn in {None, moment.turn} and fits(fault.what, moment.service, moment.step)


def _checked(what: What | None, moment: Moment) -> What | None:
    if what is not None:
        check_what(what, moment.step)
        if not fits(what, moment.service, moment.step):
            raise ConfigurationError(f"{what!r} cannot hit the step {moment.step!r} of {moment.service}.")
    return what
