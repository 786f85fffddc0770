"""Each 4xx and 5xx at each step: who is to blame, and so what becomes of the attempt, the row and the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.errors import error_for_status
from bing_llm.backends.chathub.request import body_of, parse_creation, uploaded_url
from bing_llm.backends.response import Response
from bing_llm.backends.statuses import Blame, blame_of, error_of
from bing_llm.backends.workiq.errors import error_for
from bing_llm.backends.workiq.errors import parse_creation as parse_workiq_creation
from bing_llm.errors import BingError, is_transient, stops_batch

STATUSES = range(400, 600)
CALLER, LATER = {401, 402, 403, 451}, {408, 425, 429, *range(500, 600)}

Answered = Callable[[Response], object]

WITHOUT_ROW: dict[str, Answered] = {
    "ChatHub, creation": parse_creation,
    "ChatHub, socket": lambda answer: _raised(error_for_status(answer, "the chat socket", carries_row=False)),
    "Work IQ, creation": parse_workiq_creation,
}
WITH_ROW: dict[str, Answered] = {
    "ChatHub, upload": lambda answer: uploaded_url(answer, ""),
    "ChatHub, deletion": lambda answer: body_of(answer, "the deletion", dict),
    "Work IQ, turn": lambda answer: _raised(error_for(answer, "the turn")),
    "Work IQ, later turn": lambda answer: _raised(error_for(answer, "the turn", reused=True)),
}

# What a service means by a status itself.
OWN: dict[tuple[str, int], type[BingError]] = {("ChatHub, creation", 404): errors.Throttled}


def _raised(error: BingError | None) -> None:
    if error is not None:
        raise error


def failure(step: Answered, status: int) -> BingError:
    """How the step ends."""
    with pytest.raises(BingError) as caught:
        step(Response(status, {}, b""))
    return caught.value


@pytest.mark.parametrize("carries_row", [False, True])
def test_each_status_blames_one(*, carries_row: bool) -> None:
    """The proxy, the caller, nobody for long; and of the others the endpoint, unless the request has a row in it."""
    for status in STATUSES:
        _check_blame(status, carries_row=carries_row)


def _check_blame(status: int, *, carries_row: bool) -> None:
    blame = blame_of(status, carries_row=carries_row)
    expected: Blame = "row" if carries_row else "endpoint"
    if status == 407:
        expected = "proxy"
    elif status in CALLER:
        expected = "caller"
    elif status in LATER:
        expected = "later"
    assert blame == expected
    error = error_of(status, "No.", carries_row=carries_row, retry_after=3.0)
    assert stops_batch(error) == (blame in {"proxy", "caller", "endpoint"})
    assert is_transient(error) == (blame == "later")
    assert isinstance(error, errors.InvalidRequest) == (blame == "row")
    assert error.value == str(status)


@pytest.mark.parametrize("name", WITHOUT_ROW)
def test_a_step_without_a_prompt_never_fails_a_row(name: str) -> None:
    """Every other row would fare alike: the batch stops, or tries again later."""
    for status in STATUSES:
        error = failure(WITHOUT_ROW[name], status)
        if (name, status) in OWN:
            assert type(error) is OWN[name, status]
            continue
        assert stops_batch(error) == (status not in LATER)
        assert not isinstance(error, errors.InvalidRequest | errors.ConversationError)
        assert isinstance(error, errors.Throttled | errors.ServiceError) == (status in LATER)
        assert "HTTP" in error.message


@pytest.mark.parametrize("name", WITH_ROW)
def test_a_step_with_a_prompt_fails_its_row_or_all(name: str) -> None:
    """What the caller or the proxy must change stops a batch; of the rest, this row alone fails."""
    for status in STATUSES:
        error = failure(WITH_ROW[name], status)
        assert stops_batch(error) == (status in CALLER or status == 407)
        assert status != 407 or "proxy" in error.hint


def test_the_steps_are_all() -> None:
    """Of both services, with a row and without."""
    steps: dict[str, Any] = WITHOUT_ROW | WITH_ROW
    assert len(steps) == 7
