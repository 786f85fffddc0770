"""Every error that the public API raises, and the one policy of what is tried again after which.

The tree (only leaves are raised; no leaf derives from another)::

    BingError
    ├── ConfigurationError        our side: the settings cannot work; nothing was sent
    ├── BatchStopped              a batch ended before all its rows were asked
    ├── RequestError              the request cannot be served as it is
    │   ├── InvalidRequest
    │   ├── PromptTooLong
    │   ├── ContentFiltered
    │   └── UploadFailed
    ├── AccessError               the service does not serve this caller now
    │   ├── Unauthorized
    │   ├── CaptchaRequired
    │   └── Throttled
    ├── ConversationError         this conversation takes no such turn
    │   ├── SessionExpired
    │   ├── ConversationEnded
    │   ├── ConversationBusy
    │   └── TurnLimitReached
    └── ServiceFault              the service or the way to it failed
        ├── ServiceError
        ├── ProtocolError
        ├── ConnectionFailed
        ├── ConnectionLost
        └── TimedOut

No exception of aiohttp, tenacity, json or msgspec crosses the public API: each is the `__cause__` of one of
these. None derives from RuntimeError, which LlamaIndex's `asyncio_run` would report as a nested-loop mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from bing_llm._escaping import escape

__all__ = [
    "AccessError",
    "BatchStopped",
    "BingError",
    "CaptchaRequired",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "ContentFiltered",
    "ConversationBusy",
    "ConversationEnded",
    "ConversationError",
    "InvalidRequest",
    "PromptTooLong",
    "ProtocolError",
    "RequestError",
    "ServiceError",
    "ServiceFault",
    "SessionExpired",
    "Throttled",
    "TimedOut",
    "TurnLimitReached",
    "Unauthorized",
    "UploadFailed",
    "is_transient",
]

_LONGEST_SHOWN = 1000  # characters of a message in a text; ours have at most some 600, a service's words any number


class BingError(Exception):
    """The base of all errors of this package. Its text is escaped for a terminal, and long words are cut there.

    Args:
        message: What happened, in one sentence.
        hint: What to do next; None takes the class's own hint.
        value: The service's own name for it (`result.value` of a frame, or an HTTP status), None if it sent
            none.
        service_message: The service's own words, None if it sent none.
        partial_text: The text that had been received before the error; "" if there was none.
        retry_after: Seconds that the service asked to wait, None if it did not.

    Attributes:
        sent: Whether the request of the turn had gone out, so that the service may have acted on it.
    """

    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        value: str | None = None,
        service_message: str | None = None,
        partial_text: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.value = value
        self.service_message = service_message
        self.partial_text = partial_text
        self.retry_after = retry_after
        self.sent = False

    def __str__(self) -> str:
        # A service's own words may be in it, and a traceback goes to a terminal as it is. Cut only here, where secrets
        # were taken out: half of one would not be known.
        message = self.message if len(self.message) <= _LONGEST_SHOWN else f"{self.message[:_LONGEST_SHOWN]}..."
        return escape(" ".join(part for part in (message, self.hint) if part))


class ConfigurationError(BingError):
    """The settings cannot work, or contradict each other. Nothing was sent."""

    default_hint = "Change the setting that is named here."


class BatchStopped(BingError):
    """A batch ended before all its rows were asked; `__cause__` says why. What was done is kept.

    `summary` holds the counts so far, a `bing_llm.batch.Summary`.
    """

    summary: Any = None
    default_hint = "Run it again with the same output; it goes on where it stopped."


class RequestError(BingError):
    """Abstract: the request cannot be served as it is."""


class InvalidRequest(RequestError):
    """The request is not one that the service takes.

    Raised before anything is sent, or for the service's own `InvalidRequest`.
    """

    default_hint = "Change the request; sending it again as it is will fail again."


class PromptTooLong(RequestError):
    """The prompt and its context are more than the service takes.

    A ChatHub closes the connection without a word on over 4,000 characters; Work IQ answers HTTP 413.
    """

    default_hint = "Send a shorter prompt or less context."


class ContentFiltered(RequestError):
    """The service refused the prompt before it answered (contentOrigin `Apology`).

    `service_message` holds its notice.
    """

    default_hint = "The service's content policy refused this; rephrase the prompt."


class UploadFailed(RequestError):
    """The service did not take the image."""

    default_hint = "Use a PNG, JPEG, GIF or WebP image of at most 1 MB, or the public URL of one."


class AccessError(BingError):
    """Abstract: the service does not serve this caller now."""


class Unauthorized(AccessError):
    """The service did not accept the credentials, the region or the network.

    `UnauthorizedRequest`, `Forbidden`, HTTP 302, 401 and 403; of Work IQ also 402 and `AuthenticationError`.
    """

    default_hint = "Check the cookies or the token, and that the service is offered where you are."


class CaptchaRequired(AccessError):
    """The service wants a person to solve a captcha (`CaptchaChallenge`); this library does not solve it."""

    default_hint = "Solve the captcha in a browser with the same account, then pass its cookies as cookies=."


class Throttled(AccessError):
    """The service refuses more requests for now (`Throttled`, HTTP 404 at creation, HTTP 429)."""

    default_hint = "Send fewer requests, or wait; daily quotas come back after hours."


class ConversationError(BingError):
    """Abstract: this conversation takes no such turn."""


class SessionExpired(ConversationError):
    """The conversation does not exist any more; ChatHub keeps one for six hours.

    `InvalidSession`; of Work IQ, HTTP 400, 404 and 409 on a conversation that had been used before.
    """

    default_hint = "Create a new conversation and send the history as context."


class ConversationEnded(ConversationError):
    """The service ended the conversation (`Disengaged`, `disengagedForRai`); it takes no further turn."""

    default_hint = "Create a new conversation."


class ConversationBusy(ConversationError):
    """A turn of this conversation is still running."""

    default_hint = "Finish or close the running turn first, or use a second conversation."


class TurnLimitReached(ConversationError):
    """The conversation has had all the turns that the service allows it."""

    default_hint = "Create a new conversation and send the history as context."


class ServiceFault(BingError):
    """Abstract: the service, or the way to it, failed."""


class ServiceError(ServiceFault):
    """The service reported a failure of its own (`InternalError`, HTTP 5xx, an unknown value)."""

    default_hint = "This is on the service's side; try again later."


class ProtocolError(ServiceFault):
    """What the service sent is not the protocol. Any input to a parser gives events or this."""

    default_hint = "The endpoint may be wrong, or the protocol has changed; the DEBUG log shows the frames."


class ConnectionFailed(ServiceFault):
    """No connection could be opened; the request was not sent.

    `permanent` says that another attempt would meet the same, such as a certificate that is not trusted.
    """

    permanent: bool = False
    default_hint = "Check the network, the endpoint and the proxy."


class ConnectionLost(ServiceFault):
    """The connection ended before the answer was complete. `partial_text` holds what had come."""

    default_hint = "Ask again; the answer was not complete."


class TimedOut(ServiceFault):
    """A time limit passed. The message names it and its length in seconds."""

    default_hint = "Ask again; in Python, raise the limit that the message names (`timeouts=`)."


# --- the retry policy -------------------------------------------------------------------------------------------------

ConversationKind: TypeAlias = Literal["new", "used", "own"]
"""Where an attempt took place: in a conversation made for it; in one that had had turns before, or had waited ready;
or in the caller's own, which nothing may take the place of."""

NextStep: TypeAlias = Literal["raise", "retry", "replace"]
"""`raise` the error; `retry`: make another attempt, after a wait, if one is left; `replace`: open the turn at once in a
new conversation, which is not counted, since without the used one there would have been no failure."""


class RetryRule(NamedTuple):
    """What the policy says of one error.

    Attributes:
        transient: Whether the same turn may succeed when it is sent again shortly after.
        fresh: Whether a new conversation helps: never; only where the one that failed had been used, or had waited; or
            always.
        stops_batch: Whether every other turn would meet the same.
    """

    transient: bool = False
    fresh: Literal["never", "after use", "always"] = "never"
    stops_batch: bool = False


RETRY_TABLE: Final[Mapping[type[BingError], RetryRule]] = {
    ConfigurationError: RetryRule(stops_batch=True),
    BatchStopped: RetryRule(stops_batch=True),
    # A request stays what it is. But with all its turns a conversation may have become too long.
    InvalidRequest: RetryRule(),
    PromptTooLong: RetryRule(fresh="after use"),
    ContentFiltered: RetryRule(),
    UploadFailed: RetryRule(),
    # So does a credential; but the signature of a conversation may have expired.
    Unauthorized: RetryRule(fresh="after use", stops_batch=True),
    CaptchaRequired: RetryRule(stops_batch=True),
    Throttled: RetryRule(transient=True),  # if it says when; see `_may_pass`
    SessionExpired: RetryRule(fresh="always"),
    ConversationEnded: RetryRule(),  # because of what was said, which a new conversation would hold too
    ConversationBusy: RetryRule(fresh="always"),
    TurnLimitReached: RetryRule(fresh="after use"),
    ServiceError: RetryRule(transient=True),
    ProtocolError: RetryRule(),  # the other side is not what we think
    ConnectionFailed: RetryRule(transient=True),  # unless it is permanent, which also stops a batch
    ConnectionLost: RetryRule(transient=True, fresh="after use"),
    TimedOut: RetryRule(transient=True, fresh="after use"),
}
"""The policy, an error a line. A change of it is made here, and in `next_step` where it takes more than the error."""


class Metering(NamedTuple):
    """What a service says about its own turns.

    Attributes:
        metered: Whether a turn is paid for once it was sent. Such a turn is not sent again by itself.
        throttling_passes: Whether `Throttled` without `Retry-After` passes within seconds. Else it is a quota that is
            counted in hours, and more requests make it worse (a ChatHub).
    """

    metered: bool = False
    throttling_passes: bool = False


UNMETERED: Final = Metering()


class FailedAttempt(NamedTuple):
    """What is known of an attempt that failed.

    Attributes:
        conversation: Where it took place.
        sent: Whether the request had gone out; see `BingError.sent`.
        answered: Whether its caller was given text, which cannot be recalled.
    """

    conversation: ConversationKind
    sent: bool
    answered: bool = False


def next_step(error: BingError, attempt: FailedAttempt, metering: Metering) -> NextStep:
    """What to do after a failed attempt at a turn; the one place that decides it.

    Args:
        error: The failure.
        attempt: What is known of the attempt.
        metering: What the service says about its turns.
    """
    if attempt.answered:
        return "raise"
    if attempt.conversation == "own":  # its service may have taken the turn, and would take it twice
        return "retry" if _may_pass(error, metering) and not attempt.sent else "raise"
    if metering.metered and attempt.sent and isinstance(error, ServiceFault):
        return "raise"  # the other errors say that the turn was refused, so it was not paid for
    fresh = rule_for(error).fresh
    if attempt.conversation == "used" and fresh != "never":
        return "replace"
    return "retry" if fresh == "always" or _may_pass(error, metering) else "raise"


def stops_batch(error: BingError) -> bool:
    """Whether every other turn of a batch would meet the same."""
    return rule_for(error).stops_batch or (isinstance(error, ConnectionFailed) and error.permanent)


def is_transient(exc: BaseException) -> bool:
    """Whether the same turn may succeed when it is opened again, in a new conversation, shortly after.

    True for faults of the service and of the way to it, unless they are permanent, and for `Throttled` when the
    service said how long to wait. Not for the rest: a request, a credential or a captcha stays what it is; a quota
    without `Retry-After` (a result `Throttled`, HTTP 404 at creation) is counted in hours, and more requests make it
    worse; a `ProtocolError` means that the other side is not what we think. `SessionExpired` is for whoever holds the
    conversation.
    """
    return isinstance(exc, BingError) and _may_pass(exc, UNMETERED)


def rule_for(error: BingError) -> RetryRule:
    """The row of the table for an error; that of its nearest base class, for a class that is not ours."""
    return next((RETRY_TABLE[kind] for kind in type(error).__mro__ if kind in RETRY_TABLE), RetryRule())


def _may_pass(error: BingError, metering: Metering) -> bool:
    if isinstance(error, ConnectionFailed) and error.permanent:
        return False
    if isinstance(error, Throttled) and error.retry_after is None:
        return metering.throttling_passes
    return rule_for(error).transient
