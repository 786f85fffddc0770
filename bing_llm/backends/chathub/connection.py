"""One ChatHub connection, without I/O: framing, decoding and the state table, for both roles.

This module follows two rules. `TRANSITIONS` has the whole state of the connection. And the module does not know what an
answer means, only which frame may come when. The client (`turn.py`) and the emulator (`session.py`) are its two roles.

==============  ==================================================================================
state           meaning
==============  ==================================================================================
NEW             nothing was sent
HANDSHAKING     the handshake was sent, its answer is awaited
REQUESTED       as HANDSHAKING, and then the chat request was sent (this saves a round trip)
STOPPED_EARLY   as REQUESTED, and then a stop was sent, before the handshake's answer came
READY           the handshake is done; no turn runs
ANSWERING       a turn runs
STOPPING        a turn runs and was asked to stop
ANSWERED        the final frame (type 2) was sent, but not yet its completion (type 3)
CLOSED          the server closed, or refused the handshake, or the socket has ended
==============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from bing_llm.backends.chathub import codec, frames
from bing_llm.backends.chathub.codec import Record, RecordReader
from bing_llm.errors import ProtocolError
from bing_llm.limits import DEFAULT_LIMITS, Limits


class Role(Enum):
    """Which end of the connection we are."""

    CLIENT = auto()
    SERVER = auto()


class State(Enum):
    """See the table in the module docstring."""

    __hash__ = object.__hash__  # that of an Enum is written in Python, and this one is looked up for each frame

    NEW = auto()
    HANDSHAKING = auto()
    REQUESTED = auto()
    STOPPED_EARLY = auto()
    READY = auto()
    ANSWERING = auto()
    STOPPING = auto()
    ANSWERED = auto()
    CLOSED = auto()


class Sentinel(Enum):
    """What `next_frame` returns when there is no frame."""

    NEED_DATA = auto()
    EOF = auto()


NEED_DATA: Final = Sentinel.NEED_DATA
EOF: Final = Sentinel.EOF

_H, _ACK = frames.HandshakeRequest, frames.HandshakeAck
_CHAT, _CALL = frames.Chat, frames.Invocation
_UPDATE, _FINAL, _DONE, _CLOSE = frames.Update, frames.Final, frames.Completion, frames.Close
_S = State

# (state, kind of frame) -> next state, no matter which end sent the frame. A frame that is not in the row of a state is
# not allowed in that state. Ping and UnknownFrame are allowed in every state but NEW, and change none; before the
# handshake's answer, only the client may send them.
TRANSITIONS: Final[dict[State, dict[type, State]]] = {
    _S.NEW: {_H: _S.HANDSHAKING},
    _S.HANDSHAKING: {_ACK: _S.READY, _CHAT: _S.REQUESTED, _CLOSE: _S.CLOSED},
    _S.REQUESTED: {_ACK: _S.ANSWERING, _CALL: _S.STOPPED_EARLY, _CLOSE: _S.CLOSED},
    _S.STOPPED_EARLY: {_ACK: _S.STOPPING, _CALL: _S.STOPPED_EARLY, _CLOSE: _S.CLOSED},
    _S.READY: {_CHAT: _S.ANSWERING, _CALL: _S.READY, _CLOSE: _S.CLOSED},
    _S.ANSWERING: {
        _UPDATE: _S.ANSWERING,
        _CALL: _S.STOPPING,
        _FINAL: _S.ANSWERED,
        _DONE: _S.READY,
        _CLOSE: _S.CLOSED,
    },
    _S.STOPPING: {
        _UPDATE: _S.STOPPING,
        _CALL: _S.STOPPING,
        _FINAL: _S.ANSWERED,
        _DONE: _S.READY,
        _CLOSE: _S.CLOSED,
    },
    _S.ANSWERED: {_UPDATE: _S.ANSWERED, _CALL: _S.ANSWERED, _DONE: _S.READY, _CLOSE: _S.CLOSED},
    _S.CLOSED: {},
}

# The handshake was sent and not answered yet.
UNANSWERED: Final = (State.HANDSHAKING, State.REQUESTED, State.STOPPED_EARLY)

_PING: Final = frames.Ping
_STATELESS = (frames.Ping, frames.UnknownFrame)


class Connection:
    """The state of one connection at one end.

    Args:
        role: Which end we are.
        limits: How much data is accepted from the other end.

    Attributes:
        receive: Takes the content of one WebSocket message. `next_frame` returns its frames.
    """

    def __init__(self, role: Role, limits: Limits = DEFAULT_LIMITS) -> None:
        self.role = role
        self.frames_received = 0  # pings left out: they show a live socket, not a live answer
        self.record: Record = b""  # of the last frame
        self._decode_server = codec.ServerDecoder().decode
        self._decode: Callable[[Record], frames.ServerFrame | frames.ClientFrame]
        self.state = State.NEW
        self._reader = RecordReader(limits)
        self._records = self._reader.records
        self.receive = self._reader.receive
        self._at_end = False

    @property
    def state(self) -> State:
        """See the table in the module docstring."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        # Looked up here, not for each frame: an Enum is slow to hash, and most frames change nothing.
        self._state = state
        self._next_states = TRANSITIONS[state]
        if self.role is Role.CLIENT:
            self._decode = codec.decode_ack if state in UNANSWERED else self._decode_server
        else:
            self._decode = codec.decode_handshake if state is State.NEW else codec.decode_client

    def send(self, *outgoing: frames.ServerFrame | frames.ClientFrame) -> bytes:
        """The wire form of these frames.

        Raises:
            ProtocolError: The frame is not allowed in this state, which is a bug of the caller.
        """
        for frame in outgoing:
            self._step(frame, "sent")
        return codec.encode(*outgoing)

    @property
    def lines(self) -> int:
        """How many records have come."""
        return self._reader.lines

    def receive_eof(self) -> None:
        """Note that the socket has ended. An incomplete last record is dropped."""
        self._at_end = True

    def next_frame(self) -> frames.ServerFrame | frames.ClientFrame | Sentinel:
        """The next frame from the other end; NEED_DATA, or EOF after the last one.

        Raises:
            ProtocolError: The record does not parse, is longer than allowed, or the frame is not allowed in this state.
        """
        records = self._records
        if not records:
            if self._reader.failure is not None:
                self.record = b""
                raise self._reader.failure
            if self._at_end:
                self.state = State.CLOSED
                return EOF
            return NEED_DATA
        record = self.record = records.popleft()
        frame = self._decode(record)
        kind = type(frame)
        if self._next_states.get(kind) is not self._state:
            self._step(frame, "received")
        if kind is not _PING:
            self.frames_received += 1
        return frame

    def _step(self, frame: frames.ServerFrame | frames.ClientFrame, participle: str) -> None:
        if isinstance(frame, _STATELESS) and self._state is not State.NEW:
            return
        after = self._next_states.get(type(frame))
        if after is None:
            msg = f"The frame {type(frame).__name__} cannot be {participle} in state {self._state.name}."
            raise ProtocolError(msg)
        refused = isinstance(frame, frames.HandshakeAck) and frame.error is not None
        self.state = State.CLOSED if refused else after
