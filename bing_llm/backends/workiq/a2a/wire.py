"""The wire of A2A: JSON-RPC requests, responses and errors as typed data (docs/protocol/a2a.md).

Tolerant, as `bing_llm.backends.workiq.snapshots`: only what a turn cannot do without has a type.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from bing_llm import errors
from bing_llm.backends.json_text import decode, decode_or_none, text_in
from bing_llm.messages import Message as HistoryMessage
from bing_llm.messages import Prompt, convert

VERSION_HEADERS: Final = {"A2A-Version": "1.0"}
"""Without it, a server speaks version 0.3 and does not know our methods (section 1)."""

Method: TypeAlias = Literal["SendMessage", "SendStreamingMessage", "SubscribeToTask", "GetTask", "CancelTask"]


class _Wire(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """A JSON object of the wire; absent, null and default are the same."""


class Part(_Wire, frozen=True):
    """A piece of a message or an artifact: one of `text`, `url`, `raw` and `data`; bytes (`raw`) are left out."""

    text: str | None = None
    url: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    media_type: str | None = None
    filename: str | None = None


def text_of(parts: Iterable[Part | None] | None) -> str:
    """The text of some parts."""
    return "".join(part.text for part in parts or () if part is not None and part.text)


class Artifact(_Wire, frozen=True):
    """A piece of a task's output."""

    artifact_id: str | None = None
    name: str | None = None
    parts: list[Part | None] | None = None
    metadata: msgspec.Raw = msgspec.Raw()


class Message(_Wire, frozen=True):
    """What an agent says: an answer of its own, or the words of a status."""

    message_id: str | None = None
    context_id: str | None = None
    parts: list[Part | None] | None = None
    metadata: msgspec.Raw = msgspec.Raw()


class Status(_Wire, frozen=True):
    """The state of a task, with the agent's words."""

    state: str | None = None
    message: Message | None = None
    timestamp: str | None = None

    @property
    def words(self) -> str:
        """What the agent says with it; "" for nothing."""
        return "" if self.message is None else text_of(self.message.parts)


class Task(_Wire, frozen=True):
    """A task with all that it has."""

    id: str | None = None
    context_id: str | None = None
    status: Status | None = None
    artifacts: list[Artifact | None] | None = None


class ArtifactUpdate(_Wire, frozen=True):
    """A new artifact, or more of one."""

    task_id: str | None = None
    context_id: str | None = None
    artifact: Artifact | None = None
    append: bool | None = None


class StatusUpdate(_Wire, frozen=True):
    """A new status."""

    task_id: str | None = None
    context_id: str | None = None
    status: Status | None = None


class Result(_Wire, frozen=True):
    """One result of a turn: one of these. The response of `GetTask` is a task itself, without a name."""

    task: Task | None = None
    message: Message | None = None
    artifact_update: ArtifactUpdate | None = None
    status_update: StatusUpdate | None = None
    id: str | None = None
    context_id: str | None = None
    status: Status | None = None
    artifacts: list[Artifact | None] | None = None

    @property
    def event(self) -> Task | Message | ArtifactUpdate | StatusUpdate | None:
        """What it holds; None for something unknown."""
        if self.id is not None and self.status is not None:
            return Task(id=self.id, context_id=self.context_id, status=self.status, artifacts=self.artifacts)
        return self.task or self.message or self.artifact_update or self.status_update


class Response(_Wire, frozen=True):
    """A JSON-RPC response."""

    result: Result | None = None
    error: msgspec.Raw = msgspec.Raw()


_response: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)


def decode_response(data: str | bytes) -> Response:
    """The response that a JSON text holds.

    Raises:
        ProtocolError: It is not a JSON object, has too many values, or a part that a turn cannot do without has another
            type.
    """
    return decode(_response, data, "an event that is not a JSON-RPC response")


# --- requests ---------------------------------------------------------------------------------------------------------


def message_request(
    prompt: Prompt,
    *,
    streaming: bool,
    context_id: str = "",
    task_id: str = "",
    time_zone: str | None = None,
    now: float,
) -> dict[str, object]:
    """The request of a turn (section 2).

    Args:
        prompt: What to say. There is no field for context, so it goes before the text, as earlier messages do.
        streaming: Whether the answer may come in pieces.
        context_id: The conversation; "" for a new one.
        task_id: The task that waits for this message; "" for none.
        time_zone: The user's, by its IANA name.
        now: The time, in seconds since 1970, for the offset of the time zone.
    """
    message: dict[str, object] = {
        "role": "ROLE_USER",
        "messageId": str(uuid.uuid4()),
        "parts": [{"text": _text(prompt)}],
    }
    if time_zone is not None:
        message["metadata"] = {"Location": _location(time_zone, now)}
    if context_id:
        message["contextId"] = context_id
    if task_id:
        message["taskId"] = task_id
    return _request("SendStreamingMessage" if streaming else "SendMessage", {"message": message})


def task_request(method: Method, task_id: str) -> dict[str, object]:
    """A request about a task."""
    return _request(method, {"id": task_id})


def _request(method: Method, params: dict[str, object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": method, "params": params}


def _text(prompt: Prompt) -> str:
    if not prompt.context:
        return prompt.text
    context = prompt.context.rstrip("\n") + "\n\n"
    return context + convert([HistoryMessage("user", prompt.text)]).removesuffix("\n\n")


def _location(time_zone: str, now: float) -> dict[str, object]:
    """The time zone, and its offset in minutes east of UTC where this machine knows it."""
    try:
        offset = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(time_zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):  # Windows has no zones of its own for Python
        offset = None
    minutes = {} if offset is None else {"timeZoneOffset": round(offset.total_seconds() / 60)}
    return {**minutes, "timeZone": time_zone}


# --- errors (section 4) -----------------------------------------------------------------------------------------------

PLACE_HINT: Final = "Check the agent's id and the endpoint: on Work IQ its path is /a2a/."
"""The hint where an HTTP status says that nothing answers there."""
_VERSION_HINT = (
    "Check the endpoint: it must speak version 1.0 of the Agent2Agent protocol; on Work IQ, its path is /a2a/."
)
_GONE_HINT = "Create a new conversation and send the history as context."

_TASK_NOT_FOUND, _UNSUPPORTED = -32001, -32004

_KINDS: Final[dict[int, tuple[type[errors.BingError], str | None]]] = {
    -32700: (errors.ProtocolError, _VERSION_HINT),  # what we sent is not JSON, or
    -32600: (errors.ProtocolError, _VERSION_HINT),  # not JSON-RPC as this server knows it
    -32601: (errors.ProtocolError, _VERSION_HINT),
    -32602: (errors.InvalidRequest, None),
    -32603: (errors.ServiceError, None),
    _TASK_NOT_FOUND: (errors.SessionExpired, _GONE_HINT),  # the one that our message goes on with
    _UNSUPPORTED: (errors.InvalidRequest, None),  # also of a task that has ended
    -32005: (errors.InvalidRequest, None),  # the type of the content is not
    -32008: (errors.InvalidRequest, None),  # the agent wants an extension that we do not have
    -32009: (errors.ProtocolError, _VERSION_HINT),
}
"""The errors of A2A by their codes, with their hints; None for the hint of the error itself."""
_OTHERS: Final[tuple[type[errors.BingError], str | None]] = (errors.ServiceError, None)
_HIGHEST_CODE = 10**9  # a higher one is left out of messages; codes of JSON-RPC have five digits


def error_in(response: Response, what: str, *, of_a_task: bool = False) -> errors.BingError | None:
    """The error that a response stands for; None for none.

    Args:
        response: The response.
        what: What was asked for, for the message: "the turn".
        of_a_task: Whether the message went on with a task, which may have ended since.
    """
    error: Any = decode_or_none(response.error)
    if error is None:
        return None
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    code, said = fields.get("code"), text_in(fields, "message")
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) > _HIGHEST_CODE:
        code = None
    value = None if code is None else str(code)
    kind, hint = _OTHERS if code is None else _KINDS.get(code, _OTHERS)
    if of_a_task and code == _UNSUPPORTED:
        kind, hint = _KINDS[_TASK_NOT_FOUND]
    words = ": ".join(part for part in (value, said.strip().rstrip(".")) if part)
    msg = f"The service answered {what} with a JSON-RPC error{f' ({words})' if words else ''}."
    return kind(msg, hint=hint, value=value, service_message=said or None)
