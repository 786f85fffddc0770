"""Whom an HTTP status blames: the request of one turn, the caller, the proxy, the endpoint, or nobody for long.

A status only says that something was refused. What it was decides: a creation has nothing of a prompt in it, so no
other prompt would fare better, and a batch must stop, not fail each of its rows.

==========  ============================================================  =============================================
who         statuses                                                      what becomes of it
==========  ============================================================  =============================================
caller      401, 402, 403, 451                                            `Unauthorized`: a batch stops
proxy       407                                                           `Unauthorized`: a batch stops
later       408, 425, 429, 5xx                                            `Throttled` (429) or `ServiceError`: try again
row         other 3xx and 4xx, where the request has a prompt             `InvalidRequest`: this one fails
endpoint    other 3xx and 4xx, where it has none                          `ConnectionFailed`, permanent: a batch stops
==========  ============================================================  =============================================

A service that means something else by a status says so in its own table.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from bing_llm import errors

Blame: TypeAlias = Literal["row", "caller", "proxy", "endpoint", "later"]

TOO_MANY: Final = 429
PROXY_AUTHENTICATION: Final = 407
_CALLER: Final = frozenset((401, 402, 403, 451))
_LATER: Final = frozenset((408, 425, TOO_MANY))
_SERVERS: Final = 500

_PROXY_HINT = "Check the proxy, and its user and password; in Python, see proxy= and trust_env=."
_ENDPOINT_HINT = "Check the endpoint: it answers, but not as this service does."


def blame_of(status: int, *, carries_row: bool) -> Blame:
    """Who must change something before another attempt.

    Args:
        status: An HTTP status from 300 on.
        carries_row: Whether the request had a part of one turn in it: its prompt, its picture, its conversation.
    """
    if status == PROXY_AUTHENTICATION:
        return "proxy"
    if status in _CALLER:
        return "caller"
    if status >= _SERVERS or status in _LATER:
        return "later"
    return "row" if carries_row else "endpoint"


def error_of(
    status: int, message: str, *, carries_row: bool, retry_after: float | None = None, **details: Any
) -> errors.BingError:
    """The error for a status that a service has no meaning of its own for.

    Args:
        status: An HTTP status from 300 on.
        message: What was asked and answered.
        carries_row: As in `blame_of`.
        retry_after: Seconds that the service asked to wait.
        **details: More fields of the error.
    """
    details = {"value": str(status), **details}
    match blame_of(status, carries_row=carries_row):
        case "caller":
            return errors.Unauthorized(message, **details)
        case "proxy":
            return proxy_refused(message, **details)
        case "later":
            kind = errors.Throttled if status == TOO_MANY else errors.ServiceError
            return kind(message, retry_after=retry_after, **details)
        case "endpoint":
            return endpoint_refused(message, **details)
        case "row":
            return errors.InvalidRequest(message, **details)


def proxy_refused(message: str, **details: Any) -> errors.Unauthorized:
    """The proxy wants credentials, or others."""
    return errors.Unauthorized(message, **{"hint": _PROXY_HINT, **details})


def endpoint_refused(message: str, **details: Any) -> errors.ConnectionFailed:
    """There is no such service at this endpoint."""
    failure = errors.ConnectionFailed(message, **{"hint": _ENDPOINT_HINT, **details})
    failure.permanent = True
    return failure
