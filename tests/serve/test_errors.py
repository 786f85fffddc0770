"""Errors in OpenAI's form."""

from __future__ import annotations

import msgspec
import pytest

from bing_llm import errors
from bing_llm.errors import BingError, Metering
from bing_llm.serve.errors import QUOTA_S, THROTTLED_S, ApiError, api_error, busy, is_refusal

LEAVES = [kind for kind in errors.RETRY_TABLE if kind is not errors.BatchStopped]

EXPECTED = {
    errors.ConfigurationError: (500, "configuration_error"),
    errors.InvalidRequest: (400, "invalid_request"),
    errors.PromptTooLong: (400, "context_length_exceeded"),
    errors.ContentFiltered: (400, "content_filter"),
    errors.UploadFailed: (400, "invalid_image"),
    errors.Unauthorized: (401, "upstream_unauthorized"),
    errors.CaptchaRequired: (403, "captcha_required"),
    errors.Throttled: (429, "rate_limit_exceeded"),
    errors.SessionExpired: (503, "upstream_error"),
    errors.ConversationEnded: (400, "content_filter"),
    errors.ConversationBusy: (503, "upstream_error"),
    errors.TurnLimitReached: (429, "rate_limit_exceeded"),
    errors.ServiceError: (503, "upstream_error"),
    errors.ProtocolError: (502, "upstream_protocol_error"),
    errors.ConnectionFailed: (503, "upstream_error"),
    errors.ConnectionLost: (503, "upstream_error"),
    errors.TimedOut: (504, "upstream_timeout"),
}


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_each_error_has_a_status(kind: type[BingError]) -> None:
    """And a code; no caller tries it again, because the client has done that."""
    error = api_error(kind("It failed."))
    assert (error.status, error.code) == EXPECTED[kind]
    assert error.headers["x-should-retry"] == "false"
    fields = msgspec.json.decode(error.body)["error"]
    assert fields.keys() == {"message", "type", "param", "code"}
    assert fields["message"].startswith("It failed.")


def test_what_was_refused_because_of_its_words_is_an_answer() -> None:
    """Both kinds of refusal, and no other error."""
    assert [kind for kind in LEAVES if is_refusal(kind())] == [errors.ContentFiltered, errors.ConversationEnded]


def throttled(retry_after: float | None, *, passes: bool = False) -> str:
    """When to come back."""
    error = errors.Throttled("Slow down.", retry_after=retry_after)
    error.metering = Metering(throttling_passes=passes)
    return api_error(error).headers["Retry-After"]


def test_retry_after_is_the_service_s_own() -> None:
    """In whole seconds, never too early."""
    assert [throttled(7.0), throttled(7.2), throttled(0.0)] == ["7", "8", "1"]


def test_retry_after_has_a_default() -> None:
    """Where the service names none: its limits pass within a minute, or its quota within hours."""
    assert throttled(None, passes=True) == str(THROTTLED_S)
    assert throttled(None) == str(QUOTA_S)


def test_an_error_that_is_not_ours_shows_nothing() -> None:
    """It may hold anything."""
    error = api_error(ValueError("a secret"))
    assert (error.status, error.code) == (500, "internal_error")
    assert b"secret" not in error.body


def test_a_busy_server_may_be_asked_again() -> None:
    """Nothing was sent, so retries of the caller are welcome."""
    for status in (429, 503):
        error = busy("Full.", status=status)
        assert (error.status, error.headers) == (status, {"Retry-After": "5"})


def test_a_long_message_is_cut() -> None:
    """A service's own words have any length."""
    assert len(ApiError(400, "x" * 100_000).message) < 3000
