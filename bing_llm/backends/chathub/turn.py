"""The client's side of one turn, without I/O: what to send, and the events of what came.

`handshake`, `ask`, `stop` and `ping` give what to send; `receive` and `receive_eof` take in what came; `next_event`
gives what it means; `state` is that of the connection.
"""

from __future__ import annotations

from typing import Final, assert_never

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.answer import AnswerReader
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.chathub.connection import NEED_DATA, UNANSWERED, Connection, Role, Sentinel, State
from bing_llm.limits import DEFAULT_LIMITS, Limits

# SignalR servers presume a client gone after 30 s without a word; its own clients ping each 15 s.
PING_SECONDS: Final = 15.0

# An over-long context is answered by closing with code 1000 and no word (seen at about 8,000 and 17,000 tokens). Below
# this many characters of prompt and context, such a close cannot mean that.
SILENT_REFUSAL_CHARACTERS: Final = 4000
_NORMAL_CLOSURE = 1000
_FRAMES_AT_ONCE: Final = 32
_ABNORMAL_CLOSURE = 1006  # what a WebSocket library reports when no close frame came


class Turn:
    """One turn on one connection. Implements `bing_llm.backends.channel.TurnProtocol`.

    Args:
        limits: How much is taken of what the service sends.
    """

    separator: Final = SEPARATOR
    ping_seconds: Final = PING_SECONDS
    silence_from_start: Final = True

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._connection = Connection(Role.CLIENT, limits)
        self._reader = AnswerReader(limits)
        self._events = self._reader.events
        self.receive = self._connection.receive  # what one WebSocket message held
        self._next_frame = self._connection.next_frame
        self._update = self._reader.update
        self._failure: errors.BingError | None = None
        self._invocation_id = ""
        self._asked_characters = 0
        self._completed = False
        self._close_code: int | None = None

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._connection.state

    @property
    def shaking_hands(self) -> bool:
        """Whether the handshake was sent and is not answered yet."""
        return self._connection.state in UNANSWERED

    @property
    def completed(self) -> bool:
        """Whether `TurnCompleted` was given."""
        return self._completed

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._reader.text

    @property
    def lines(self) -> int:
        """How many records have come."""
        return self._connection.lines

    @property
    def progress(self) -> int:
        """How many frames came, pings left out."""
        return self._connection.frames_received

    def handshake(self) -> bytes:
        """The wire form of the handshake alone, for a connection that is opened before there is a request."""
        return self._connection.send(frames.HANDSHAKE)

    def ask(self, chat: frames.Chat) -> bytes:
        """The wire form of what opens the turn: the request, and the handshake with it, which saves a round trip.

        A server that reads its input as a stream of records, as the protocol asks, takes both from one message.
        """
        self._invocation_id = chat.invocation_id
        self._reader.conversation_id = chat.arguments[0].conversation_id or ""
        self._asked_characters = sum(arguments.characters for arguments in chat.arguments)
        handshake = (frames.HANDSHAKE,) if self.state is State.NEW else ()
        return self._connection.send(*handshake, chat)

    def stop(self) -> bytes:
        """The wire form of what asks the service to end the answer (target `stop`); empty on a closed connection."""
        if self.state is State.CLOSED:
            return b""
        data = self._connection.send(frames.Invocation("stop", self._invocation_id, [{}]))
        self._reader.stopped = True
        return data

    def ping(self) -> bytes:
        """The wire form of a keep-alive."""
        return self._connection.send(frames.Ping())

    def receive_eof(self, code: int | None) -> None:
        """Take in that the socket is at its end, with this WebSocket close code; None where none came."""
        self._close_code = code
        self._connection.receive_eof()

    def cut_short(self) -> ev.TurnCompleted:
        """End a stopped turn here, for a service that does not answer the stop: what had come is the answer."""
        self._completed = True
        return self._reader.cut_short()

    def next_event(self) -> ev.Event | None:
        """The next event, None where more must come first.

        Raises:
            BingError: The turn failed; the same error again when called again.
        """
        events = self._events
        while not events:
            if self._failure is not None:
                raise self._failure
            if self._completed or not self._read():
                return None
        event = events.popleft()
        if isinstance(event, ev.TurnCompleted):
            self._completed = True
        return event

    def _read(self) -> bool:
        """Add the events of the frames that have come, up to one that may end the turn; whether there were any frames.

        Of some frames at once: those who take the events run faster where no frame is decoded between two of them.
        """
        next_frame, update, connection = self._next_frame, self._update, self._connection
        frame = None
        try:
            for _ in range(_FRAMES_AT_ONCE):
                frame = next_frame()
                if isinstance(frame, frames.Update):
                    update(frame, connection.record)
                elif frame is NEED_DATA:
                    break
                else:
                    self._take(frame)
                    break
        except errors.BingError as exc:
            exc.partial_text = exc.partial_text or self._reader.text
            self._failure = exc
        return frame is not NEED_DATA or bool(self._events)

    def _take(self, frame: frames.ServerFrame | frames.ClientFrame | Sentinel) -> None:
        """Add the events of one frame."""
        match frame:
            case frames.Update():
                self._update(frame, self._connection.record)
            case frames.Final():
                self._reader.final(frame.item, self._connection.record)
            case frames.Completion():
                self._reader.completion(frame)
            case frames.Close():
                self._closed(frame)
            case frames.HandshakeAck(error=error):
                if error is not None:
                    msg = f"The service refused the handshake: {error}"
                    raise errors.ProtocolError(msg, service_message=error)
            case frames.UnknownFrame(raw=raw):
                self._reader.events.append(ev.Unknown(raw))
            case frames.Ping():
                pass
            case Sentinel():
                self._lost()
            case frames.HandshakeRequest() | frames.Chat() | frames.Invocation():
                msg = "The service sent a frame that only a client may send."
                raise errors.ProtocolError(msg)
            case _:
                assert_never(frame)

    def _closed(self, close: frames.Close) -> None:
        if self._reader.stopped:
            self._reader.events.append(self._reader.cut_short())
            return
        said = close.error or "no reason given"
        msg = f"The service closed the connection before the answer was complete ({said})."
        raise errors.ConnectionLost(msg, service_message=close.error)

    def _lost(self) -> None:
        if self._reader.stopped:
            self._reader.events.append(self._reader.cut_short())
            return
        code = _ABNORMAL_CLOSURE if self._close_code is None else self._close_code
        if code == _NORMAL_CLOSURE and not self._reader.text and self._asked_characters > SILENT_REFUSAL_CHARACTERS:
            msg = (
                f"The service closed the connection without a word on {self._asked_characters:,} characters of prompt "
                f"and context, as it does when they are too long."
            )
            raise errors.PromptTooLong(msg)
        msg = f"The connection ended with code {code} before the answer was complete."
        raise errors.ConnectionLost(msg)
