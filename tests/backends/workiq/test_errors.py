"""HTTP answers and errors in a stream, as errors of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm import errors
from bing_llm.backends.response import Response
from bing_llm.backends.workiq.errors import error_for, fault_error, parse_creation
from bing_llm.backends.workiq.snapshots import Fault
from tests.backends.workiq.wire import conversation, message


def answered(
    status: int, body: Any = b"", headers: dict[str, str] | None = None, wait: float | None = None
) -> Response:
    """An answer with this body; what is not bytes goes as JSON."""
    return Response(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), wait)


def envelope(code: str | None = None, text: str | None = None, **inner: str) -> dict[str, Any]:
    """An error as the service words it."""
    return {"error": {"code": code, "message": text, "innerError": inner}}


def error_of(answer: Response, *, reused: bool = False) -> errors.BingError:
    """The error of a turn that was answered so."""
    error = error_for(answer, "the turn", reused=reused)
    assert error is not None
    return error


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_is_not_an_error(status: int) -> None:
    """All of 2xx is success, whatever the body says."""
    assert error_for(answered(status, envelope("Forbidden", "no")), "the turn") is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"", errors.InvalidRequest),
        (400, envelope("BadRequest", "locationHint is required."), errors.InvalidRequest),
        (400, envelope("AuthenticationError", "Error authenticating with resource"), errors.Unauthorized),
        (401, envelope("InvalidAuthenticationToken", "Audience is wrong."), errors.Unauthorized),
        (402, b"", errors.Unauthorized),
        (403, envelope("Forbidden", "No licence."), errors.Unauthorized),
        (404, b"", errors.InvalidRequest),
        (405, b"", errors.InvalidRequest),
        (408, b"", errors.ServiceError),
        (409, b"", errors.ConversationBusy),
        (410, b"", errors.SessionExpired),
        (413, b"", errors.PromptTooLong),
        (429, b"", errors.Throttled),
        (302, b"", errors.InvalidRequest),
        (500, b"", errors.ServiceError),
        (500, envelope("x", "Non-2xx response from IC3. Status = 403"), errors.Unauthorized),
        (500, envelope("x", "Response status code: 400."), errors.InvalidRequest),
        (500, envelope("x", "Status = 429"), errors.ServiceError),
        (500, envelope("x", "Status = 503"), errors.ServiceError),
        (500, envelope("x", "Status = 200"), errors.ServiceError),
        (502, b"<html>", errors.ServiceError),
        (503, envelope("x", "Status = 403"), errors.ServiceError),
        (504, b"\xff", errors.ServiceError),
    ],
)
def test_a_status_is_an_error(status: int, body: Any, kind: type[errors.BingError]) -> None:
    """The status decides; of HTTP 500, the status of the inner service, if that is one that no attempt will mend."""
    error = error_of(answered(status, body))
    assert type(error) is kind
    assert f"the turn with HTTP {status}" in error.message


@pytest.mark.parametrize("status", [400, 404, 409, 410])
def test_a_conversation_that_was_used_before_has_expired(status: int) -> None:
    """On such a conversation these statuses say that it takes no further turn."""
    assert type(error_of(answered(status, envelope("x", "gone")), reused=True)) is errors.SessionExpired


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "AuthenticationError", errors.Unauthorized),
        (401, "x", errors.Unauthorized),
        (403, "x", errors.Unauthorized),
        (413, "x", errors.PromptTooLong),
        (429, "x", errors.Throttled),
        (500, "x", errors.ServiceError),
    ],
)
def test_other_errors_are_the_same_on_any_conversation(status: int, code: str, kind: type[errors.BingError]) -> None:
    """A new conversation would meet them too."""
    assert type(error_of(answered(status, envelope(code, "said")), reused=True)) is kind


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "its audience"), (403, "licence"), (404, "without /copilot"), (302, "without /copilot"), (402, "billing")],
)
def test_a_hint_says_what_to_look_at(status: int, words: str) -> None:
    """Credentials, access and place each have their own hint."""
    assert words in error_of(answered(status)).hint


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, envelope("x", "Access token validation failure. Invalid audience."), "WorkIQAgent.Ask"),
        (401, envelope("x", "Lifetime validation failed, the token is expired."), "renews it"),
        (401, b"", "audience), not expired"),
        (
            403,
            envelope("x", "Required scopes = [WorkIQAgent.Ask, Chat.Read]."),
            "consent to WorkIQAgent.Ask, Chat.Read",
        ),
        (403, b"Forbidden. Required scopes = [ WorkIQAgent.Ask ]", "consent to WorkIQAgent.Ask for"),
        (403, b"Required scopes = [\x1b[2J]", "consent to J for"),
        (403, b"Required scopes = [\x1b]", "consent to the permission"),
        (403, envelope("Forbidden", "Access denied."), "15 to 30 minutes"),
        (402, b"", "Cost management"),
        (429, b"", "wait a minute"),
    ],
)
def test_causes_of_one_status_are_told_apart(status: int, body: Any, words: str) -> None:
    """By what the service says, where it says it."""
    error = error_of(answered(status, body))
    assert words in error.hint
    assert "daily" not in str(error)


def test_an_error_says_what_the_service_said() -> None:
    """Its name and words stand in the message, with the id for its support; the wait is kept."""
    body = envelope("TooManyRequests", "Slow down.", **{"request-id": "8f2b-1"})
    error = error_of(answered(429, body, wait=7.0))
    assert (
        error.message == "The service answered the turn with HTTP 429 (TooManyRequests: Slow down; request-id 8f2b-1)."
    )
    assert (error.value, error.service_message, error.retry_after) == ("TooManyRequests", "Slow down.", 7.0)
    assert errors.is_transient(error)


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({"request-id": "h-1"}, b"", " (request-id h-1)."),
        ({"request-id": "h-1"}, envelope("Code", None, **{"request-id": "b-1"}), " (Code; request-id b-1)."),
        ({"request-id": "h 1\r\nx"}, b"", "."),
        ({}, envelope(None, "Said so."), " (Said so)."),
        ({}, {"error": "invalid"}, " (invalid)."),
        ({}, [1], "."),
        ({}, b"[" * 5000, "."),
        ({}, {"id": 7}, "."),
    ],
)
def test_words_are_left_out_where_there_are_none(headers: dict[str, str], body: Any, words: str) -> None:
    """Any body gives an error; the id of the request is in the body or in a header, and is not free text."""
    error = error_of(answered(503, body, headers))
    assert error.message == f"The service answered the turn with HTTP 503{words}"


def test_a_refusal_may_be_a_conversation() -> None:
    """HTTP 403 may come with a conversation whose last message explains."""
    body = conversation(message("Ask", "u1"), message("Your organisation has not enabled this."))
    error = error_of(answered(403, body))
    assert error.service_message == "Your organisation has not enabled this."
    assert (error.value, "has not enabled this" in error.message) == ("403", True)
    assert error_of(answered(403, conversation())).service_message is None


def test_long_words_do_not_fill_a_screen() -> None:
    """A long text is cut where the error is shown, after secrets are taken out."""
    error = error_of(answered(500, envelope("x", "y" * 9000)))
    assert (len(str(error)) < 1200, len(error.service_message or "")) == (True, 9000)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(), errors.ServiceError),
        (Fault(code="InternalServerError"), errors.ServiceError),
        (Fault(code="TooManyRequests"), errors.Throttled),
        (Fault(code="toomanyrequests"), errors.Throttled),
        (Fault(code="Forbidden"), errors.Unauthorized),
        (Fault(code="InvalidAuthenticationToken"), errors.Unauthorized),
        (Fault(code="BadRequest"), errors.InvalidRequest),
        (Fault(code="RequestEntityTooLarge"), errors.PromptTooLong),
        (Fault(code="new", message="Non-2xx response from IC3. Status = 403"), errors.Unauthorized),
        (Fault(code="new", message="Status = 502"), errors.ServiceError),
    ],
)
def test_an_error_in_a_stream_goes_by_its_name(fault: Fault, kind: type[errors.BingError]) -> None:
    """It has no status of its own; one of an unknown name is a fault of the service."""
    error = fault_error(fault, "the turn")
    assert type(error) is kind
    assert error.message.startswith("The service ended the turn with an error")
    assert (error.value, error.service_message) == (fault.code or None, fault.message or None)


@pytest.mark.parametrize(
    "body", [{"id": "c1", "status": "active"}, conversation(agentId="x", **{"@odata.context": "https://x"})]
)
def test_a_creation_is_answered_with_an_id(body: Any) -> None:
    """With `state` or `status`, and more or less beside it."""
    assert parse_creation(answered(201, body)) == "c1"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (answered(201), errors.ServiceError, "HTTP 201 and no conversation"),
        (answered(200, b"<html>"), errors.ServiceError, "HTTP 200 and no conversation"),
        (answered(201, {}), errors.ServiceError, "without a conversation id"),
        (answered(201, {"id": ""}), errors.ServiceError, "without a conversation id"),
        (answered(401), errors.Unauthorized, "the creation of a conversation with HTTP 401"),
    ],
)
def test_a_creation_without_an_id_is_an_error(answer: Response, kind: type[errors.BingError], words: str) -> None:
    """A refusal is what it is elsewhere; an answer that is not a conversation is a fault of the service."""
    with pytest.raises(kind, match=words):
        parse_creation(answer)


def test_an_error_in_a_stream_came_after_the_work_began() -> None:
    """So its turn may be charged."""
    busy = fault_error(Fault(code="Conflict", message="Another turn runs."), "the turn")
    assert type(busy) is errors.ConversationBusy
    assert busy.begun
    assert not error_of(answered(409)).begun
