"""The service's result values as errors."""

from __future__ import annotations

import pytest

from bing_llm import errors
from bing_llm.backends.chathub.errors import SUCCESS, error_for
from bing_llm.backends.chathub.frames import Result


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Throttled", errors.Throttled),
        ("CaptchaChallenge", errors.CaptchaRequired),
        ("InvalidSession", errors.SessionExpired),
        ("UnauthorizedRequest", errors.Unauthorized),
        ("Forbidden", errors.Unauthorized),
        ("InvalidCopilotLicense", errors.Unauthorized),
        ("InvalidRequest", errors.InvalidRequest),
        ("ProcessingMessage", errors.ConversationBusy),
        ("InternalError", errors.ServiceError),
        ("InternalServerError", errors.ServiceError),
        ("SomethingNew", errors.ServiceError),
    ],
)
def test_a_value_has_its_error(value: str, kind: type[errors.BingError]) -> None:
    """Each result value is one leaf class; an unknown one is a ServiceError. The service's words are kept."""
    exc = error_for(Result(value=value, message="It says so."), what="the turn", partial_text="Once")
    assert type(exc) is kind
    assert exc.message == f"The service refused the turn ({value}: It says so)."
    assert (exc.value, exc.service_message, exc.partial_text) == (value, "It says so.", "Once")
    assert exc.hint == kind.default_hint


@pytest.mark.parametrize(
    ("result", "said", "service_message"),
    [
        (Result(value="Throttled", error="Too many."), "Throttled: Too many", "Too many."),
        (Result(value="Throttled", message="One.", error="Two."), "Throttled: One", "One."),
        (Result(value="Throttled", error="Throttled"), "Throttled", "Throttled"),
        (Result(value="Throttled"), "Throttled", None),
        (Result(message="It says so."), "without a result value: It says so", "It says so."),
    ],
)
def test_the_message_says_what_the_service_said(result: Result, said: str, service_message: str | None) -> None:
    """The service's message, else its error, is said once."""
    exc = error_for(result, what="the conversation")
    assert exc.message == f"The service refused the conversation ({said})."
    assert (exc.value, exc.service_message, exc.partial_text) == (result.value, service_message, "")


def test_success_is_its_own_name() -> None:
    """Success is the one value that is not an error."""
    assert SUCCESS == "Success"
