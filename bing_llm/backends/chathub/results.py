"""The service's `result.value` as errors (docs/protocol/chathub.md, sections a and f)."""

from __future__ import annotations

from bing_llm import errors
from bing_llm.backends.chathub.frames import Result

__all__ = ["SUCCESS", "error_for"]

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
    )
