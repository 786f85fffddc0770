"""Time limits, attempts and deadlines."""

from __future__ import annotations

import math

import pytest

from bing_llm.errors import ConfigurationError, Metering, ProtocolError, TimedOut
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Limits, Retries, Timeouts


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


def test_the_defaults_are_those_of_the_documentation() -> None:
    """Each default stands in the docstring, in seconds."""
    for limits in (Timeouts(), Retries(), Limits()):
        documentation = " ".join((type(limits).__doc__ or "").split())
        for name in limits.__struct_fields__:
            value = getattr(limits, name)
            assert f"{name}: " in documentation
            shown = str(value) if isinstance(value, bool) else "" if value is None else f"{value:.10g}"
            assert f" {shown}" in documentation
        limits.check()


@pytest.mark.parametrize("name", Timeouts.__struct_fields__)
@pytest.mark.parametrize("seconds", [0, -1.0, math.nan])
def test_a_timeout_leaves_some_time(name: str, seconds: float) -> None:
    """A limit that is not above zero is refused by its name."""
    with pytest.raises(ConfigurationError, match=rf"^timeouts\.{name} is {seconds} seconds"):
        Timeouts(**{name: seconds}).check()


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("most", [0, -1, 1.5, math.nan])
def test_a_size_leaves_something(name: str, most: float) -> None:
    """A limit that is not a whole number above zero is refused by its name."""
    with pytest.raises(ConfigurationError, match=rf"^limits\.{name} is {most}; it must be a whole number above 0"):
        Limits(**{name: most}).check()  # type: ignore[arg-type]


def test_the_error_of_a_size_names_it() -> None:
    """What was too much, how much is allowed, and what to do."""
    error = Limits(citations=5_000).exceeded("citations", "sources of one answer")
    assert type(error) is ProtocolError
    assert error.message == "The service sent over 5,000 sources of one answer (limits.citations)."
    assert "`limits=`" in error.hint
    assert Limits() == DEFAULT_LIMITS


@pytest.mark.parametrize("attempts", [0, -1])
def test_there_is_one_attempt_at_least(attempts: int) -> None:
    """No attempt at all is refused."""
    with pytest.raises(ConfigurationError, match=rf"^retries\.attempts is {attempts}; it must be"):
        Retries(attempts=attempts).check()


@pytest.mark.parametrize("name", ["first_wait", "max_wait"])
@pytest.mark.parametrize("seconds", [-0.1, math.nan])
def test_a_wait_is_not_negative(name: str, seconds: float) -> None:
    """A wait below zero is refused by its name; zero and infinity are allowed."""
    with pytest.raises(ConfigurationError, match=rf"^retries\.{name} is {seconds} seconds"):
        Retries(**{name: seconds}).check()  # type: ignore[arg-type]
    Retries(first_wait=0, max_wait=math.inf, attempts=1).check()


def test_a_deadline_counts_down() -> None:
    """What remains is the time given less the time passed, below zero too."""
    clock = Clock(100.0)
    deadline = Deadline(10.0, clock)
    left = []
    for now in (100.0, 104.0, 110.0, 111.0):
        clock.now = now
        left.append(deadline.remaining())
    assert left == [10.0, 6.0, 0.0, -1.0]


def test_a_deadline_caps_other_limits() -> None:
    """A limit is cut to what remains, and when nothing remains the turn is over."""
    clock = Clock()
    deadline = Deadline(10.0, clock)
    for seconds, left in ((4.0, 4.0), (10.0, 10.0), (40.0, 10.0)):
        with deadline.within(seconds) as given:
            assert given == left
    for now in (10.0, 11.0):
        clock.now = now
        with (
            pytest.raises(TimedOut, match=r"not complete after 10 seconds \(timeouts\.turn\)"),
            deadline.within(4.0),
        ):
            pytest.fail("there was no time left")


@pytest.mark.parametrize(("seconds", "by_turn"), [(4.0, False), (10.0, False), (10.5, True)])
def test_a_step_that_the_turn_cut_short_names_the_turn(seconds: float, by_turn: bool) -> None:  # noqa: FBT001
    """A step's own limit is named where it was the shorter one, else that of the turn; other errors pass."""
    deadline = Deadline(10.0, Clock())
    failure = TimedOut("The step took too long.")
    with pytest.raises(TimedOut) as caught, deadline.within(seconds):
        raise failure
    if by_turn:
        assert "(timeouts.turn)" in caught.value.message
        assert caught.value.__cause__ is failure
    else:
        assert caught.value is failure
    with pytest.raises(ConfigurationError, match="other"), deadline.within(seconds):
        raise ConfigurationError("other")


def test_the_error_of_a_deadline_names_its_length() -> None:
    """The error says which limit passed and how long it was."""
    error = Deadline(0.25, Clock()).timed_out()
    assert "0.25 seconds" in error.message
    assert "timeouts=" in error.hint


def test_a_service_fills_in_what_nobody_gave() -> None:
    """Its own limits hold where there is none; one that was given stays, even if it equals the default."""
    own = {"silence": 330.0, "answer": 330.0}
    assert Timeouts().of_service(own) == Timeouts(silence=330.0, answer=330.0)
    given = Timeouts(answer=120.0, turn=60.0).of_service(own)
    assert (given.answer, given.silence, given.turn, given.connect) == (120.0, 330.0, 60.0, 10.0)
    assert Timeouts().of_service(own).of_service({"answer": 5.0}).answer == 5.0


def test_who_waits_long_for_a_turn_waits_as_long_for_its_answer() -> None:
    """Unless that has a limit too; pings must still come, where a service sends some."""
    assert Timeouts(turn=900).of_service({}).answer == 900
    assert Timeouts(turn=900).of_service({}).silence == Timeouts().silence
    assert Timeouts(turn=900).of_service({"silence": 330.0, "answer": 330.0}).silence == 900
    assert Timeouts(turn=900, answer=60).of_service({}).answer == 60
    assert Timeouts(turn=30).of_service({}).answer == Timeouts().answer
    assert Timeouts().of_service({}) == Timeouts()


def test_retries_may_send_again_what_is_charged() -> None:
    """Only where it is said."""
    paid = Metering(metered=True, throttling_passes=True)
    assert Retries().applied_to(paid) == paid
    assert Retries(resend_metered=True).applied_to(paid) == Metering(throttling_passes=True)
