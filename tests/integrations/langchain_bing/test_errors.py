"""Errors that are ours and LangChain's at once."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core import exceptions as lc

from bing_llm import errors
from langchain_bing.errors import as_model_error, model_errors

FAMILY = {
    errors.Unauthorized: "ModelAuthenticationError",
    errors.CaptchaRequired: "ModelAuthenticationError",
    errors.Throttled: "ModelRateLimitError",
    errors.TurnLimitReached: "ModelRateLimitError",
    errors.InvalidRequest: "ModelInvalidRequestError",
    errors.UploadFailed: "ModelInvalidRequestError",
    errors.PromptTooLong: "ContextOverflowError",
    errors.ContentFiltered: "ModelRefusalError",
    errors.ConversationEnded: "ModelRefusalError",
    errors.ServiceError: "ModelAPIError",
    errors.ProtocolError: "ModelAPIError",
    errors.SessionExpired: "ModelAPIError",
    errors.ConnectionFailed: "ModelConnectionError",
    errors.ConnectionLost: "ModelConnectionError",
    errors.TimedOut: "ModelTimeoutError",
}
OURS_ALONE = {errors.BatchStopped, errors.ConfigurationError, errors.ConversationBusy}
"""Batches ask no model, no service reports a setting, and each call of a model has a conversation of its own."""


def leaves(kind: type[errors.BingError] = errors.BingError) -> set[type[errors.BingError]]:
    """The errors that are raised, by bing_llm itself."""
    own = [sub for sub in kind.__subclasses__() if sub.__module__ == "bing_llm.errors"]
    return {leaf for sub in own for leaf in leaves(sub)} if own else {kind}


def _permanent(error: errors.ConnectionFailed) -> errors.ConnectionFailed:
    error.permanent = True
    return error


def test_each_error_has_its_place() -> None:
    """A new leaf must be given one."""
    assert leaves() == {*FAMILY, *OURS_ALONE}


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_is_of_both_families(kind: type[errors.BingError]) -> None:
    """`except` finds it by our class, by LangChain's class, and by LangChain's base."""
    both = as_model_error(kind("It failed."), attempts=1)
    assert isinstance(both, kind)
    assert type(both).__name__ == kind.__name__
    for name in ("ModelError", FAMILY[kind]):  # old versions of langchain-core lack some
        assert isinstance(both, getattr(lc, name, Exception))


@pytest.mark.parametrize("kind", [errors.ConfigurationError, errors.ConversationBusy])
def test_an_error_that_langchain_has_no_class_for_stays_as_it_is(kind: type[errors.BingError]) -> None:
    """It is the same object."""
    error = kind("It failed.")
    assert as_model_error(error, attempts=1) is error


@pytest.mark.parametrize("kind", FAMILY)
def test_nothing_that_an_error_says_is_lost(kind: type[errors.BingError]) -> None:
    """Message, hint, the service's words, what had come, how long to wait."""
    said: dict[str, Any] = {
        "hint": "Do this.",
        "value": "Name",
        "service_message": "Words.",
        "partial_text": "Hel",
        "retry_after": 7.0,
    }
    both = as_model_error(kind("It failed.", **said), attempts=1)
    assert str(both) == "It failed. Do this."
    assert {name: getattr(both, name) for name in said} == said
    assert both.message == "It failed."


@pytest.mark.parametrize(
    ("error", "attempts", "retryable"),
    [
        # one attempt: whoever retries on top is the only one
        (errors.ServiceError("x"), 1, True),
        (errors.ConnectionFailed("x"), 1, True),
        (errors.ConnectionLost("x"), 1, True),
        (errors.TimedOut("x"), 1, True),
        (errors.SessionExpired("x"), 1, True),
        (errors.Throttled("x", retry_after=3.0), 1, True),
        # ours are used up
        (errors.ServiceError("x"), 5, False),
        (errors.ConnectionFailed("x"), 5, False),
        (errors.ConnectionLost("x"), 5, False),
        (errors.TimedOut("x"), 5, False),
        (errors.Throttled("x", retry_after=3.0), 5, False),
        (errors.SessionExpired("x"), 5, False),
        # not tried again by us, since text had come
        (errors.ConnectionLost("x", partial_text="Hel"), 5, True),
        # never; the quota is counted in hours
        (errors.Throttled("x"), 1, False),
        (_permanent(errors.ConnectionFailed("x")), 1, False),
        (errors.ProtocolError("x"), 1, False),
        (errors.Unauthorized("x"), 1, False),
        (errors.CaptchaRequired("x"), 1, False),
        (errors.InvalidRequest("x"), 1, False),
        (errors.PromptTooLong("x"), 1, False),
        (errors.ContentFiltered("x"), 1, False),
        (errors.ConversationEnded("x"), 1, False),
    ],
)
def test_retries_are_never_multiplied(error: errors.BingError, attempts: int, retryable: bool) -> None:  # noqa: FBT001
    """LangChain's middleware may retry what we did not, and nothing else."""
    assert as_model_error(error, attempts=attempts).is_retryable is retryable  # type: ignore[attr-defined]


def test_one_error_does_not_change_its_class() -> None:
    """`is_retryable` is of the error, since the same class may be worth a retry elsewhere."""
    assert not as_model_error(errors.ServiceError("x"), attempts=5).is_retryable  # type: ignore[attr-defined]
    assert as_model_error(errors.ServiceError("x"), attempts=1).is_retryable  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_crosses_processes(kind: type[errors.BingError]) -> None:
    """Batches run in other processes, and their errors come back whole."""
    error = as_model_error(kind("It failed.", partial_text="Hel", retry_after=2.0), attempts=1)
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copied), copied.message, copied.partial_text) == (type(error), "It failed.", "Hel")


def test_the_cause_stays_and_the_trace_leads_to_the_place() -> None:
    """The error shows where it was raised and what caused it, not that it was changed."""

    def fail() -> None:
        raise errors.ConnectionLost("It ended.") from OSError("reset")

    with pytest.raises(errors.ConnectionLost) as caught, model_errors(lambda: 1):
        fail()
    assert type(caught.value.__cause__) is OSError
    assert "fail" in [entry.name for entry in caught.traceback]


def test_other_exceptions_pass() -> None:
    """What is not ours is not touched."""
    with pytest.raises(KeyError), model_errors(lambda: 1):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("error", "sent", "retryable"),
    [
        (errors.TimedOut("x"), True, False),
        (errors.ServiceError("x"), True, False),
        (errors.ConnectionLost("x"), False, True),
        (errors.Throttled("x"), True, True),
    ],
)
def test_what_may_be_charged_is_not_retryable(error: errors.BingError, *, sent: bool, retryable: bool) -> None:
    """LangChain's retry middleware would have it paid for again."""
    error.sent, error.metering = sent, errors.Metering(metered=True, throttling_passes=True)
    both = as_model_error(error, attempts=1)
    assert both.is_retryable is retryable  # type: ignore[attr-defined]
    assert both.may_be_charged is error.may_be_charged
