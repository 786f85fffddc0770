"""All errors that the public API raises, and the one policy that decides after which errors to try again.

The tree (only leaves are raised; no leaf derives from another)::

    BingError
    ├── ConfigurationError        a setting is not valid; nothing was sent
    ├── BatchStopped              a batch ended before all its rows were asked
    ├── RequestError              the request cannot be served as it is
    │   ├── InvalidRequest
    │   ├── PromptTooLong
    │   ├── ContentFiltered
    │   └── UploadFailed
    ├── AccessError               the service refuses this caller for now
    │   ├── Unauthorized
    │   ├── CaptchaRequired
    │   └── Throttled
    ├── ConversationError         this conversation cannot take this turn
    │   ├── SessionExpired
    │   ├── ConversationEnded
    │   ├── ConversationBusy
    │   └── TurnLimitReached
    └── ServiceFault              the service or the connection to it failed
        ├── ServiceError
        ├── ProtocolError
        ├── ConnectionFailed
        ├── ConnectionLost
        └── TimedOut

No exception of aiohttp, tenacity, json or msgspec crosses the public API: each is the `__cause__` of one of
these. None derives from RuntimeError, because LlamaIndex's `asyncio_run` would report that as a nested event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from bing_llm._safe_text import escape

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

_LONGEST_SHOWN = 1000  # characters of a message in `str()`; ours have at most some 600, a service may send more


class Metering(NamedTuple):
    """What a service says about its own turns.

    Attributes:
        metered: Whether each turn that was sent is paid for. Such a turn is not sent again automatically.
        throttling_passes: Whether `Throttled` without `Retry-After` ends within seconds. Else (ChatHub) it is a quota
            that is counted in hours, and more requests make it worse.
    """

    metered: bool = False
    throttling_passes: bool = False


UNMETERED: Final = Metering()


class BingError(Exception):
    """The base of all errors of this package. `str()` escapes the text for a terminal, and shortens a long message.

    Args:
        message: What happened, in one sentence.
        hint: What to do next; None takes the hint of the class.
        value: The service's own name for the error (`result.value` of a frame, or an HTTP status); None if it sent
            none.
        service_message: The service's own message; None if it sent none.
        partial_text: The text that had been received before the error; "" if there was none.
        retry_after: How long the service asked to wait, in seconds; None if it did not.

    Attributes:
        sent: Whether the request of the turn had gone out, so that the service may have acted on it.
        begun: Whether the service had accepted the turn and begun to answer it before this error.
        metering: What the service says about its turns; known after a turn has failed.
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
        self.begun = False
        self.metering = UNMETERED

    @property
    def may_be_charged(self) -> bool:
        """Whether the service may charge for the turn that failed: it meters its turns, and did not refuse this one."""
        return _may_be_charged(self, sent=self.sent, metering=self.metering)

    def __str__(self) -> str:
        # It may hold text of the service, and a traceback is printed on a terminal unchanged. It is cut only here,
        # after secrets were removed: half of a secret would not be recognized.
        message = self.message if len(self.message) <= _LONGEST_SHOWN else f"{self.message[:_LONGEST_SHOWN]}..."
        return escape(" ".join(part for part in (message, self.hint) if part))


class ConfigurationError(BingError):
    """A setting is not valid, or two settings contradict each other. Nothing was sent."""

    default_hint = "Change the setting that is named here."


class BatchStopped(BingError):
    """A batch ended before all its rows were asked; `__cause__` says why. The finished rows are kept.

    `summary` has the counts so far, as a `bing_llm.batch.Summary`.
    """

    summary: Any = None
    default_hint = "Run it again with the same output; it goes on where it stopped."


class RequestError(BingError):
    """Abstract: the request cannot be served as it is."""


class InvalidRequest(RequestError):
    """The service does not accept such a request.

    Raised before anything is sent, or for the service's own `InvalidRequest`.
    """

    default_hint = "Change the request; sending it again as it is will fail again."


class PromptTooLong(RequestError):
    """The prompt, or it and its context, are longer than the service accepts.

    Raised before anything is sent if it is over the model's limit (`prompt_limit`), and for the service's own refusal.
    For over 4,000 characters, a ChatHub closes the connection without an error; Work IQ answers HTTP 413.
    """

    default_hint = "Send a shorter prompt or less context."


class ContentFiltered(RequestError):
    """The service refused the prompt before it answered (contentOrigin `Apology`).

    `service_message` holds its notice.
    """

    default_hint = "The service's content policy refused this; rephrase the prompt."


class UploadFailed(RequestError):
    """The service refused the image."""

    default_hint = "Use a PNG, JPEG, GIF or WebP image of at most 1 MB, or the public URL of one."


class AccessError(BingError):
    """Abstract: the service refuses this caller for now."""


class Unauthorized(AccessError):
    """The service did not accept the credentials, the region or the network.

    `UnauthorizedRequest`, `Forbidden`, HTTP 302, 401 and 403; with Work IQ also 402 and `AuthenticationError`.
    """

    default_hint = "Check the cookies or the token, and that the service is offered where you are."


class CaptchaRequired(AccessError):
    """The service asks for a captcha (`CaptchaChallenge`), which a person must solve; this library does not."""

    default_hint = "Solve the captcha in a browser with the same account, then pass its cookies as cookies=."


class Throttled(AccessError):
    """The service refuses more requests for now (`Throttled`, HTTP 404 at creation, HTTP 429)."""

    default_hint = "Send fewer requests, or wait; daily quotas come back after hours."


class ConversationError(BingError):
    """Abstract: this conversation cannot take this turn."""


class SessionExpired(ConversationError):
    """The conversation does not exist any more; ChatHub keeps it for six hours.

    `InvalidSession`; with Work IQ, HTTP 410, and HTTP 400, 404 and 409 for a conversation that was used before.
    """

    default_hint = "Create a new conversation and send the history as context."


class ConversationEnded(ConversationError):
    """The service ended the conversation (`Disengaged`, `disengagedForRai`); it takes no further turn."""

    default_hint = "Create a new conversation."


class ConversationBusy(ConversationError):
    """A turn of this conversation is still running."""

    default_hint = "Finish or close the running turn first, or use a second conversation."


class TurnLimitReached(ConversationError):
    """The conversation has used all the turns that the service allows."""

    default_hint = "Create a new conversation and send the history as context."


class ServiceFault(BingError):
    """Abstract: the service, or the connection to it, failed.

    `permanent` says that another attempt would soon fail in the same way.
    """

    permanent: bool = False


class ServiceError(ServiceFault):
    """The service reported a failure of its own (`InternalError`, HTTP 5xx, an unknown value)."""

    default_hint = "This is on the service's side; try again later."


class ProtocolError(ServiceFault):
    """The service sent something that violates the protocol. Any input to a parser gives events or this error."""

    default_hint = "The endpoint may be wrong, or the protocol has changed; the DEBUG log shows the frames."


class ConnectionFailed(ServiceFault):
    """No connection could be opened; the request was not sent.

    It is `permanent` with an untrusted certificate, for example.
    """

    default_hint = "Check the network, the endpoint and the proxy."


class ConnectionLost(ServiceFault):
    """The connection ended before the answer was complete. `partial_text` has the text so far."""

    default_hint = "Ask again; the answer was not complete."


class TimedOut(ServiceFault):
    """A time limit passed. The message names it and its length in seconds."""

    default_hint = "Ask again; in Python, raise the limit that the message names (`timeouts=`)."


# --- the retry policy -------------------------------------------------------------------------------------------------

ConversationKind: TypeAlias = Literal["new", "used", "own"]
"""The conversation of an attempt. `new`: made for the attempt. `used`: it had turns before, or was kept ready. `own`:
the caller's, which must not be replaced."""

NextStep: TypeAlias = Literal["raise", "retry", "replace"]
"""`raise` the error; `retry`: make another attempt, after a wait, if one is left; `replace`: open the turn at once in a
new conversation, which does not count as an attempt, because the used conversation may be the cause."""


class RetryRule(NamedTuple):
    """What the policy says about one error.

    Attributes:
        transient: Whether the same turn may succeed when it is sent again shortly after.
        fresh: Whether a new conversation helps: never; only if the failed one was used before or kept ready; or always,
            which a metered service has only after use.
        stops_batch: Whether every other turn would fail in the same way.
    """

    transient: bool = False
    fresh: Literal["never", "after use", "always"] = "never"
    stops_batch: bool = False


RETRY_TABLE: Final[Mapping[type[BingError], RetryRule]] = {
    ConfigurationError: RetryRule(stops_batch=True),
    BatchStopped: RetryRule(stops_batch=True),
    # The same request fails again. But a used conversation may have become too long with its turns.
    InvalidRequest: RetryRule(),
    PromptTooLong: RetryRule(fresh="after use"),
    ContentFiltered: RetryRule(),
    UploadFailed: RetryRule(),
    # The same credential fails again. But the signature of a used conversation may have expired.
    Unauthorized: RetryRule(fresh="after use", stops_batch=True),
    CaptchaRequired: RetryRule(stops_batch=True),
    Throttled: RetryRule(transient=True),  # if it says when; see `_may_pass`
    SessionExpired: RetryRule(fresh="always"),
    ConversationEnded: RetryRule(),  # because of the messages, which a new conversation would contain too
    ConversationBusy: RetryRule(fresh="always"),
    TurnLimitReached: RetryRule(fresh="after use"),
    ServiceError: RetryRule(transient=True),
    ProtocolError: RetryRule(),  # the server is not what we expect
    ConnectionFailed: RetryRule(transient=True),  # unless it is permanent, which also stops a batch
    ConnectionLost: RetryRule(transient=True, fresh="after use"),
    TimedOut: RetryRule(transient=True, fresh="after use"),
}
"""The policy, one error a line. Change it here, or in `next_step` if the decision needs more than the error."""


class FailedAttempt(NamedTuple):
    """The facts of a failed attempt that decide the next step.

    Attributes:
        conversation: The kind of conversation that it used.
        sent: Whether the request was sent; see `BingError.sent`.
        answered: Whether the caller has received text, which cannot be taken back.
    """

    conversation: ConversationKind
    sent: bool
    answered: bool = False


def next_step(error: BingError, attempt: FailedAttempt, metering: Metering) -> NextStep:
    """What to do after a failed attempt at a turn. Only this function decides it.

    Args:
        error: The failure.
        attempt: The facts of the attempt.
        metering: What the service says about its turns.
    """
    if attempt.answered:
        return "raise"
    if attempt.conversation == "own":  # the service may have the turn already, and would answer it twice
        has_it = attempt.sent and not _is_refusal(error)
        return "retry" if _may_pass(error, metering) and not has_it else "raise"
    if _may_be_charged(error, sent=attempt.sent, metering=metering):
        return "raise"
    fresh = rule_for(error).fresh
    if attempt.conversation == "used" and fresh != "never":
        return "replace"
    # A metered service that refuses a new conversation at once (404, 409, 410) refuses the next one too.
    opens_another = fresh == "always" and not metering.metered
    return "retry" if opens_another or _may_pass(error, metering) else "raise"


def stops_batch(error: BingError) -> bool:
    """Whether every other turn of a batch would fail in the same way."""
    return rule_for(error).stops_batch or (isinstance(error, ConnectionFailed) and error.permanent)


def is_transient(exc: BaseException) -> bool:
    """Whether the same turn may succeed if it is soon tried again in a new conversation.

    True for faults of the service and of the connection, unless they are permanent, and for `Throttled` if the service
    said how long to wait, or if its limits end within seconds (Work IQ). False for all others:

    - A turn that may be paid for (`may_be_charged`) would be paid for twice.
    - A request, a credential or a captcha fails again.
    - A quota of ChatHub without `Retry-After` (a result `Throttled`, HTTP 404 at creation) is counted in hours, and
      more requests make it worse.
    - A `ProtocolError` means that the server is not what we expect.
    - After `SessionExpired`, the owner of the conversation must decide.
    """
    return isinstance(exc, BingError) and _may_pass(exc, exc.metering) and not exc.may_be_charged


def rule_for(error: BingError) -> RetryRule:
    """The row of the table for an error. A class that is not ours has the row of its nearest base class."""
    return next((RETRY_TABLE[kind] for kind in type(error).__mro__ if kind in RETRY_TABLE), RetryRule())


def _is_refusal(error: BingError) -> bool:
    """Whether the service did nothing about the turn: only a fault leaves that open, and what comes in an answer."""
    return not (isinstance(error, ServiceFault) or error.begun)


def _may_be_charged(error: BingError, *, sent: bool, metering: Metering) -> bool:
    return metering.metered and sent and not _is_refusal(error)


def _may_pass(error: BingError, metering: Metering) -> bool:
    if isinstance(error, ServiceFault) and error.permanent:
        return False
    if isinstance(error, Throttled) and error.retry_after is None:
        return metering.throttling_passes
    return rule_for(error).transient
