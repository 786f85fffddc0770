"""Errors in OpenAI's form, and which of them each error of ours becomes. Pure.

===================================================  ======  =====================  ==========================
ours                                                 status  type                   code
===================================================  ======  =====================  ==========================
InvalidRequest                                       400     invalid_request_error  invalid_request
PromptTooLong                                        400     invalid_request_error  context_length_exceeded
UploadFailed                                         400     invalid_request_error  invalid_image
ContentFiltered, ConversationEnded, before any text  none    an answer whose        content_filter
                                                             finish_reason is
Unauthorized                                         401     authentication_error   upstream_unauthorized
CaptchaRequired                                      403     permission_error       captcha_required
Throttled, TurnLimitReached                          429     rate_limit_error       rate_limit_exceeded
ConfigurationError                                   500     server_error           configuration_error
ProtocolError                                        502     server_error           upstream_protocol_error
ServiceError, SessionExpired, ConversationBusy,      503     server_error           upstream_error
ConnectionFailed, ConnectionLost
TimedOut                                             504     server_error           upstream_timeout
===================================================  ======  =====================  ==========================

The client has tried again what may be tried again, within its own budget (`bing_llm.errors.next_step`). So each error
of a turn says `x-should-retry: false`, which OpenAI's SDKs obey: their own retries would multiply that budget, and send
again what may have been paid. Only what this server itself refuses before a turn may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from bing_llm import errors

THROTTLED_S: Final = 60
"""`Retry-After` in seconds where the service names none but its limits end within seconds (Work IQ)."""

QUOTA_S: Final = 3600
"""`Retry-After` in seconds where the service names none, and the quota is counted in hours (ChatHub)."""

BUSY_S: Final = 5
"""`Retry-After` in seconds where this server is full, or is about to end."""

_LONGEST_MESSAGE = 2000  # characters; a service's own words have any number

INVALID: Final = "invalid_request_error"


class ApiError(Exception):
    """An error as OpenAI's API answers it.

    Args:
        status: The HTTP status.
        message: What happened, and what to do.
        type: OpenAI's word for the kind of error.
        code: OpenAI's word for the error itself.
        param: The parameter that is wrong; None for none.
        retry_after: When to try again, in seconds; None leaves it to the caller.
        should_retry: False asks the caller not to try again; None leaves it to the caller.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,  # noqa: A002 - OpenAI's name
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
        self.type = type
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry

    @property
    def fields(self) -> dict[str, Any]:
        """What `error` holds."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return msgspec.json.encode({"error": self.fields})

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say whether and when to try again."""
        after = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return after if self.should_retry is None else {**after, "x-should-retry": str(self.should_retry).lower()}


class _Form(NamedTuple):
    status: int
    type: str
    code: str


_UPSTREAM = _Form(503, "server_error", "upstream_error")

_FORMS: Mapping[type[errors.BingError], _Form] = {
    errors.InvalidRequest: _Form(400, INVALID, "invalid_request"),
    errors.PromptTooLong: _Form(400, INVALID, "context_length_exceeded"),
    errors.UploadFailed: _Form(400, INVALID, "invalid_image"),
    errors.ContentFiltered: _Form(400, INVALID, "content_filter"),
    errors.ConversationEnded: _Form(400, INVALID, "content_filter"),
    errors.Unauthorized: _Form(401, "authentication_error", "upstream_unauthorized"),
    errors.CaptchaRequired: _Form(403, "permission_error", "captcha_required"),
    errors.Throttled: _Form(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.TurnLimitReached: _Form(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.ConfigurationError: _Form(500, "server_error", "configuration_error"),
    errors.ProtocolError: _Form(502, "server_error", "upstream_protocol_error"),
    errors.TimedOut: _Form(504, "server_error", "upstream_timeout"),
    **dict.fromkeys(
        (
            errors.ServiceError,
            errors.SessionExpired,
            errors.ConversationBusy,
            errors.ConnectionFailed,
            errors.ConnectionLost,
        ),
        _UPSTREAM,
    ),
}


def is_refusal(exc: errors.BingError) -> bool:
    """Whether the service refused because of what was said: an answer whose `finish_reason` is `content_filter`."""
    return isinstance(exc, errors.ContentFiltered | errors.ConversationEnded)


def api_error(exc: Exception) -> ApiError:
    """An error of ours in OpenAI's form. One that is not ours is an internal error, of which nothing is shown."""
    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, errors.BingError):
        form = next((_FORMS[kind] for kind in type(exc).__mro__ if kind in _FORMS), _UPSTREAM)
        return ApiError(
            form.status,
            str(exc) or type(exc).__name__,
            type=form.type,
            code=form.code,
            retry_after=_retry_after(exc) if form.status == HTTPStatus.TOO_MANY_REQUESTS else None,
            should_retry=False,
        )
    return ApiError(
        500, "The server failed; its log says why.", type="server_error", code="internal_error", should_retry=False
    )


def _retry_after(exc: errors.BingError) -> int:
    """In whole seconds, rounded up, so that nobody comes too early."""
    if exc.retry_after is not None:
        return max(1, -int(-exc.retry_after // 1))
    return THROTTLED_S if exc.metering.throttling_passes else QUOTA_S


def busy(message: str, *, status: int) -> ApiError:
    """This server takes no further request for now; nothing was sent to the service, so it may be tried again."""
    full = status == HTTPStatus.TOO_MANY_REQUESTS
    form = ("rate_limit_error", "server_busy") if full else ("server_error", "shutting_down")
    return ApiError(status, message, type=form[0], code=form[1], retry_after=BUSY_S)
