"""Bytes to records, records to frames, and back. Any record gives a frame or a ProtocolError.

A SignalR record is a JSON text that ends with the byte 0x1E. Nothing ties records to WebSocket messages: one message
may hold several records, and a record may span messages (docs/protocol/chathub.md, section c; aspnetcore
`src/SignalR/docs/specs/HubProtocol.md`, JSON encoding).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from bing_llm.backends.chathub import frames
from bing_llm.backends.json_text import MAX_VALUES, check_values, decode, decode_json
from bing_llm.backends.known_prefix import KnownPrefix, check_whole
from bing_llm.errors import ProtocolError
from bing_llm.limits import DEFAULT_LIMITS, Limits

SEPARATOR: Final = b"\x1e"

Record: TypeAlias = bytes | memoryview
"""The text of a frame, without its separator; a view is of the beginning of its message."""

# Recordings have two records in a message. A message full of tiny ones would keep the event loop busy for minutes.
MAX_RECORDS_A_MESSAGE: Final = 10_000

_SHORT: Final = 4096  # bytes; to copy so many takes as long as to make a view

_PIECES_BEFORE_JOINING: Final = 1000  # a record in tiny pieces costs more for the pieces than for its text

_encoder = msgspec.json.Encoder()
_ack: msgspec.json.Decoder[frames.HandshakeAck] = msgspec.json.Decoder(frames.HandshakeAck)
_handshake: msgspec.json.Decoder[frames.HandshakeRequest] = msgspec.json.Decoder(frames.HandshakeRequest)
_server: msgspec.json.Decoder[frames.ServerFrame] = msgspec.json.Decoder(
    frames.Update | frames.Final | frames.Completion | frames.Ping | frames.Close
)
_decode_record = msgspec.json.Decoder(frames.ServerRecord).decode
_decode_spelled = msgspec.json.Decoder(frames.SpelledRecord).decode
_client: msgspec.json.Decoder[frames.ClientFrame] = msgspec.json.Decoder(frames.Chat | frames.Invocation | frames.Ping)


class _Holder(msgspec.Struct, gc=False):
    messages: list[frames.WireMessage] | None = None


class _WithCards(msgspec.Struct, gc=False):
    arguments: list[_Holder] = []


_with_cards = msgspec.json.Decoder(_WithCards)

_UPDATE: Final = 1
_UNREADABLE: Final = "a record that does not parse"

# Types whose loss would lose a turn: without the known shape, the protocol is not the one we speak.
_SERVER_ESSENTIAL = {2, 3, 7}
_CLIENT_ESSENTIAL = {4}


class RecordReader:
    """Cuts what comes in into records, whatever pieces it comes in.

    Args:
        limits: `frame_bytes` is the longest record that is accepted.

    Attributes:
        records: The records that have come, without their separators, to be taken from the left. Empty ones are left
            out.
        lines: How many have come in all, empty ones too.
        failure: Why nothing comes after them: a record was longer than allowed, or over 10,000 came in one message.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.records: deque[Record] = deque()
        self.failure: ProtocolError | None = None
        self.lines = 0
        self._limits = limits
        self._max = limits.frame_bytes
        self._tail: list[bytes] = []
        self._tail_bytes = 0

    def receive(self, data: bytes) -> None:
        """Take in the content of one message. What follows a failure is left out."""
        end = data.find(SEPARATOR)
        if 0 < end == len(data) - 1 <= self._max and not self._tail and self.failure is None:
            # One whole record, as nearly every message is. A long one is not copied.
            self.lines += 1
            self.records.append(data[:end] if end < _SHORT else memoryview(data)[:end])
            return
        start = count = 0
        while end >= 0 and self.failure is None:  # on a long record several times as fast as `split`
            count += 1
            if count > MAX_RECORDS_A_MESSAGE:
                msg = f"The service sent over {MAX_RECORDS_A_MESSAGE:,} records in one message."
                self._fail(ProtocolError(msg))
            else:
                self._complete(data[start:end])
            start = end + 1
            end = data.find(SEPARATOR, start)
        self.lines += count
        if start < len(data) and self.failure is None:
            self._keep(data[start:])

    def _complete(self, rest: bytes) -> None:
        """Note the end of a record, whose beginning is kept."""
        record, self._tail, self._tail_bytes = b"".join((*self._tail, rest)) if self._tail else rest, [], 0
        if len(record) > self._max:
            self._fail(self._limits.exceeded("frame_bytes", "bytes in one record"))
        elif record:
            self.records.append(record)

    def _keep(self, piece: bytes) -> None:
        """Note the beginning of a record."""
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        if len(self._tail) > _PIECES_BEFORE_JOINING:
            self._tail = [b"".join(self._tail)]
        if self._tail_bytes > self._max:
            self._fail(self._limits.exceeded("frame_bytes", "bytes in one record"))

    def _fail(self, failure: ProtocolError) -> None:
        self.failure, self._tail = failure, []


def encode(*items: frames.ServerFrame | frames.ClientFrame) -> bytes:
    """The wire form of these frames, each ended by the separator; to be sent as one WebSocket message."""
    return b"".join(_encoder.encode(_payload(item)) + SEPARATOR for item in items)


def _payload(item: frames.ServerFrame | frames.ClientFrame) -> object:
    return item.raw if isinstance(item, frames.UnknownFrame) else item


def decode_ack(record: Record) -> frames.HandshakeAck | frames.Close:
    """The server's answer to the handshake, or its word that it closes instead.

    Raises:
        ProtocolError: The record is neither.
    """
    value = decode_json(record)
    if not (isinstance(value, dict) and "type" in value):
        return decode(_ack, record, _UNREADABLE)
    frame = decode_server(record)
    if not isinstance(frame, frames.Close):
        msg = "The service sent a frame before it answered the handshake."
        raise ProtocolError(msg)
    return frame


def decode_handshake(record: Record) -> frames.HandshakeRequest:
    """The client's handshake.

    Raises:
        ProtocolError: The record is not a handshake.
    """
    return decode(_handshake, record, _UNREADABLE)


def decode_server(record: Record) -> frames.ServerFrame:
    """A frame from the server.

    One of an unknown type, and one of type 1 with an unknown target or shape, is an `UnknownFrame`.

    Raises:
        ProtocolError: The record is not a JSON object, has too many values, or a final, completion or close frame has
            another shape.
    """
    return ServerDecoder().decode(record)


class ServerDecoder:
    """Decodes the frames of one connection as `decode_server` does, and the text that they repeat only once."""

    def __init__(self) -> None:
        self._known = KnownPrefix()

    def decode(self, record: Record) -> frames.ServerFrame:
        """The next frame.

        Raises:
            ProtocolError: As `decode_server`.
        """
        if len(record) > MAX_VALUES:
            check_values(record)
        if self._known.size and (frame := self._decode_shortened(record)) is not None:
            return frame
        try:
            found = _decode_record(record)
            if found.type == _UPDATE and found.target == "update":
                if len(record) >= self._known.due:
                    self._remember(record, found.arguments)
                return frames.Update(arguments=found.arguments)
            if (other := _of_other_kind(found)) is not None:
                return other
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
        return _decode_misfit(record)

    def _decode_shortened(self, record: Record) -> frames.Update | None:
        """The update of a record that can be shortened; None if it has to be decoded as a whole."""
        known = self._known
        short = known.shorten(record)
        if short is None:
            return None
        literal, text = msgspec.Raw(), None
        try:
            found = _decode_spelled(short)
            if found.type != _UPDATE or found.target != "update":
                return None
            for holder in found.arguments:
                check_whole(holder.references)
                for message in holder.messages or ():
                    check_whole(message.suggested_responses, message.references, message.search_queries)
                    literal = message.text
                    text = known.text_of(literal) if literal else None
                    message.text = text  # type: ignore[assignment]  # it is the text from now on
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            known.give_up()
            return None
        if text:
            known.remember(short, literal, text)
        return frames.Update(arguments=found.arguments)

    def _remember(self, record: Record, holders: Sequence[frames.UpdateArguments]) -> None:
        """Remember how the last text of a record is spelled."""
        messages = holders[-1].messages if holders else None
        text = messages[-1].text if messages else None
        if text:
            spelled = _decode_spelled(record).arguments[-1].messages
            self._known.remember(record, spelled[-1].text if spelled else msgspec.Raw(), text)


def _of_other_kind(record: frames.ServerRecord) -> frames.ServerFrame | None:
    """The frame of a record that is not an update; None if it lacks a part, or its kind is not known."""
    match record.type:
        case 2 if record.item is not None:
            return frames.Final(record.item, record.invocation_id)
        case 3:
            return frames.Completion(record.invocation_id, record.error)
        case 6:
            return frames.Ping()
        case 7:
            return frames.Close(record.error, record.allow_reconnect)
        case _:
            return None


def _decode_misfit(record: Record) -> frames.ServerFrame:
    """A record whose fields are not those of all kinds together: it may still be one of its own kind."""
    try:
        return _server.decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return _unknown(record, _SERVER_ESSENTIAL, exc)


def messages_with_cards(record: Record) -> list[frames.WireMessage]:
    """The messages of an update in their order, with their cards and without their texts."""
    holders = _with_cards.decode(record).arguments
    return [message for holder in holders for message in holder.messages or ()]


def decode_client(record: Record) -> frames.ClientFrame:
    """A frame from a client, after its handshake.

    Raises:
        ProtocolError: The record is not a JSON object, has too many values, or a chat request has another shape.
    """
    check_values(record)
    try:
        return _client.decode(record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return _unknown(record, _CLIENT_ESSENTIAL, exc)


def _unknown(record: Record, essential: set[int], cause: Exception) -> frames.UnknownFrame:
    raw = decode_json(record)
    if not isinstance(raw, dict):
        msg = f"The other side sent a JSON {type(raw).__name__} where a frame, an object, must be."
        raise ProtocolError(msg) from cause
    kind = raw.get("type")
    if isinstance(kind, int) and kind in essential:
        msg = f"The other side sent a frame of type {kind} with another shape than it has: {cause}."
        raise ProtocolError(msg) from cause
    return frames.UnknownFrame(raw)
