"""What an A2A request asks, read strictly and without I/O (docs/protocol/a2a.md, sections 1 and 2)."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from bing_llm.emulator.workiq.requests import ChatBody, ContextMessage, LocationHint, TurnMessage, is_time_zone

Method: TypeAlias = Literal["SendMessage", "SendStreamingMessage", "SubscribeToTask", "GetTask", "CancelTask"]

VERSION = "1.0"

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, BAD_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
NO_TASK, NOT_CANCELABLE, UNSUPPORTED, NO_VERSION = -32001, -32002, -32004, -32009

_SPOKEN = f"A2A {VERSION} is spoken here: send the header A2A-Version: {VERSION}, and the methods of that version."

# A message that goes on with others may be headed as they are.
_LAST_HEADER = re.compile(r"(?:.*\n)?\[user\]\(#message\)\n", re.DOTALL)


class RpcError(Exception):
    """A JSON-RPC error: its code and its message."""

    def __init__(self, code: int, message: str, request_id: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


class Call(msgspec.Struct, frozen=True):
    """A request: its id, which the response repeats, what it asks, and of what."""

    id: str | int
    method: Method
    params: msgspec.Raw


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Unknown fields are ignored, as by the services of the specification."""


class _Part(_Wire, frozen=True):
    text: str | msgspec.UnsetType = msgspec.UNSET
    url: str | msgspec.UnsetType = msgspec.UNSET
    raw: str | msgspec.UnsetType = msgspec.UNSET
    data: Any = msgspec.UNSET

    @property
    def kinds(self) -> int:
        values = (self.text, self.url, self.raw, self.data)
        return sum(value is not msgspec.UNSET for value in values)


class _Location(_Wire, frozen=True):
    time_zone: str | None = None
    time_zone_offset: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="pascal"):
    location: _Location = _Location()


class _Message(_Wire, frozen=True):
    message_id: str
    role: Literal["ROLE_USER"]
    parts: list[_Part]
    context_id: str = ""
    task_id: str = ""
    metadata: _Metadata = _Metadata()


class _SendParams(_Wire, frozen=True):
    message: _Message


class _TaskParams(_Wire, frozen=True):
    id: str


class Sent(msgspec.Struct, frozen=True):
    """A message: what it says, in the form of REST, and where it belongs."""

    chat: ChatBody
    context_id: str
    task_id: str


def read_call(body: bytes, version: str | None) -> Call:
    """The request in a body.

    Args:
        body: The body.
        version: The header `A2A-Version`; None for none, which means version 0.3.

    Raises:
        RpcError: It is not one of version 1.0.
    """
    try:
        given = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {exc}") from exc
    request_id = given.get("id") if isinstance(given, dict) else None
    if not isinstance(request_id, str | int) or isinstance(request_id, bool):
        raise RpcError(INVALID_REQUEST, "The request is not a JSON-RPC 2.0 call with an id.")
    if given.get("jsonrpc") != "2.0" or not isinstance(given.get("method"), str):
        raise RpcError(INVALID_REQUEST, "The request is not a JSON-RPC 2.0 call with a method.", request_id)
    if version is not None and version.strip().split(".")[:2] != VERSION.split("."):
        raise RpcError(NO_VERSION, f"Version {version} is not supported. {_SPOKEN}", request_id)
    method = given["method"]
    if version is None or method not in get_args(Method):
        # As Work IQ answers names of 1.0 without the header.
        raise RpcError(NO_METHOD, f"Method not found: {method}. {_SPOKEN}", request_id)
    return Call(request_id, method, msgspec.Raw(msgspec.json.encode(given.get("params", {}))))


def read_message(call: Call) -> Sent:
    """The message of a turn.

    Raises:
        RpcError: It is not valid.
    """
    message: _Message = _read(call, _SendParams).message
    if not message.message_id:
        raise RpcError(BAD_PARAMS, "The message has no messageId.", call.id)
    if not message.parts or any(part.kinds != 1 for part in message.parts):
        raise RpcError(BAD_PARAMS, "Each part of a message has one of text, url, raw and data.", call.id)
    text = "".join(part.text for part in message.parts if isinstance(part.text, str))
    if not text:
        raise RpcError(BAD_PARAMS, "The message has no text.", call.id)
    zone = message.metadata.location.time_zone
    if zone is not None and not is_time_zone(zone):
        raise RpcError(BAD_PARAMS, f"The time zone '{zone}' is not an IANA name.", call.id)
    return Sent(_chat(text, zone or "UTC"), message.context_id, message.task_id)


def read_task_id(call: Call) -> str:
    """The task that a call is about.

    Raises:
        RpcError: It names none.
    """
    params: _TaskParams = _read(call, _TaskParams)
    return params.id


def _read(call: Call, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(call.params, type=kind)
    except msgspec.MsgspecError as exc:
        raise RpcError(BAD_PARAMS, f"The parameters are not valid: {exc}", call.id) from exc


def _chat(text: str, zone: str) -> ChatBody:
    """The message, with what goes before its last header as its context."""
    header = _LAST_HEADER.match(text)
    before, said = ("", text) if header is None else (text[: header.end()], text[header.end() :])
    context = before.removesuffix("[user](#message)\n")
    return ChatBody(
        message=TurnMessage(said),
        location_hint=LocationHint(zone),
        additional_context=[ContextMessage(context)] if context else None,
    )
