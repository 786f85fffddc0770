"""How fast a service is asked, and when to give up on it. No I/O; the time comes from the clock that is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from bing_llm import errors
from bing_llm.errors import UNMETERED, BingError, FailedAttempt
from bing_llm.limits import Retries

__all__ = ["Pace", "Way", "way_of"]

Way: TypeAlias = Literal["stop", "wait", "retry", "fail"]

_FIRST_PAUSE = 15.0  # seconds; a minute's quota is partly free again by then
_LONGEST_PAUSE = 900.0  # seconds; four turns an hour cost a daily quota nothing, and notice soon that it is back
_MOST_DOUBLINGS = 30  # no pause is that long; further ones would only overflow

_FEWEST_LOST = 20  # rows; with fewer at once, that many in a row are no accident


def way_of(error: BingError) -> Way:
    """What becomes of a row whose turn ended so.

    ========  ================================================================================================
    `stop`    the whole batch cannot go on as it is; the row is left undone
    `wait`    the service takes no turn now; the row is asked again, which counts for none of its own attempts
    `retry`   another attempt of the row, as long as it has one; then it has failed
    `fail`    the row has failed: another attempt would meet the same
    ========  ================================================================================================
    """
    if errors.stops_batch(error):
        return "stop"
    if isinstance(error, errors.Throttled | errors.ConnectionFailed):
        return "wait"
    # Text that had come is no obstacle: nothing of a row is given on before its answer is whole.
    step = errors.next_step(error, FailedAttempt("new", error.sent), UNMETERED)
    return "fail" if step == "raise" else "retry"


class Pace:
    """How many turns may be open, when the next one may begin, and when to give up.

    The window begins at `concurrency`. `Throttled` halves it, once for all turns that were open then: those that began
    earlier tell nothing new. Each success adds a part of one, so that a window full of them adds one.

    While the service takes no turn nothing is begun: as long as it asked for, else for a pause that doubles from round
    to round. Where a second round has met the same, one turn alone goes first until there is a success.

    Args:
        concurrency: How many turns may be open at most.
        patience: How long to go on without a success, in seconds from the first trouble on.
        retries: `attempts` is how often a service is tried that has never answered and cannot be reached;
            `first_wait` and `max_wait` are the pauses while none can be reached.
        clock: The time in seconds.

    Attributes:
        stopped: Why no further turn makes sense; None while it does.
    """

    def __init__(self, concurrency: int, *, patience: float, retries: Retries, clock: Callable[[], float]) -> None:
        self.stopped: BingError | None = None
        self._most = concurrency
        self._patience = patience
        self._retries = retries
        self._clock = clock
        self._window = float(concurrency)
        self._open = 0
        self._has_lived = False
        self._faults = 0
        self._lost_at = max(_FEWEST_LOST, 2 * concurrency) * retries.attempts
        # the trouble
        self._since: float | None = None
        self._rounds = 0
        self._counted_at = -math.inf
        self._resumes_at = -math.inf
        self._trouble = ""

    @property
    def waiting(self) -> str:
        """Why no turn begins just now, for a person; "" while they do."""
        seconds = self.pause()
        return f"{self._trouble}; next turn in {math.ceil(seconds)} s" if seconds > 0 else ""

    def pause(self) -> float:
        """Seconds until a turn may begin; 0 for now."""
        return max(0.0, self._resumes_at - self._clock())

    def may_begin(self) -> bool:
        """Whether a turn may begin now."""
        return self.stopped is None and self.pause() <= 0 and self._open < self._most_now()

    def begin(self) -> float:
        """A turn begins. Give what this returns to `end`, once, however the turn ends."""
        self._open += 1
        return self._clock()

    def end(self, ticket: float, error: BingError | None) -> None:
        """A turn has ended: with an answer, or with this error."""
        self._open -= 1
        if error is None:
            self._lives()
            self._window = min(self._most, self._window + 1 / self._window)
            return
        way = way_of(error)
        if way == "stop":
            self.stopped = error
        elif way == "wait" or error.retry_after:
            self._meets_trouble(ticket, error)
        if isinstance(error, errors.ServiceFault) and way != "wait":
            self._counts_fault(error, self._retries.attempts if way == "fail" else 1)
        elif isinstance(error, errors.RequestError | errors.ConversationError):
            self._lives()  # it has read the request

    def _most_now(self) -> int:
        return int(self._window) if self._rounds <= 1 else 1

    def _lives(self) -> None:
        self._has_lived = True
        self._faults = 0
        self._since = None
        self._rounds = 0

    def _meets_trouble(self, ticket: float, error: BingError) -> None:
        now = self._clock()
        if self._since is None:
            self._since = now
        is_news = ticket > self._counted_at
        if is_news:
            self._counted_at = now
            self._rounds += 1
            if isinstance(error, errors.Throttled):
                self._window = max(1.0, self._window / 2)
        elif not error.retry_after:
            return
        left = self._since + self._patience - now
        # A wait of 0, as of a date that is past, is none: turn upon turn would be sent without a pause.
        pause = error.retry_after or min(self._growing(error), left)
        if left <= 0 or pause > left or self._was_never_there(error):
            self.stopped = error
            return
        self._resumes_at = max(self._resumes_at, now + pause)
        self._trouble = _told(error)

    def _growing(self, error: BingError) -> float:
        first, longest = _FIRST_PAUSE, _LONGEST_PAUSE
        if isinstance(error, errors.ConnectionFailed):
            first, longest = self._retries.first_wait, self._retries.max_wait
        return min(longest, first * 2.0 ** min(self._rounds - 1, _MOST_DOUBLINGS))

    def _was_never_there(self, error: BingError) -> bool:
        """A wrong endpoint is not waited for."""
        cannot = isinstance(error, errors.ConnectionFailed) and not self._has_lived
        return cannot and self._rounds >= self._retries.attempts

    def _counts_fault(self, error: BingError, attempts: int) -> None:
        """Where turn after turn fails, further rows would only fail as well."""
        self._faults += attempts
        if self._faults >= self._lost_at:
            self.stopped = error


def _told(error: BingError) -> str:
    if isinstance(error, errors.Throttled):
        return "the service throttles"
    if isinstance(error, errors.ConnectionFailed):
        return "the service cannot be reached"
    return "the service asked to wait"
