"""The adaptive throttle: the effect of each error, the window, the pauses, and when it gives up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bing_llm import errors
from bing_llm.batch.throttle import Action, AdaptiveThrottle, classify_error
from bing_llm.errors import BingError
from tests.fakes import Time

ACTIONS: dict[type[BingError], Action] = {
    errors.BatchStopped: "stop",
    errors.CaptchaRequired: "stop",
    errors.ConfigurationError: "stop",
    errors.Unauthorized: "stop",
    errors.ConnectionFailed: "wait",
    errors.Throttled: "wait",
    errors.ConnectionLost: "retry",
    errors.ConversationBusy: "retry",
    errors.ServiceError: "retry",
    errors.SessionExpired: "retry",
    errors.TimedOut: "retry",
    errors.ContentFiltered: "fail",
    errors.ConversationEnded: "fail",
    errors.InvalidRequest: "fail",
    errors.PromptTooLong: "fail",
    errors.ProtocolError: "fail",
    errors.TurnLimitReached: "fail",
    errors.UploadFailed: "fail",
}

SERVICE_LOST = [kind for kind in ACTIONS if issubclass(kind, errors.ServiceFault) and ACTIONS[kind] != "wait"]
ALIVE = [kind for kind in ACTIONS if issubclass(kind, errors.RequestError | errors.ConversationError)]


def leaves(kind: type[BingError] = BingError) -> Iterator[type[BingError]]:
    """The errors of the package that are raised."""
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    for each in below:
        yield from leaves(each)
    if not below:
        yield kind


class Clocked:
    """A throttle whose clock is moved by hand."""

    def __init__(self, concurrency: int = 8, *, patience: float = 3600.0, attempts: int = 5) -> None:
        self.time = Time()
        retries = self.time.retries(attempts=attempts)
        self.throttle = AdaptiveThrottle(concurrency, patience=patience, retries=retries, clock=self.time.clock)

    def begun(self, most: int = 1000) -> list[float]:
        """The permits of all turns that may begin now; a moment passes then."""
        permits: list[float] = []
        while len(permits) < most and self.throttle.may_begin():
            permits.append(self.throttle.begin())
        self.time.now += 0.001
        return permits

    def ends(self, permits: list[float], error: BingError | None = None) -> None:
        """These turns end so, at once."""
        for permit in permits:
            self.throttle.end(permit, error)

    def meets(self, error: BingError | None) -> None:
        """One turn, as soon as it may begin."""
        self.time.now += self.throttle.pause()
        self.ends(self.begun(1), error)

    def wait(self) -> float:
        """Wait until turns may begin again."""
        seconds = self.throttle.pause()
        self.time.now += seconds
        return seconds

    def room(self) -> int:
        """How many turns may be open at once."""
        permits = self.begun()
        self.ends(permits, BingError("It means nothing."))
        return len(permits)


# --- each kind of error -----------------------------------------------------------------------------------------------


def test_the_action_for_each_error_is_known() -> None:
    """Every error of the package has its action; a new one must be given its own here."""
    assert {kind: classify_error(kind()) for kind in leaves()} == ACTIONS


def test_what_will_never_connect_stops_the_batch() -> None:
    """A failure to connect that is permanent is not waited for."""
    error = errors.ConnectionFailed("A certificate.")
    error.permanent = True
    assert classify_error(error) == "stop"


@pytest.mark.parametrize("kind", [kind for kind, action in ACTIONS.items() if action == "stop"])
def test_what_no_row_can_help_stops_at_once(kind: type[BingError]) -> None:
    """After one such error no turn begins, whatever succeeded before."""
    clocked = Clocked()
    clocked.meets(None)
    error = kind()
    clocked.meets(error)
    assert clocked.throttle.stopped is error
    assert not clocked.throttle.may_begin()


@pytest.mark.parametrize("kind", [kind for kind, action in ACTIONS.items() if action in {"retry", "fail"}])
def test_what_is_of_the_row_holds_nobody_up(kind: type[BingError]) -> None:
    """Errors of a row, and those that pass, leave the throttle as it is."""
    clocked = Clocked()
    clocked.meets(kind())
    assert clocked.throttle.pause() == 0
    assert clocked.throttle.waiting == ""
    assert clocked.room() == 8


# --- the window -------------------------------------------------------------------------------------------------------


def test_no_more_turns_are_open_than_allowed() -> None:
    """A turn begins only while fewer are open, and the end of one makes room for one."""
    clocked = Clocked(3)
    permits = clocked.begun()
    assert len(permits) == 3
    clocked.ends(permits[:1])
    assert len(clocked.begun()) == 1


def test_throttling_halves_the_window_once_for_all_that_were_open() -> None:
    """Turns that began before the window was halved bring no news when they are throttled too."""
    clocked = Clocked(8)
    clocked.ends(clocked.begun(), errors.Throttled())
    clocked.wait()
    assert clocked.room() == 4


def test_the_window_grows_back_by_one_for_each_window_of_successes() -> None:
    """It grows slowly, and never above what was allowed."""
    clocked = Clocked(8)
    clocked.ends(clocked.begun(), errors.Throttled())
    clocked.wait()
    sizes = []
    for _ in range(7):
        permits = clocked.begun()
        sizes.append(len(permits))
        clocked.ends(permits)
    assert sizes == [4, 4, 5, 6, 7, 8, 8]


def test_a_window_is_never_shut() -> None:
    """However often it is halved, one turn may be open, and from there it grows as ever."""
    clocked = Clocked(4, patience=1e9)
    for _ in range(10):
        clocked.meets(errors.Throttled())
    clocked.wait()
    assert clocked.room() == 1
    clocked.meets(None)
    assert clocked.room() == 2


def test_only_throttling_makes_the_window_smaller() -> None:
    """A service that could not be reached gets as many turns as before when it is back."""
    clocked = Clocked(8)
    clocked.meets(None)
    clocked.ends(clocked.begun(), errors.ConnectionFailed())
    clocked.wait()
    assert clocked.room() == 8


@pytest.mark.parametrize("kind", [errors.Throttled, errors.ConnectionFailed])
def test_one_turn_goes_first_where_waiting_did_not_help(kind: type[BingError]) -> None:
    """After a second round of the same trouble a single turn finds out whether it is over; then all go on."""
    clocked = Clocked(8)
    clocked.meets(None)
    for _ in range(2):
        clocked.ends(clocked.begun(), kind())
        clocked.wait()
    probe = clocked.begun()
    assert len(probe) == 1
    clocked.ends(probe)
    assert clocked.room() == (2 if kind is errors.Throttled else 8)


# --- pauses -----------------------------------------------------------------------------------------------------------


def test_nothing_begins_while_the_service_asked_to_wait() -> None:
    """`Retry-After` holds for all turns, and is not asked for longer than it says."""
    clocked = Clocked()
    clocked.meets(errors.Throttled(retry_after=7.0))
    assert not clocked.throttle.may_begin()
    assert clocked.wait() == 7.0
    assert clocked.throttle.may_begin()


def test_to_be_asked_for_no_wait_is_none() -> None:
    """`Retry-After: 0`, or a date that is past: a service that says so again and again is not asked without a pause."""
    clocked = Clocked()
    clocked.meets(errors.Throttled(retry_after=0.0))
    assert clocked.wait() == 15.0
    clocked.meets(errors.Throttled(retry_after=0.0))
    assert clocked.wait() == pytest.approx(30.0)


def test_a_failure_that_asks_for_no_wait_is_one_row_s_own() -> None:
    """A wait of zero counts as none."""
    clocked = Clocked()
    clocked.meets(errors.ServiceError(retry_after=0.0))
    assert clocked.throttle.may_begin()


def test_the_longest_wait_that_was_asked_for_counts() -> None:
    """Of several turns that were throttled, the one with the longest wait decides."""
    clocked = Clocked()
    permits = clocked.begun(3)
    for permit, seconds in zip(permits, (2.0, 9.0, 4.0), strict=True):
        clocked.ends([permit], errors.Throttled(retry_after=seconds))
    assert clocked.wait() == 9.0


@pytest.mark.parametrize("kind", [errors.ServiceError, errors.TimedOut])
def test_whoever_asks_to_wait_is_waited_for(kind: type[BingError]) -> None:
    """A `Retry-After` of another error than `Throttled` holds for all turns as well, and leaves the window."""
    clocked = Clocked(8)
    clocked.meets(kind(retry_after=30.0))
    assert "asked to wait" in clocked.throttle.waiting
    assert clocked.wait() == 30.0
    assert clocked.room() == 8


def test_pauses_grow_while_the_service_throttles_again_and_again() -> None:
    """From 15 seconds to 15 minutes, each twice the last one."""
    clocked = Clocked(8, patience=1e9)
    pauses = []
    for _ in range(8):
        clocked.ends(clocked.begun(), errors.Throttled())
        pauses.append(clocked.wait())
    assert pauses == pytest.approx([15, 30, 60, 120, 240, 480, 900, 900])


def test_a_success_ends_the_trouble() -> None:
    """After it the first pause is the shortest again."""
    clocked = Clocked(8, patience=1e9)
    for _ in range(3):
        clocked.meets(errors.Throttled())
    clocked.meets(None)
    clocked.meets(errors.Throttled())
    assert clocked.wait() == 15


def test_pauses_without_a_connection_are_those_of_the_retries() -> None:
    """They grow from `first_wait` to `max_wait`."""
    clocked = Clocked(8)
    clocked.meets(None)
    pauses = []
    for _ in range(8):
        clocked.meets(errors.ConnectionFailed())
        pauses.append(clocked.throttle.pause())
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])


def test_endless_trouble_overflows_nothing() -> None:
    """However many rounds there were, the pause is the longest one."""
    clocked = Clocked(1, patience=1e12)
    for _ in range(2000):
        clocked.meets(errors.Throttled())
    assert clocked.throttle.pause() == 900


def test_a_person_is_shown_what_is_waited_for() -> None:
    """Why no turn begins, and for how long yet, in whole seconds."""
    clocked = Clocked()
    clocked.meets(errors.Throttled(retry_after=7.5))
    assert clocked.throttle.waiting == "the service throttles; next turn in 8 s"
    clocked.meets(None)
    assert clocked.throttle.waiting == ""
    clocked.meets(errors.ConnectionFailed())
    assert clocked.throttle.waiting == "the service cannot be reached; next turn in 1 s"


# --- giving up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [errors.Throttled, errors.ConnectionFailed])
def test_patience_ends(kind: type[BingError]) -> None:
    """A last turn is tried when the patience is over since the trouble began; then that error is the reason."""
    clocked = Clocked(4, patience=100.0)
    clocked.meets(None)
    clocked.meets(kind())
    began = clocked.time.now
    while clocked.throttle.stopped is None:
        assert clocked.time.now - began <= 100.1
        clocked.meets(kind())
    assert isinstance(clocked.throttle.stopped, kind)
    assert clocked.time.now - began == pytest.approx(100, abs=0.1)


def test_each_success_renews_the_patience() -> None:
    """Only the time without any success counts."""
    clocked = Clocked(4, patience=20.0)
    for _ in range(50):
        clocked.meets(errors.Throttled())
        clocked.meets(None)
    assert clocked.throttle.stopped is None


@pytest.mark.parametrize("kind", ALIVE)
def test_a_request_that_was_read_is_a_sign_of_life(kind: type[BingError]) -> None:
    """A service that refuses a request for what it says is neither lost nor throttling."""
    clocked = Clocked(4, patience=20.0)
    for _ in range(50):
        clocked.meets(errors.Throttled())
        clocked.meets(kind())
    assert clocked.throttle.stopped is None


def test_nobody_waits_for_longer_than_the_patience() -> None:
    """A service that asks for more stops the batch at once."""
    clocked = Clocked(4, patience=3600.0)
    clocked.meets(errors.Throttled(retry_after=3600.0))
    assert clocked.throttle.stopped is None
    clocked.meets(None)
    clocked.meets(errors.Throttled(retry_after=3601.0))
    assert isinstance(clocked.throttle.stopped, errors.Throttled)


def test_a_wrong_endpoint_stops_soon() -> None:
    """What never answered is tried as often as the client's attempts say, whatever the patience."""
    clocked = Clocked(4, attempts=3)
    clocked.ends(clocked.begun(), errors.ConnectionFailed())
    clocked.meets(errors.ConnectionFailed())
    assert clocked.throttle.stopped is None
    clocked.meets(errors.ConnectionFailed())
    assert isinstance(clocked.throttle.stopped, errors.ConnectionFailed)


def test_a_service_that_has_answered_is_waited_for() -> None:
    """Once there was an answer, a failure to connect is of the network, which comes back."""
    clocked = Clocked(4, attempts=3)
    clocked.meets(None)
    for _ in range(20):
        clocked.meets(errors.ConnectionFailed())
    assert clocked.throttle.stopped is None


@pytest.mark.parametrize(("concurrency", "rows"), [(1, 20), (10, 20), (50, 100)])
@pytest.mark.parametrize("kind", SERVICE_LOST)
def test_a_lost_service_stops_the_batch(kind: type[BingError], concurrency: int, rows: int) -> None:
    """Where so many rows in a row have failed by the service with all their attempts, further ones would too."""
    clocked = Clocked(concurrency, attempts=3)
    turns = rows * (3 if ACTIONS[kind] == "retry" else 1)
    for _ in range(turns - 1):
        clocked.meets(kind())
    assert clocked.throttle.stopped is None
    clocked.meets(kind())
    assert isinstance(clocked.throttle.stopped, kind)


@pytest.mark.parametrize("kind", SERVICE_LOST)
def test_a_service_that_answers_now_and_then_is_not_lost(kind: type[BingError]) -> None:
    """A success between begins the count anew."""
    clocked = Clocked(1, attempts=1)
    for _ in range(10):
        for _ in range(19):
            clocked.meets(kind())
        clocked.meets(None)
    assert clocked.throttle.stopped is None
