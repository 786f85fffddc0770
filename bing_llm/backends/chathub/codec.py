"""Records to frames and back. Any record gives a frame or a ProtocolError."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.framing import SEPARATOR
from bing_llm.backends.json_size import check_values
from bing_llm.errors import ProtocolError

__all__ = ["decode_ack", "decode_client", "decode_handshake", "decode_json", "decode_server", "encode"]

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_ack: msgspec.json.Decoder[frames.HandshakeAck] = msgspec.json.Decoder(frames.HandshakeAck)
_handshake: msgspec.json.Decoder[frames.HandshakeRequest] = msgspec.json.Decoder(frames.HandshakeRequest)
_server: msgspec.json.Decoder[frames.ServerFrame] = msgspec.json.Decoder(
    frames.Update | frames.Final | frames.Completion | frames.Ping | frames.Close
)
_client: msgspec.json.Decoder[frames.ClientFrame] = msgspec.json.Decoder(frames.Chat | frames.Invocation | frames.Ping)

# Types whose loss would lose a turn: without the known shape, the protocol is not the one we speak.
_SERVER_ESSENTIAL = {2, 3, 7}
_CLIENT_ESSENTIAL = {4}


def encode(*items: frames.ServerFrame | frames.ClientFrame) -> bytes:
    """The wire form of these frames, each ended by the separator; to be sent as one WebSocket message."""
    return b"".join(_encoder.encode(_payload(item)) + SEPARATOR for item in items)


def _payload(item: frames.ServerFrame | frames.ClientFrame) -> Any:
    return item.raw if isinstance(item, frames.UnknownFrame) else item


def decode_ack(record: bytes) -> frames.HandshakeAck | frames.Close:
    """The server's answer to the handshake, or its word that it closes instead.

    Raises:
        ProtocolError: The record is neither.
    """
    value = decode_json(record)
    if not (isinstance(value, dict) and "type" in value):
        return _typed(_ack, record)
    frame = decode_server(record)
    if not isinstance(frame, frames.Close):
        msg = "The service sent a frame before it answered the handshake."
        raise ProtocolError(msg)
    return frame


def decode_handshake(record: bytes) -> frames.HandshakeRequest:
    """The client's handshake.

    Raises:
        ProtocolError: The record is no handshake.
    """
    return _typed(_handshake, record)


def decode_server(record: bytes) -> frames.ServerFrame:
    """A frame from the server.

    One of an unknown type, and one of type 1 with an unknown target or shape, is an `UnknownFrame`.

    Raises:
        ProtocolError: The record is not a JSON object, has too many values, or a final, completion or close frame has
            another shape.
    """
    check_values(record)
    try:
        frame = _server.decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return _unknown(record, _SERVER_ESSENTIAL, exc)
    if isinstance(frame, frames.Update) and frame.target != "update":
        return frames.UnknownFrame(decode_json(record))
    return frame


def decode_client(record: bytes) -> frames.ClientFrame:
    """A frame from a client, after its handshake.

    Raises:
        ProtocolError: The record is not a JSON object, has too many values, or a chat request has another shape.
    """
    check_values(record)
    try:
        return _client.decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return _unknown(record, _CLIENT_ESSENTIAL, exc)


def decode_json(record: bytes | str | msgspec.Raw) -> Any:
    """Any JSON.

    Raises:
        ProtocolError: The text is not JSON, or has too many values.
    """
    return _typed(_any, record)


def _typed(decoder: msgspec.json.Decoder[T], record: bytes | str | msgspec.Raw) -> T:
    if isinstance(record, bytes | str):  # what is raw is part of a record
        check_values(record)
    try:
        return decoder.decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        msg = f"The other side sent a record that does not parse: {exc}."
        raise ProtocolError(msg) from exc


def _unknown(record: bytes, essential: set[int], cause: Exception) -> frames.UnknownFrame:
    raw = decode_json(record)
    if not isinstance(raw, dict):
        msg = f"The other side sent a JSON {type(raw).__name__} where a frame, an object, must be."
        raise ProtocolError(msg) from cause
    kind = raw.get("type")
    if isinstance(kind, int) and kind in essential:
        msg = f"The other side sent a frame of type {kind} with another shape than it has: {cause}."
        raise ProtocolError(msg) from cause
    return frames.UnknownFrame(raw)
