"""The service's `result.value`, and HTTP statuses, as errors (docs/protocol/chathub.md, sections a and f)."""

from __future__ import annotations

from bing_llm import errors
from bing_llm.backends.chathub.frames import Result
from bing_llm.backends.response import Response
from bing_llm.backends.statuses import error_of

SUCCESS = "Success"

_ERRORS: dict[str, type[errors.BingError]] = {
    "Throttled": errors.Throttled,
    "CaptchaChallenge": errors.CaptchaRequired,
    "InvalidSession": errors.SessionExpired,
    "UnauthorizedRequest": errors.Unauthorized,
    "Forbidden": errors.Unauthorized,
    "InvalidRequest": errors.InvalidRequest,
    # On the M365 hub: a paid scenario without a licence.
    "InvalidCopilotLicense": errors.Unauthorized,
    # Reported, not recorded: a turn still runs on that conversation.
    "ProcessingMessage": errors.ConversationBusy,
    "InternalError": errors.ServiceError,
    "InternalServerError": errors.ServiceError,
}


def error_for(result: Result, *, what: str, partial_text: str = "") -> errors.BingError:
    """The error that a result stands for; an unknown value is a ServiceError.

    Args:
        result: The service's result; its value is not `Success`.
        what: What was refused, for the message: "the turn", "the conversation".
        partial_text: The text that had come before.
    """
    value = result.value or "without a result value"
    said = result.message or result.error
    words = f"{value}: {said}" if said and said != value else value
    kind = _ERRORS.get(value, errors.ServiceError)
    return kind(
        f"The service refused {what} ({words.rstrip('.')}).",
        value=result.value,
        service_message=said,
        partial_text=partial_text,
        retry_after=result.wait_s,
    )


def error_for_status(answer: Response, what: str, *, carries_row: bool = True) -> errors.BingError | None:
    """The error that an HTTP status stands for; None for 2xx. A redirect leads to a page where people sign in.

    Args:
        answer: The answer.
        what: What was asked for, for the message.
        carries_row: Whether the request had a part of one turn in it; a creation and a socket have none.
    """
    status = answer.status
    msg = f"The service answered {what} with HTTP {status}."
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own ranges
        return None
    if status < 400:  # noqa: PLR2004
        return errors.Unauthorized(msg, value=str(status))
    return error_of(status, msg, carries_row=carries_row, retry_after=answer.retry_after)
