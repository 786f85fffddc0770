"""Faults on purpose: what goes wrong in a turn of the emulator, and where.

    Emulator(faults=[Fault(HttpAnswer(503), "creation"), Fault(Cut(), "mid", turn=2, after=3)])

The first creation is answered with 503, and the second turn is cut after three pieces of its answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from itertools import product
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Cited, Output, unplayable
from bing_llm.emulator.chathub.shapes import PLAYABLE, check_playable, check_refusable
from bing_llm.emulator.faults import (
    WIRE_FAULTS,
    Cut,
    Duplicate,
    HandshakeRefused,
    How,
    HttpAnswer,
    Late,
    Merge,
    NewMessage,
    Raw,
    Silence,
    Split,
    WireFault,
)
from bing_llm.emulator.workiq.shapes import is_refusal
from bing_llm.errors import BingError, CaptchaRequired, ConfigurationError
from bing_llm.events import Event

Service: TypeAlias = Literal["chathub", "workiq", "a2a"]

Step: TypeAlias = Literal["creation", "upgrade", "handshake", "request", "first", "mid", "last", "subscription", "task"]

FaultKind: TypeAlias = WireFault | Event | BingError
"""A fault on the wire, or an event or error that comes as if the brain had yielded it."""


def plain_name(kind: type) -> str:
    """The name of a fault, an event or an error in plain words: `HttpAnswer` is `http answer`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()


KINDS: Final[Mapping[str, type[FaultKind]]] = {
    plain_name(kind): kind
    for kind in (*WIRE_FAULTS, *get_args(Event), *PLAYABLE)
    if kind not in {ev.ImageCreated, ev.Restarted}  # which no service sends; see `unplayable`
}
"""All that may go wrong, by its name in plain words."""

Hit: TypeAlias = Callable[[FaultKind, Step], None]
"""Is called with a fault that hits, and where."""

_Place: TypeAlias = tuple[Service, Step]

_OF_TASKS: frozenset[Step] = frozenset(("subscription", "task"))
_EVENTS: tuple[type, ...] = get_args(Event)
_SERVICES: tuple[Service, ...] = get_args(Service)


def _places(services: tuple[Service, ...], *steps: Step) -> frozenset[_Place]:
    return frozenset(product(services, steps))


_TURN = _places(_SERVICES, "first", "mid", "last")
_CHATHUB_TURN = _places(("chathub",), "first", "mid", "last")
_CREATION = _places(_SERVICES, "creation")
_HANDSHAKE = _places(("chathub",), "handshake")
_REQUEST = _places(("workiq", "a2a"), "request")
_TASK = _places(("a2a",), "subscription", "task")
_HTTP = _CREATION | _places(("chathub",), "upgrade") | _REQUEST | _TASK

_OF_CUTS: dict[How, frozenset[_Place]] = {
    "abort": _HTTP | _HANDSHAKE | _TURN,
    "type 3": _CHATHUB_TURN,
    "end": _places(("workiq", "a2a"), "first", "mid", "last"),
}
_OF_KINDS: dict[type, frozenset[_Place]] = {
    HttpAnswer: _HTTP,
    Cut: _HANDSHAKE | _CHATHUB_TURN,
    Silence: _HTTP | _HANDSHAKE | _TURN,
    Late: _CREATION | _REQUEST,
    Raw: _HANDSHAKE | _TURN,
    Split: _CREATION | _HANDSHAKE | _TURN,
    Merge: _places(_SERVICES, "first", "mid"),
    Duplicate: _TURN,
    NewMessage: _places(("chathub", "workiq"), "first", "mid"),
    HandshakeRefused: _HANDSHAKE,
}


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong, once.

    ==============  ======================================================  =================================
    step            where it hits                                           what may hit there
    ==============  ======================================================  =================================
    `creation`      in place of the answer to a creation; over A2A, of an   HttpAnswer, Cut, Silence, Late,
                    agent's card                                            Split; Throttled, Unauthorized,
                                                                            ServiceError, ProtocolError
    `upgrade`       ChatHub: in place of an open socket                     HttpAnswer, Cut, Silence
    `handshake`     ChatHub: in place of the answer to the handshake        HandshakeRefused, Cut, Silence,
                                                                            Raw, Split
    `request`       Work IQ, A2A: in place of the answer to a turn          HttpAnswer, Cut, Silence, Late
    `first`         before the first piece of an answer                     Cut, Silence, Raw, Split, Merge,
    `mid`           after `after` pieces of it                              Duplicate, NewMessage; events and
    `last`          after the last piece, before the final frame            errors, as in `Scripted`
    `subscription`  A2A: in place of the answer to `SubscribeToTask`        HttpAnswer, Cut, Silence; errors that
    `task`          A2A: in place of the answer to `GetTask`                refuse a turn
    ==============  ======================================================  =================================

    A connection is refused where nobody listens: close the emulator for that.

    Attributes:
        what: What goes wrong.
        step: Where it hits.
        turn: At which one, from 1 on, counted for each step since the plan was set: with `mid`, 2 is the second turn
            that is answered, with `creation` the second creation. None for the next one.
        after: With `mid`, after how many pieces: events of the brain, a frame each.
        optional: Whether a test may end without reaching it. The fixture `bing_emulator` fails at the end of a test
            whose plan has other faults left: the test did not test what it says.

    Raises:
        ConfigurationError: No service can play it there.
    """

    what: FaultKind
    step: Step
    turn: int | None = None
    after: int = 1
    optional: bool = False

    def __post_init__(self) -> None:
        if self.step not in get_args(Step):
            allowed = ", ".join(get_args(Step))
            raise ConfigurationError(f"The step of a fault is {self.step!r}; it must be one of {allowed}.")
        _check_count("after", self.after)
        if self.turn is not None:
            _check_count("turn", self.turn)
        if self.after != 1 and self.step != "mid":
            raise ConfigurationError(f"after is of step 'mid' alone; the step of this fault is {self.step!r}.")
        check_kind(self.what, self.step)


def _check_count(name: str, count: object) -> None:
    if not (isinstance(count, int) and count >= 1):
        raise ConfigurationError(f"{name} of a fault is {count!r}; it must be a whole number from 1 on.")


def fits(what: FaultKind, service: Service, step: Step) -> bool:
    """Whether the fault may hit this step of this service."""
    return (service, step) in _places_of(what, step)


def check_kind(what: FaultKind, step: Step) -> None:
    """Refuse a fault that no service can have at this step.

    Raises:
        ConfigurationError: The text says why.
    """
    if not isinstance(what, (*WIRE_FAULTS, *_EVENTS, BingError)):
        shown = f"the class {what.__name__}" if isinstance(what, type) else f"a {type(what).__name__}"
        raise ConfigurationError(f"The emulator cannot play {shown}.", hint="Pass a fault, an event or an error.")
    _check_values(what)
    if isinstance(what, BingError):
        (check_refusable if step == "creation" else check_playable)(what)
        if step in _OF_TASKS and not is_refusal(what):
            raise ConfigurationError(f"The emulator cannot answer about a task with {type(what).__name__}.")
    elif not isinstance(what, WIRE_FAULTS) and (why := unplayable(what)) is not None:
        raise ConfigurationError(f"The emulator cannot send {why}.")
    if not any(fits(what, service, step) for service in _SERVICES):
        raise ConfigurationError(f"{what!r} cannot hit the step {step!r}.", hint="The docstring of Fault has a table.")


def _places_of(what: FaultKind, step: Step) -> frozenset[_Place]:
    match what:
        case Cut(how=how):
            return _OF_CUTS.get(how, _OF_KINDS[Cut])
        case Silence(pings=True):
            return _TURN
        case CaptchaRequired():
            return _CHATHUB_TURN
        case BingError() if step == "creation":
            return _CREATION
        case BingError() if step in _OF_TASKS:
            return _TASK
        case _:
            return _OF_KINDS.get(type(what), _TURN)


def _check_values(what: Any) -> None:
    match what:
        case HttpAnswer(status=status) if status not in range(200, 600):
            raise ConfigurationError(f"The status of an HttpAnswer is {status!r}; it must be from 200 to 599.")
        case Cut(how=how) if how not in get_args(How):
            raise ConfigurationError(f"Cut({how!r}) is not known; it must be one of {', '.join(get_args(How))}.")
        case Late(seconds=seconds) if not seconds >= 0:
            raise ConfigurationError(f"{what!r} must have 0 or more seconds.")
        case Split(size=size, pause=pause) if not (size >= 1 and pause >= 0):
            raise ConfigurationError(f"{what!r} must have a size from 1 on and a pause of 0 or more.")
        case _:
            pass


class FaultPoint(msgspec.Struct, frozen=True):
    """A place where a fault may hit.

    Attributes:
        service: Which of the three; Work IQ is `workiq` over REST, and `a2a`.
        step: As in `Fault`.
        turn: At which one, from 1 on, counted for each step of each service.
        after: With `mid`, after how many pieces.
    """

    service: Service
    step: Step
    turn: int
    after: int = 1


Faults: TypeAlias = Iterable[Fault] | Callable[[FaultPoint], FaultKind | None]
"""A list that is used up as the steps are reached, or a function that is called at each point, for faults by chance."""


class FaultPlan:
    """The faults of one emulator.

    Args:
        faults: What the emulator was given.

    Raises:
        ConfigurationError: It is neither a list of faults nor a function.
    """

    def __init__(self, faults: Faults = ()) -> None:
        self.left: list[Fault] = []
        self._choose: Callable[[FaultPoint], FaultKind | None] | None = None
        self._counts: Counter[tuple[Service, Step]] = Counter()
        if callable(faults):
            self._choose = faults
            return
        self.left = list(faults)
        for fault in self.left:
            _check_fault(fault)

    def fault_at(self, service: Service, step: Step, hit: Hit | None = None) -> FaultKind | None:
        """The fault that hits a step outside an answer; None for none."""
        return self._at(FaultPoint(service, step, self._count(service, step)), hit)

    async def interrupt(
        self, service: Service, outputs: AsyncGenerator[Output, None], hit: Hit | None = None
    ) -> AsyncGenerator[Output | WireFault, None]:
        """The outputs of one turn with the faults that hit it. Closing this generator early closes `outputs`."""
        turn = self._count(service, "first")
        async with aclosing(outputs):
            if (what := self._at(FaultPoint(service, "first", turn), hit)) is not None:
                yield what
            count = 0
            async for output in outputs:
                yield output
                if isinstance(output, BingError):
                    return
                if isinstance(output, Cited):  # for which nothing is sent
                    continue
                count += 1
                if (what := self._at(FaultPoint(service, "mid", turn, count), hit)) is not None:
                    yield what
            if (what := self._at(FaultPoint(service, "last", turn), hit)) is not None:
                yield what

    def _count(self, service: Service, step: Step) -> int:
        self._counts[service, step] += 1
        return self._counts[service, step]

    def _at(self, point: FaultPoint, hit: Hit | None = None) -> FaultKind | None:
        what = self._next(point) if self._choose is None else _checked(self._choose(point), point)
        if what is not None and hit is not None:
            hit(what, point.step)
        return what

    def _next(self, point: FaultPoint) -> FaultKind | None:
        for place, fault in enumerate(self.left):
            if _hits(fault, point):
                del self.left[place]
                return fault.what
        return None


def _check_fault(fault: object) -> None:
    if not isinstance(fault, Fault):
        msg = f"A fault of the plan is a {type(fault).__name__}."
        raise ConfigurationError(msg, hint="Pass a list of Fault, or a function.")


def _hits(fault: Fault, point: FaultPoint) -> bool:
    if fault.step != point.step or fault.after != point.after:
        return False
    return fault.turn in {None, point.turn} and fits(fault.what, point.service, point.step)


def _checked(what: FaultKind | None, point: FaultPoint) -> FaultKind | None:
    if what is not None:
        check_kind(what, point.step)
        if not fits(what, point.service, point.step):
            raise ConfigurationError(f"{what!r} cannot hit the step {point.step!r} of {point.service}.")
    return what
