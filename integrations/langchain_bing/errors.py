"""Errors that are ours and LangChain's: each is the class of `bing_llm.errors` and one of the `ModelError` family.

So `except bing_llm.Throttled` and `except ModelRateLimitError` both work, and LangChain's retry middleware finds
`is_retryable`. Where the installed langchain-core has no such class, the error is ours alone.

===================================================  ===========================================
ours                                                 LangChain's
===================================================  ===========================================
Unauthorized, CaptchaRequired                        ModelAuthenticationError
Throttled, TurnLimitReached                          ModelRateLimitError
InvalidRequest, UploadFailed                         ModelInvalidRequestError
PromptTooLong                                        ContextOverflowError
ContentFiltered, ConversationEnded                   ModelRefusalError
ServiceError, ProtocolError, SessionExpired          ModelAPIError
ConnectionFailed, ConnectionLost                     ModelConnectionError
TimedOut                                             ModelTimeoutError
===================================================  ===========================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from langchain_core import exceptions as lc

from bing_llm import errors

_FAMILY: dict[type[errors.BingError], str] = {
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


def _both(ours: type[errors.BingError], name: str) -> type[errors.BingError]:
    theirs = getattr(lc, name, None) or getattr(lc, "ModelError", None)
    if theirs is None:
        return ours
    both = type(ours.__name__, (ours, theirs), {"__module__": __name__, "__doc__": ours.__doc__})
    globals()[ours.__name__] = both  # where pickle looks for it
    return both


_BOTH = {ours: _both(ours, name) for ours, name in _FAMILY.items()}


def as_model_error(exc: errors.BingError, *, attempts: int) -> errors.BingError:
    """The same error, as LangChain's too; as it is where LangChain has no such class.

    `is_retryable` is True where the same turn may succeed when it is asked again soon, and our own retries were not
    used up on it: whoever retries on top would multiply them. A quota without a time comes back after hours. A turn
    that the service may charge for is never retryable.

    Args:
        exc: The error.
        attempts: How often the client tries a turn that has given no text.
    """
    kind = _BOTH.get(type(exc), type(exc))
    if kind is type(exc):
        return exc
    same = kind(exc.message)
    same.__dict__.update(exc.__dict__)
    step = errors.next_step(exc, errors.FailedAttempt("new", exc.sent), exc.metering)
    was_tried = attempts > 1 and not exc.partial_text
    same.is_retryable = step != "raise" and not was_tried  # type: ignore[attr-defined]
    return same


def raise_as_model_error(exc: errors.BingError, attempts: Callable[[], int]) -> NoReturn:
    """Raise the error, as LangChain's too; for use where it was caught."""
    same = as_model_error(exc, attempts=attempts())
    if same is exc:
        raise exc
    raise same.with_traceback(exc.__traceback__) from exc.__cause__


@contextmanager
def model_errors(attempts: Callable[[], int]) -> Iterator[None]:
    """Raise our errors as LangChain's too.

    Args:
        attempts: How often the client tries a turn that has given no text; asked for where there is an error.
    """
    try:
        yield
    except errors.BingError as exc:
        raise_as_model_error(exc, attempts)
