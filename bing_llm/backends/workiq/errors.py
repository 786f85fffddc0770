"""What an HTTP call was answered, as an error or an id (docs/protocol/workiq.md, section 7).

An error repeats the service's words. A service may repeat the token in them: callers take it out (`Redactor.errors`).
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from bing_llm import errors
from bing_llm.backends.json_text import decode_or_none
from bing_llm.backends.response import Response
from bing_llm.backends.statuses import PROXY_AUTHENTICATION, blame_of, endpoint_refused, proxy_refused
from bing_llm.backends.workiq.auth import needs_sign_in
from bing_llm.backends.workiq.challenge import find_challenge
from bing_llm.backends.workiq.snapshots import Fault, decode_conversation, fault_of
from bing_llm.errors import ProtocolError

_CREDENTIAL_HINT = (
    "Check that the token is for this endpoint (its audience), not expired, and of a user of the home tenant: "
    "tokens of an app alone are refused."
)
_AUDIENCE_HINT = "Get a token for this endpoint (its audience): for Work IQ, of the scope WorkIQAgent.Ask."
_EXPIRED_HINT = (
    "Get a new token; in Python, a function or a credential of azure-identity as token= renews it before it ends."
)
_SIGN_IN_HINT = (
    "Sign in again with `bing-llm login`, or get a new token; in Python, a credential of azure-identity as token= can "
    "answer this."
)
_PLAN_HINT = (
    "The user is in no billing plan of Work IQ, or for Microsoft Graph has no Copilot licence; or the tenant has not "
    "enabled the service. Plans are assigned in the Microsoft 365 admin centre (Cost management, Copilot Credits), "
    "before in Copilot Studio; a new assignment takes 15 to 30 minutes."
)
_CONSENT_HINT = "An administrator must consent to {scopes} for this app; then get a new token."
NO_ANSWER_HINT = (
    "If the user's licence or billing plan is new, wait 15 to 30 minutes: the index that answers come from is not yet "
    "built. Asking again at once would be charged, and would fail again."
)
"""The hint where a turn succeeds without any text (docs/protocol/workiq.md, section 12)."""

_REST_PLACE_HINT = (
    "Check the endpoint: on Work IQ it ends in /rest or /rest/beta, without /copilot; on Microsoft Graph in "
    "/beta/copilot. Or the conversation does not exist."
)

# A short limit, not a quota of hours (docs/protocol/workiq.md, section 12).
_THROTTLED_HINT = "Send fewer requests at once, or wait a minute."

_STATUSES: Final = {
    "authenticationerror": 401,  # comes with HTTP 400: the issuer of the token is not the user's home tenant
    "invalidauthenticationtoken": 401,
    "unauthenticated": 401,
    "unauthorized": 401,
    "accessdenied": 403,
    "authorization_requestdenied": 403,
    "forbidden": 403,
    "badrequest": 400,
    "conflict": 409,
    "gone": 410,
    "invalidrequest": 400,
    "itemnotfound": 404,
    "notfound": 404,
    "payloadtoolarge": 413,
    "requestentitytoolarge": 413,
    "activitylimitreached": 429,
    "throttled": 429,
    "toomanyrequests": 429,
}
"""HTTP statuses by the service's names for errors, in lower case; an error in a stream has no status of its own."""

_LONGEST_LOOK: Final = 65_536  # bytes of a body that may say why; an error has some hundred

_INNER = re.compile(r"\bstatus ?(?:code)? ?[=:]? ?([1-5]\d\d)\b", re.IGNORECASE | re.ASCII)
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

_REQUIRED_SCOPES = re.compile(r"Required scopes ?= ?\[([^\]]{1,500})\]", re.IGNORECASE)
_SCOPE = re.compile(r"[A-Za-z][\w.:/-]{0,99}", re.ASCII)

_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE = 400, 401, 403, 404, 409, 410
_TOO_MANY, _SERVERS = 429, 500
_OF_AN_OLD_CONVERSATION = frozenset((_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _GONE))

_Kind: TypeAlias = tuple[type[errors.BingError], str | None]

_KINDS: Final[dict[int, _Kind]] = {
    _UNAUTHENTICATED: (errors.Unauthorized, _CREDENTIAL_HINT),
    402: (errors.Unauthorized, _PLAN_HINT),
    _FORBIDDEN: (errors.Unauthorized, _PLAN_HINT),
    _NOT_FOUND: (errors.InvalidRequest, None),
    408: (errors.ServiceError, None),
    425: (errors.ServiceError, None),
    451: (errors.Unauthorized, None),
    _CONFLICT: (errors.ConversationBusy, None),
    _GONE: (errors.SessionExpired, None),
    413: (errors.PromptTooLong, None),
    _TOO_MANY: (errors.Throttled, _THROTTLED_HINT),
}
"""Errors and their hints by HTTP status; None for the hint of the error itself, or where the place may be wrong."""


def error_for(
    answer: Response,
    what: str,
    *,
    reused: bool = False,
    carries_row: bool = True,
    place_hint: str = _REST_PLACE_HINT,
) -> errors.BingError | None:
    """The error that an answer stands for; None for 2xx.

    Args:
        answer: The answer, with its body.
        what: What was asked for, for the message: "the turn", "the creation of a conversation".
        reused: Whether it was a turn of a conversation that had been used before. HTTP 400, 404, 409 and 410 then mean
            that it has expired or is full.
        carries_row: Whether the request had a part of one turn in it; the creation of a conversation has none.
        place_hint: The hint where the endpoint may be wrong: by default, that of REST.
    """
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own range
        return None
    fault = _fault_in(answer)
    named = _STATUSES.get(fault.code.lower())
    effective = _inner(fault.message) if status == _SERVERS else None
    if status == _BAD_REQUEST and named == _UNAUTHENTICATED:
        effective = named
    said = f"The service answered {what} with HTTP {status}{_words(fault)}."
    if status == PROXY_AUTHENTICATION:
        return proxy_refused(said, value=str(status))
    if effective is None and blame_of(status, carries_row=carries_row) == "endpoint":
        return endpoint_refused(said, hint=place_hint, value=fault.code or str(status))
    details: dict[str, Any] = {"value": fault.code or str(status), "service_message": fault.message or None}
    if reused and status in _OF_AN_OLD_CONVERSATION and effective is None:
        return errors.SessionExpired(said, **details)
    challenge = find_challenge(answer.headers) if status == _UNAUTHENTICATED else None
    if challenge is not None:
        return errors.Unauthorized(f"{said} {needs_sign_in(challenge)}", hint=_SIGN_IN_HINT, **details)
    details["retry_after"] = answer.retry_after
    words = _text_of(answer.body) if status == _FORBIDDEN else fault.message
    return _error(effective or status, said, details, words, place_hint)


def fault_error(fault: Fault, what: str) -> errors.BingError:
    """The error that came in place of an event of a stream."""
    status = _STATUSES.get(fault.code.lower()) or _inner(fault.message) or _SERVERS
    details = {"value": fault.code or None, "service_message": fault.message or None}
    said = f"The service ended {what} with an error{_words(fault)}."
    error = _error(status, said, details, fault.message, _REST_PLACE_HINT)
    error.begun = True
    return error


def parse_creation(answer: Response) -> str:
    """The id of the conversation that was created.

    Raises:
        BingError: The service refused, or answered without an id.
    """
    what = "the creation of a conversation"
    error = error_for(answer, what, carries_row=False)
    if error is not None:
        raise error
    try:
        created = decode_conversation(answer.body)
    except ProtocolError as exc:
        msg = f"The service answered {what} with HTTP {answer.status} and no conversation."
        raise errors.ServiceError(msg, value=str(answer.status)) from exc
    if not created.id:
        msg = f"The service answered {what} without a conversation id."
        raise errors.ServiceError(msg, value=str(answer.status))
    return created.id


def _error(status: int, said: str, details: dict[str, Any], words: str, place_hint: str) -> errors.BingError:
    """The error by status. A `ServiceError` may pass by itself, so only what may do so is one.

    Args:
        status: The HTTP status, or the one that the service's name for the error means.
        said: The message.
        details: Further values of the error.
        words: The service's own words, for the hint.
        place_hint: The hint where the endpoint may be wrong.
    """
    kind, hint = _KINDS.get(status, _kind_by_range(status))
    if status == _NOT_FOUND or status < _BAD_REQUEST:  # this service does not redirect
        hint = place_hint
    return kind(said, hint=_hint_by_words(status, words) or hint, **details)


def _hint_by_words(status: int, words: str) -> str | None:
    """Which of the causes of a 401 or a 403 it is, where the service says so (docs/protocol/workiq.md, section 12)."""
    if status == _UNAUTHENTICATED and "audience" in words.lower():
        return _AUDIENCE_HINT
    if status == _UNAUTHENTICATED and ("expired" in words.lower() or "lifetime" in words.lower()):
        return _EXPIRED_HINT
    required = _REQUIRED_SCOPES.search(words) if status == _FORBIDDEN else None
    if required is None:
        return None
    scopes = _SCOPE.findall(required[1])
    return _CONSENT_HINT.format(scopes=", ".join(scopes) or "the permission WorkIQAgent.Ask")


def _kind_by_range(status: int) -> _Kind:
    return (errors.ServiceError if status >= _SERVERS else errors.InvalidRequest), None


def _inner(message: str) -> int | None:
    """The status of an inner service in the words of an HTTP 500, if it says that another attempt is useless."""
    found = _INNER.search(message)
    status = int(found[1]) if found else _SERVERS
    return status if _BAD_REQUEST <= status < _SERVERS and status != _TOO_MANY else None


def _fault_in(answer: Response) -> Fault:
    """What the body says: an error, or a conversation whose last message explains (seen with HTTP 403)."""
    content = decode_or_none(answer.body)
    fault = fault_of(content.get("error")) if isinstance(content, dict) else Fault()
    if not (fault.code or fault.message):
        fault = Fault(message=_explained(answer.body), request_id=fault.request_id)
    header = answer.headers.get("request-id", "")
    return Fault(code=fault.code, message=fault.message, request_id=fault.request_id or header)


def _explained(body: bytes) -> str:
    try:
        replies = decode_conversation(body).replies()
    except ProtocolError:
        return ""
    return (replies[-1].text or "") if replies else ""


def _text_of(body: bytes) -> str:
    return body[:_LONGEST_LOOK].decode("utf-8", "replace")


def _words(fault: Fault) -> str:
    """The service's words for a sentence, with the id that its support asks for."""
    words = ": ".join(part for part in (fault.code, fault.message.strip().rstrip(".")) if part)
    request = f"request-id {fault.request_id}" if _REQUEST_ID.fullmatch(fault.request_id) else ""
    parts = "; ".join(part for part in (words, request) if part)
    return f" ({parts})" if parts else ""
