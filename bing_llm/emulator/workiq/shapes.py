"""What Work IQ answers: conversations, messages and errors (docs/protocol/workiq.md, sections 5, 7 and 12).

It reports an error by a status, by an event, or by breaking off:

=================  ===================================================================================================
Unauthorized       status 401; with value "insufficient_claims" and the challenge of conditional access, whose claims
                   are the `service_message`; with value "403" that status, and where it has a `service_message`, in
                   place of an error a conversation whose last message says it; with value "scopes" status 403 and the
                   scopes that nobody has consented to
Throttled          status 429, with `Retry-After` where it has a `retry_after`
InvalidRequest     status 400
PromptTooLong      status 413
SessionExpired     status 404; with value "400", "409" or "410" that status
ConversationBusy   status 409
TurnLimitReached   status 400; with value "404" or "409" that status
ServiceError       status 500; with value "502", "503" or "504" that status
ConnectionLost     the connection breaks; with any value, the stream ends as if it were complete
TimedOut           nothing comes any more, until the client leaves
ProtocolError      JSON that is torn
=================  ===================================================================================================

An error that is the first of a turn is that status. One that comes later in a stream is an event
`{"error": {"code", "message"}}`. Any other `value` is the code; `service_message`, or else the error's
own words, is the message.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bing_llm import errors
from bing_llm.emulator.chathub.shapes import Breakage
from bing_llm.emulator.faults import Cut, Raw, Silence
from bing_llm.emulator.wire import new_id, timestamp
from bing_llm.events import Citation

INTERMEDIATE = "Intermediate Conversation Update"
"""The display name in every event of a stream but the last."""

JsonObject: TypeAlias = dict[str, Any]
"""A conversation, a message or a part of one, to be written as JSON."""

ConversationState: TypeAlias = Literal["active", "disengagedForRai"]

_REFERENCE_TYPE = "#microsoft.graph.copilotConversationReference"
_MESSAGE_TYPE = "#microsoft.graph.copilotConversationResponseMessage"
_NOTE = re.compile(r"\[\^(\d{1,6})\^\]")
_IN_NO_LINK = str.maketrans({sign: f"%{ord(sign):02X}" for sign in " ()<>"})
_ENTITY = re.compile(r"<(Event|File|Person)>([^<]{1,200})</\1>")
_NO_LABEL = dict.fromkeys(("sensitivityLabelId", "displayName", "tooltip", "priority", "color", "isEncrypted"))


def conversation(
    conversation_id: str,
    *,
    name: str,
    turns: int,
    messages: Sequence[Mapping[str, object]] | None,
    created: float,
    state: ConversationState = "active",
    agent_id: object = None,
) -> JsonObject:
    """A copilotConversation.

    Args:
        conversation_id: Its id.
        name: Its display name.
        turns: Its turns.
        messages: Those of the latest turn; None leaves the field out.
        created: When it was made, in seconds since 1970.
        state: Whether it goes on.
        agent_id: None for Copilot itself.
    """
    made = {
        "id": conversation_id,
        "agentId": agent_id,
        "createdDateTime": timestamp(created, "Z"),
        "displayName": name,
        "state": state,
        "turnCount": turns,
    }
    return made if messages is None else {**made, "messages": messages}


def message(
    message_id: str,
    text: str,
    *,
    created: float,
    attributions: Iterable[Mapping[str, object]] = (),
    references: Mapping[str, object] | None = None,
    with_card: bool = False,
    label: object = None,
) -> JsonObject:
    """A message. That of the user has the same type as that of the service.

    Args:
        message_id: Its id.
        text: Markdown.
        created: When it was made, in seconds since 1970.
        attributions: What it rests on, as the documents have it. Empty in every live answer (section 12).
        references: What it rests on, as live answers have it; None leaves the field out.
        with_card: Whether it has a card, which repeats the text.
        label: Its sensitivity label; None for the empty one.
    """
    block = {"type": "TextBlock", "text": text, "wrap": True}
    return {
        "@odata.type": _MESSAGE_TYPE,
        "id": message_id,
        "text": text,
        "createdDateTime": timestamp(created, "Z"),
        "adaptiveCards": [{"type": "AdaptiveCard", "version": "1.0", "body": [block]}] if with_card else [],
        "attributions": list(attributions),
        **({} if references is None else {"references": references}),
        # An answer that rests on nothing with a label has a label without values (section 12).
        "sensitivityLabel": _NO_LABEL if label is None else label,
    }


def marked_url(citation: Citation) -> str:
    """The URL of a marker, which ends in the key of its reference (section 12)."""
    url = citation.url.translate(_IN_NO_LINK)
    return url if urlsplit(url).fragment else f"{url}#{_key_of(citation)}"


def references(citations: Sequence[Citation], text: str) -> JsonObject:
    """The map of references of a live answer (section 12).

    Its order was seen to be that of the numbers, reversed. Some URLs have the key, some do not, and there is no title.
    """
    cited = {int(found) for found in _NOTE.findall(text)}
    ordered = sorted(citations, key=lambda citation: citation.number, reverse=True)
    return {
        _key_of(citation): {
            "@odata.type": _REFERENCE_TYPE,
            "targetLink": marked_url(citation) if citation.number % 2 else citation.url.translate(_IN_NO_LINK),
            "isCitedInResponse": citation.number in cited,
            "sensitivityLabel": _NO_LABEL,
        }
        for citation in ordered
    }


def _key_of(citation: Citation) -> str:
    fragment = urlsplit(citation.url).fragment
    return fragment or hashlib.sha256(f"{citation.number} {citation.url}".encode()).hexdigest()[:6]


def attribution(citation: Citation) -> JsonObject:
    """The source that a marker refers to."""
    return _attribution("citation", "grounding", citation.title, citation.url)


def entity_links(text: str) -> list[JsonObject]:
    """The links of the people, events and files that the text names."""
    names = dict.fromkeys(found[2] for found in _ENTITY.finditer(text))
    return [_attribution("annotation", "model", name, "") for name in names]


def _attribution(kind: str, source: str, name: str, url: str) -> JsonObject:
    return {
        "attributionType": kind,
        "attributionSource": source,
        "providerDisplayName": name,
        "seeMoreWebUrl": url,
        "imageWebUrl": "",
        "imageFavIcon": "",
        "imageWidth": 0,
        "imageHeight": 0,
    }


# --- errors ----------------------------------------------------------------------------------------------------------

TORN = '{"id":"torn","messages":[{"text":"'
"""JSON that breaks off."""


class _Fault(NamedTuple):
    """The statuses that may report an error, the usual one first, with the usual code and message."""

    statuses: tuple[int, ...]
    code: str
    message: str


_FAULTS: dict[type[errors.BingError], _Fault] = {
    errors.Unauthorized: _Fault((401, 403), "InvalidAuthenticationToken", "Access token validation failure."),
    errors.Throttled: _Fault((429,), "TooManyRequests", "Too many requests. Try again later."),
    errors.InvalidRequest: _Fault((400,), "BadRequest", "The request is not valid."),
    errors.PromptTooLong: _Fault((413,), "RequestEntityTooLarge", "The message is too long."),
    errors.SessionExpired: _Fault((404, 400, 409, 410), "NotFound", "The conversation does not exist or has expired."),
    errors.ConversationBusy: _Fault((409,), "Conflict", "The conversation is processing a message."),
    errors.TurnLimitReached: _Fault((400, 404, 409), "BadRequest", "The conversation has had all its turns."),
    errors.ServiceError: _Fault((500, 502, 503, 504), "InternalServerError", "An unexpected error occurred."),
}

_FORBIDDEN = "Forbidden"
_SCOPES = "scopes"
_INSUFFICIENT = "insufficient_claims"
_CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1780000000"}}}'


def is_moderation(error: errors.BingError) -> bool:
    """Whether the state of the conversation reports the error: moderation always ends the conversation."""
    return isinstance(error, errors.ContentFiltered | errors.ConversationEnded)


def is_refusal(error: errors.BingError) -> bool:
    """Whether the turn is refused, and so does not count as a turn of the conversation."""
    return type(error) in _FAULTS


def breakage_of(error: errors.BingError) -> Breakage | None:
    """How the error breaks the turn off; None if a status reports it."""
    match error:
        case errors.ConnectionLost(value=None):
            return Cut("abort")
        case errors.ConnectionLost():
            return Cut("end")
        case errors.TimedOut():
            return Silence()
        case errors.ProtocolError():
            return Raw(TORN)
        case _:
            return None


def error_event(error: errors.BingError) -> bytes:
    """The data of the event that reports the error."""
    _, code, message = _played(error)
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def error_response(
    error: errors.BingError, request: web.Request, clock: Callable[[], float], *, conversation_id: str = ""
) -> web.Response:
    """The answer that reports the error.

    Args:
        error: An error with a status.
        request: What is answered.
        clock: The time, in seconds since 1970.
        conversation_id: The conversation that was asked for.
    """
    status, code, message = _played(error)
    headers = {}
    if status == 401:  # noqa: PLR2004 - its number is its name
        headers["WWW-Authenticate"] = _challenge(error)
    if error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:.0f}"
    request_id = new_id()
    if status == 403 and error.value != _SCOPES and error.service_message:  # noqa: PLR2004 - as above
        body = _explained(conversation_id, error.service_message, clock())
    else:
        body = _envelope(code, message, request, request_id, clock())
    return json_response(body, status=status, headers={**headers, "request-id": request_id})


def json_response(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON; bytes are sent as they are. Each has the `request-id` that support asks for."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"request-id": new_id(), **(headers or {})}
    return web.Response(body=content, status=status, content_type="application/json", headers=headers)


def _challenge(error: errors.BingError) -> str:
    """The header of a 401; conditional access says in it which claims it wants (section 12)."""
    if error.value != _INSUFFICIENT:
        return 'Bearer error="invalid_token"'
    claims = base64.b64encode((error.service_message or _CLAIMS).encode()).decode()
    authority = "https://login.microsoftonline.com/common/oauth2/authorize"
    return f'Bearer realm="", authorization_uri="{authority}", error="{_INSUFFICIENT}", claims="{claims}"'


def _played(error: errors.BingError) -> tuple[int, str, str]:
    if error.value == _INSUFFICIENT:
        return 401, "InvalidAuthenticationToken", "Continuous access evaluation wants another token."
    if error.value == _SCOPES:
        said = "Required scopes = [WorkIQAgent.Ask]."
        return 403, _FORBIDDEN, error.service_message or said
    fault = _FAULTS[type(error)]
    message = error.service_message or error.message or fault.message
    status = next((status for status in fault.statuses if str(status) == error.value), None)
    if status is None:
        return fault.statuses[0], error.value or fault.code, message
    return status, _FORBIDDEN if status == 403 else fault.code, message  # noqa: PLR2004 - as above


def _envelope(code: str, message: str, request: web.Request, request_id: str, now: float) -> dict[str, object]:
    inner = {
        "date": timestamp(now, ""),
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
    }
    return {"error": {"code": code, "message": message, "innerError": inner}}


def _explained(conversation_id: str, why: str, now: float) -> dict[str, object]:
    said = message(new_id(), why, created=now)
    return conversation(conversation_id, name="", turns=0, messages=[said], created=now)
