"""What is asked next, after the connection of a turn ended before its task did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bing_llm.backends.workiq.a2a.resume import Outcome, Step

NOTHING: list[Outcome] = ["nothing"]
RUNS: list[Outcome] = ["runs"]
PLENTY_S = 900.0


def path(*outcomes: Outcome) -> list[str]:
    """The methods that are called, the first one included."""
    step: Step | None = Step()
    methods: list[str] = [Step().method]
    for outcome in outcomes:
        assert step is not None
        step = step.after(outcome)
        methods.append("" if step is None else step.method)
    return methods


def test_a_refusal_ends_a_method_at_once() -> None:
    """Another attempt would meet it again; the task may still be asked for."""
    assert path("refused", "refused") == ["SubscribeToTask", "GetTask", ""]


def test_three_failures_in_a_row_end_a_method() -> None:
    """A connection that broke is often back within seconds."""
    assert path(*NOTHING * 6) == [*["SubscribeToTask"] * 3, *["GetTask"] * 3, ""]
    assert path("nothing", "nothing", "runs", "nothing", "nothing")[-1] == "SubscribeToTask"


def test_subscriptions_that_break_are_counted() -> None:
    """A service may break each of them."""
    assert path(*RUNS * 19)[-1] == "SubscribeToTask"
    assert path(*RUNS * 20)[-1] == "GetTask"


@given(st.lists(st.sampled_from(("runs", "nothing")), max_size=30))
def test_a_task_that_runs_is_polled_without_end(outcomes: list[Outcome]) -> None:
    """Only failures in a row end it; the turn's own limits are kept elsewhere."""
    step: Step | None = Step(method="GetTask")
    for outcome in outcomes:
        if step is not None:
            step = step.after(outcome)
    assert (step is None) is any(outcomes[at : at + 3] == ["nothing"] * 3 for at in range(len(outcomes)))


@given(results=st.integers(1, 5000), remaining=st.floats(0.0, PLENTY_S))
def test_polls_wait_longer_each_time_and_less_near_the_end(results: int, remaining: float) -> None:
    """From 0.5 to 3 seconds, and half of what is left where that is less."""
    step = Step(method="GetTask", results=results)
    assert step.polls
    assert 0.5 <= step.wait(remaining) <= max(0.5, min(3.0, remaining / 2))
    assert step.wait(PLENTY_S) <= Step(method="GetTask", results=results + 1).wait(PLENTY_S)


def test_attempts_after_a_failure_wait() -> None:
    """Not the first, and each failure in a row longer."""
    assert [Step(failures=failures).wait(0.0) for failures in range(3)] == [0.0, 0.5, 2.0]
