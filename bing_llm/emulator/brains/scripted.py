"""A brain that says what a test wrote down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, get_args

import msgspec

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Cited, Output, Question, unplayable
from bing_llm.emulator.chathub.shapes import check_playable
from bing_llm.errors import BingError, ConfigurationError, InvalidRequest


class Pause(msgspec.Struct, frozen=True):
    """A line of a script that waits this many seconds.

    Raises:
        ConfigurationError: The time is below zero.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ConfigurationError(f"{self!r} must have 0 or more seconds.")


Line: TypeAlias = str | Output | Pause
Script: TypeAlias = "Iterable[Iterable[Line]] | Mapping[str, Iterable[Line]] | Callable[[Question], Iterable[Line]]"

_EVENTS: tuple[type[ev.Event], ...] = get_args(ev.Event)
_HINT = "A turn is a list of str (some text), events, pauses, and at most one error instance, which ends it."


class Scripted:
    """Plays turns as they are written.

    A turn is a list of lines: a `str` is a piece of text, an event is sent as it is, a `Pause` waits, and an error
    instance is played as the service would report it and ends the turn. `Scripted([[Throttled()], ["Hello ",
    "there."]])` refuses the first request and answers the second.

    Args:
        script: A list of turns, one for each request in order, whatever conversation it belongs to; or a mapping from
            the user's message to its turn; or a function that makes the turn for a `Question`.
        sleep: Waits that many seconds.

    A request for which the script has no turn is refused as an invalid request that says so: no client tries that
    again.

    Raises:
        ConfigurationError: A line is none of these, or an error that no turn of the service ends with.
    """

    def __init__(self, script: Script, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._make: Callable[[Question], Iterable[Line]] | None = None
        self._by_text: dict[str, Sequence[Output | Pause]] | None = None
        self._turns: list[Sequence[Output | Pause]] = []
        self._played = 0
        if callable(script):
            self._make = script
        elif isinstance(script, Mapping):
            self._by_text = {text: _checked(turn, repr(text)) for text, turn in script.items()}
        else:
            self._turns = [_checked(turn, str(index)) for index, turn in enumerate(_turns(script))]

    @property
    def played(self) -> int:
        """The number of turns that were asked for."""
        return self._played

    @property
    def left(self) -> int | None:
        """The number of turns that were not asked for yet; None if the script is not a list."""
        if self._make is not None or self._by_text is not None:
            return None
        return max(0, len(self._turns) - self._played)

    async def answer(self, question: Question) -> AsyncIterator[Output]:
        """The next turn of the script."""
        self._played += 1
        for output in self._turn(question):
            if isinstance(output, Pause):
                await self._sleep(output.seconds)
            else:
                yield output

    def _turn(self, question: Question) -> Sequence[Output | Pause]:
        if self._make is not None:
            return _checked(self._make(question), f"for {question.text!r}")
        if self._by_text is not None:
            return self._by_text.get(question.text, (_no_turn(f"for the message {question.text!r}"),))
        if self._played > len(self._turns):
            return (_no_turn(f"number {self._played}; it has {len(self._turns)}"),)
        return self._turns[self._played - 1]


def _no_turn(which: str) -> InvalidRequest:
    return InvalidRequest(service_message=f"The script of the emulator has no turn {which}.")


def _turns(script: object) -> list[object]:
    if isinstance(script, str) or not isinstance(script, Iterable):
        msg = f"The script is a {type(script).__name__}; it must be a list of turns, a mapping or a function."
        raise ConfigurationError(msg, hint=_HINT)
    return list(script)


def _checked(turn: object, name: str) -> Sequence[Output | Pause]:
    if isinstance(turn, str) or not isinstance(turn, Iterable):
        msg = f"Turn {name} of the script is a {type(turn).__name__}; it must be a list of lines."
        raise ConfigurationError(msg, hint=_HINT)
    lines = list(turn)
    outputs = [_output(line, f"Line {index} of turn {name} of the script") for index, line in enumerate(lines)]
    for index, output in enumerate(outputs[:-1]):
        if isinstance(output, BingError | ev.TurnCompleted):
            msg = f"Turn {name} of the script goes on after line {index}, {type(output).__name__}, which ends it."
            raise ConfigurationError(msg, hint=_HINT)
    return outputs


def _output(line: object, where: str) -> Output | Pause:
    if isinstance(line, str):
        return ev.TextDelta(line)
    if isinstance(line, Pause | Cited):
        return line
    if isinstance(line, BingError):
        check_playable(line)
        return line
    if not isinstance(line, _EVENTS):
        shown = f"the class {line.__name__}" if isinstance(line, type) else f"a {type(line).__name__}"
        raise ConfigurationError(f"{where} is {shown}.", hint=_HINT)
    why = unplayable(line)
    if why is not None:
        raise ConfigurationError(f"{where} cannot be sent: {why}.")
    return line
