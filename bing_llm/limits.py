"""How long to wait, how often to try and how much to take: `Timeouts`, `Retries`, `Limits`, the `Deadline` of a turn.

All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Final

import msgspec

from bing_llm.errors import ConfigurationError, Metering, ProtocolError, TimedOut

CONVERSATION_SECONDS: Final = 5 * 3600.0
"""How old an unused conversation may become: a ChatHub keeps one for six hours after its last turn; of Work IQ nothing
is known."""


class _Default(float):
    """A limit that nobody gave: a service may have another one of its own."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The time limits of a turn, in seconds.

    A service may have limits of its own, which hold where you give none: Work IQ has 330 for `silence` and `answer`.
    If you give `turn`, the limits of one answer (`answer`, and what the service has of its own) are not shorter unless
    you give them too: who waits 15 minutes for a turn waits as long for a model that reads a long prompt.

    The time that the caller takes between two events counts only for `turn` and `stop`. During that time nothing is
    sent, not even a ping: a service may drop a client that is silent for long (SignalR's default is 30 s).

    Attributes:
        connect: For one HTTP answer, or for opening the WebSocket, from the first packet on. 10: browsers and other
            clients give up then.
        handshake: For the SignalR handshake. 10.
        silence: How long the socket may bring nothing, not even a ping. 45: the service pings each 15 s, so three
            pings are missing.
        answer: How long the socket may bring only pings. 120: a long search took a minute.
        stop: From `stop()` to the end of the turn. 5: the answer so far is kept in any case.
        turn: For the whole turn, retries included. 900: the limit of the original provider.
    """

    connect: float = _Default(10.0)
    handshake: float = _Default(10.0)
    silence: float = _Default(45.0)
    answer: float = _Default(120.0)
    stop: float = _Default(5.0)
    turn: float = _Default(900.0)

    def of_service(self, own: Mapping[str, float]) -> Timeouts:
        """These limits, but for those that nobody gave: they are the service's own.

        Args:
            own: The service's limits by their names, in seconds.
        """
        usual = {"answer": self.answer, **own}
        longest = 0.0 if isinstance(self.turn, _Default) else self.turn
        missing = {
            name: _Default(max(usual[name], longest)) for name in usual if isinstance(getattr(self, name), _Default)
        }
        return msgspec.structs.replace(self, **missing)

    def check(self) -> None:
        """Refuse limits that are not positive.

        Raises:
            ConfigurationError: A limit is not above zero.
        """
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if not (isinstance(seconds, int | float) and seconds > 0):
                msg = f"timeouts.{name} is {seconds!r} seconds; it must be a number above 0."
                raise ConfigurationError(msg)


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn is tried again before its first text. Times in seconds.

    The wait after attempt n is random, from 0 to `first_wait * 2**(n - 1)`, but at most `max_wait` (full jitter, so
    that many clients do not come back at once). A `Retry-After` of the service replaces it.

    Attributes:
        attempts: All attempts of a turn, creation included. 5, as in the original provider; 1 switches retries off.
        first_wait: The longest wait before the second attempt. 0.5.
        max_wait: The longest wait between two attempts. 30.
        resend_metered: Whether a turn that the service may charge for (Work IQ) is sent again too, after a `TimedOut`,
            a `ConnectionLost` or a `ServiceError`. Each attempt may be charged, so it is False. What was refused before
            any work is tried again in any case.
        sleep: Waits that many seconds; None for `asyncio.sleep`.
        clock: The time in seconds, from any origin; None for `time.monotonic`.
        jitter: A number from 0 to 1 for each wait; None for `random.random`.
    """

    attempts: int = 5
    first_wait: float = 0.5
    max_wait: float = 30.0
    resend_metered: bool = False
    sleep: Callable[[float], Awaitable[None]] | None = None
    clock: Callable[[], float] | None = None
    jitter: Callable[[], float] | None = None

    def applied_to(self, metering: Metering) -> Metering:
        """What a service says about its turns, as far as these retries respect it."""
        return metering._replace(metered=metering.metered and not self.resend_metered)

    def check(self) -> None:
        """Refuse what could not work.

        Raises:
            ConfigurationError: Fewer than one attempt, or a wait below zero.
        """
        attempts: object = self.attempts
        if not (isinstance(attempts, int) and attempts >= 1):
            msg = f"retries.attempts is {attempts!r}; it must be a whole number from 1 on (the first attempt counts)."
            raise ConfigurationError(msg)
        for name in ("first_wait", "max_wait"):
            seconds = getattr(self, name)
            if not (isinstance(seconds, int | float) and seconds >= 0):
                msg = f"retries.{name} is {seconds!r} seconds; it must be a number, 0 or more."
                raise ConfigurationError(msg)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what a service sends is taken. If it sends more, the turn ends with a `ProtocolError` that names it.

    What has a bound that nobody needs to change is not here: bodies of other HTTP calls (4 MiB), values in one JSON
    text (500,000), and calls of tools (`bing_llm.tools`: 1,000,000 characters, 100 levels), which become an
    `InvalidCall`.

    Attributes:
        frame_bytes: One frame, event or body of an answer, in bytes. 16777216: the largest recorded one has 39 KB, one
            with the results of long searches some hundred KB.
        answer_characters: What a turn may make us hold, in characters: its text, and what its searches asked and found;
            each part counts for 100 more. 33554432: a hundred searches with results of the largest recorded size have
            some 4 million.
        citations: The sources of an answer, and also the pages that its searches found. 10000: an answer has tens, a
            hundred searches have some thousand.
    """

    frame_bytes: int = 16 * 1024 * 1024
    answer_characters: int = 32 * 1024 * 1024
    citations: int = 10_000

    def check(self) -> None:
        """Refuse limits that leave nothing.

        Raises:
            ConfigurationError: A limit is not a whole number above zero.
        """
        for name in self.__struct_fields__:
            most = getattr(self, name)
            if not (isinstance(most, int) and most > 0):
                msg = f"limits.{name} is {most!r}; it must be a whole number above 0."
                raise ConfigurationError(msg)

    def exceeded(self, name: str, what: str) -> ProtocolError:
        """The error of a service that sent more than one of these limits.

        Args:
            name: The field.
            what: What it counts, for the message: "characters in one answer".
        """
        msg = f"The service sent over {getattr(self, name):,} {what} (limits.{name})."
        return ProtocolError(
            msg, hint="No answer should need so much; in Python, raise that limit (`limits=`) if one does."
        )


DEFAULT_LIMITS: Final = Limits()


class Deadline:
    """The end of the time that one turn has, retries included.

    Args:
        seconds: How long from now.
        clock: The time in seconds.
        label: What log lines about the turn begin with.
    """

    def __init__(self, seconds: float, clock: Callable[[], float], label: str = "[turn]") -> None:
        self.clock = clock
        self.label = label
        self._seconds = seconds
        self._at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._at - self.clock()

    def within(self, seconds: float) -> _Step:
        """A step that may take that many seconds, or what is left where that is less: gives the seconds it has.

        Raises:
            TimedOut: Nothing is left, or the step timed out because less was left: then the turn is what is over.
        """
        return _Step(self, seconds)

    def timed_out(self) -> TimedOut:
        """The error of a turn whose time is up."""
        return TimedOut(f"The turn was not complete after {self._seconds:g} seconds (timeouts.turn).")


class _Step:
    """The block of `Deadline.within`."""

    def __init__(self, deadline: Deadline, seconds: float) -> None:
        self._deadline = deadline
        self._seconds = seconds
        self._left = 0.0

    def __enter__(self) -> float:
        """The seconds that it has."""
        self._left = self._deadline.remaining()
        if self._left <= 0:
            raise self._deadline.timed_out()
        return min(self._seconds, self._left)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, TimedOut) and self._seconds > self._left:
            raise self._deadline.timed_out() from exc
