"""Frames as the service fills them: cards, the fields that the client does not read, and how errors are reported.

Shapes follow the recordings 02, 03, 05 (messages, final frame) and 04, 08, 10 (refusals), and errors of turns and
creations docs/protocol/chathub.md, sections a, b, e and f.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web

from bing_llm import errors
from bing_llm.backends.chathub import frames
from bing_llm.emulator.faults import Cut, Raw, Silence

# The service's version as recorded last (02); nothing reads it.
SERVICE_VERSION = "20240203.114"


class Message(frames.WireMessage, kw_only=True):
    """One message with all that the service puts into it."""

    created_at: str | None = None
    timestamp: str | None = None
    request_id: str | None = None
    offense: str | None = None
    source_attributions: msgspec.Raw = msgspec.Raw()
    from_: dict[str, object] | None = msgspec.field(name="from", default=None)
    locale: str | None = None
    market: str | None = None
    region: str | None = None
    location_hints: list[dict[str, object]] | None = None
    nlu: dict[str, object] | None = None
    feedback: dict[str, object] | None = None
    input_method: str | None = None
    spoken_text: str | None = None


class UpdateArguments(frames.UpdateArguments, kw_only=True):
    """What one update brings, and which request it answers."""

    request_id: str | None = None


class TurnCursor(frames.Cursor, kw_only=True):
    """`p` was -1 in every cursor that was recorded (docs/protocol/chathub.md, section e)."""

    p: int | None = None


class Item(frames.FinalItem, kw_only=True):
    """The item of a final frame."""

    should_initiate_conversation: bool | None = None
    telemetry: dict[str, object] | None = None


class RefusedItem(frames.FinalItem, kw_only=True, omit_defaults=False):
    """The item of a refusal. The service writes these fields as null and leaves `messages` and `throttling` out."""

    messages: Any = msgspec.UNSET
    throttling: Any = msgspec.UNSET
    conversation_expiry_time: Any = msgspec.UNSET
    default_chat_name: str | None = None
    telemetry: dict[str, object] | None = None


def raw(value: object) -> msgspec.Raw:
    """A field whose shape the client does not type."""
    return msgspec.Raw(msgspec.json.encode(value))


def card(*blocks: dict[str, object]) -> msgspec.Raw:
    """The `adaptiveCards` of a message, with these blocks as the body of its one card."""
    return raw([{"type": "AdaptiveCard", "version": "1.0", "body": blocks}])


def subtle_card(text: str) -> msgspec.Raw:
    """The card of a message that is not the answer: a RichTextBlock, so `body[0]` has no text."""
    run = {"type": "TextRun", "isSubtle": True, "italic": True, "text": text}
    return card({"type": "RichTextBlock", "inlines": [run]})


def text_blocks(text: str, learn_more: str) -> Sequence[dict[str, object]]:
    """The blocks of an answer's card, with the line of links below if there are any."""
    answer = {"type": "TextBlock", "text": text, "wrap": True}
    links = {"type": "TextBlock", "size": "small", "text": learn_more, "wrap": True}
    return (answer, links) if learn_more else (answer,)


def feedback() -> dict[str, object]:
    """Nobody has rated this message."""
    return {"tag": None, "updatedOn": None, "type": "None"}


# --- errors of turns -------------------------------------------------------------------------------------------------

Breakage: TypeAlias = Cut | Silence | Raw
"""The ways in which a turn breaks off without a final frame."""

_BREAKAGES: dict[type[errors.BingError], Breakage] = {
    errors.PromptTooLong: Cut("close 1000"),
    errors.ConnectionLost: Cut("abort"),
    errors.TimedOut: Silence(),
    errors.ProtocolError: Raw('{"type":1,"target":"update","arguments":[{"messages":['),
}

# value, message, and `error` where the recordings have one (04, 08, 10).
_RESULTS: dict[type[errors.BingError], tuple[str, str, str | None]] = {
    errors.Throttled: ("Throttled", "Request is throttled.", "Request is throttled."),
    errors.CaptchaRequired: ("CaptchaChallenge", "User needs to solve CAPTCHA to continue.", "CaptchaChallenge"),
    errors.SessionExpired: ("InvalidSession", "The conversation doesn't exist or has expired.", None),
    errors.Unauthorized: ("UnauthorizedRequest", "Cannot retrieve user status.", "UnauthorizedRequest"),
    errors.InvalidRequest: ("InvalidRequest", "The request is invalid.", "InvalidRequest"),
    errors.ConversationBusy: ("ProcessingMessage", "A message is being processed.", "ProcessingMessage"),
    errors.ServiceError: ("InternalError", "Unhandled Dependency Failure: DeepLeo", "InternalError"),
}

_MODERATION = (errors.ContentFiltered, errors.ConversationEnded, errors.TurnLimitReached)

PLAYABLE: Final[tuple[type[errors.BingError], ...]] = (*_RESULTS, *_MODERATION, *_BREAKAGES)
"""The errors that a turn of the service ends with."""


def breakage_of(error: errors.BingError) -> Breakage | None:
    """How the error breaks off the turn; None if a frame reports the error."""
    return _BREAKAGES.get(type(error))


def is_refusal(error: errors.BingError) -> bool:
    """Whether a result refuses the turn. A refused turn does not count in the conversation."""
    return type(error) in _RESULTS


def result_of(error: errors.BingError) -> frames.Result:
    """The result that reports the error. If the error has a `value` or a message, they replace the usual ones.

    A `retry_after` is a field of ours, since the service has none.
    """
    value, message, code = _RESULTS[type(error)]
    said = error.service_message or error.message or message
    return frames.Result(value=error.value or value, message=said, error=code, retry_after=error.retry_after)


def check_playable(error: errors.BingError) -> None:
    """Refuse an error that a turn of the service cannot end with.

    Raises:
        ConfigurationError: It is another one; the text names those that can be played.
    """
    if type(error) not in PLAYABLE:
        names = ", ".join(sorted(kind.__name__ for kind in PLAYABLE))
        msg = f"The emulator cannot play {type(error).__name__}: no turn of the service ends with it."
        raise errors.ConfigurationError(msg, hint=f"It can play {names}.")


# --- errors of creations ---------------------------------------------------------------------------------------------

_LOGIN = "Sorry, you need to login first to access this service."
_PAGE = "<!DOCTYPE html><html><body><h1>Our services aren't available right now</h1></body></html>"
_CREATION_REFUSALS = (errors.Throttled, errors.Unauthorized, errors.ServiceError, errors.ProtocolError)


def check_refusable(error: errors.BingError) -> None:
    """Refuse an error that a creation cannot end with.

    Raises:
        ConfigurationError: It is another one; the text names those that can be played.
    """
    if type(error) not in _CREATION_REFUSALS:
        names = ", ".join(sorted(kind.__name__ for kind in _CREATION_REFUSALS))
        msg = f"The emulator cannot refuse a creation with {type(error).__name__}."
        raise errors.ConfigurationError(msg, hint=f"It can play {names}.")


def creation_response(error: errors.BingError) -> web.Response:
    """The HTTP response that reports the error.

    ==================  ===============================================================================
    Throttled           status 404; with `retry_after`, status 429 and that header
    Unauthorized        `result.value` UnauthorizedRequest, or the error's own `value`
    ServiceError        status 503 and a page of HTML
    ProtocolError       status 200 and an empty body
    ==================  ===============================================================================
    """
    match error:
        case errors.Throttled(retry_after=None):
            return web.Response(status=404)
        case errors.Throttled(retry_after=seconds):
            return web.Response(status=429, headers={"Retry-After": f"{seconds:.0f}"})
        case errors.ServiceError():
            return web.Response(status=503, text=_PAGE, content_type="text/html")
        case errors.ProtocolError():
            return web.Response(status=200, content_type="application/json")
        case _:
            result = {"value": error.value or "UnauthorizedRequest", "message": error.service_message or _LOGIN}
            body = msgspec.json.encode({"result": result})
            return web.Response(body=body, content_type="application/json")
