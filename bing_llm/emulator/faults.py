"""What may happen to a connection of the emulator, whatever its brain says."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

How: TypeAlias = Literal["abort", "close 1000", "close 1001", "type 3", "type 7", "type 7 allowReconnect", "end"]


class HttpAnswer(msgspec.Struct, frozen=True):
    """An HTTP answer in place of the one that was asked for.

    Attributes:
        status: Its status. One of 3xx leads to another path of the emulator; 200 answers an upgrade without opening it.
        body: Its body, sent as HTML.
        retry_after: `Retry-After`, in seconds; None for none.
    """

    status: int
    body: str = ""
    retry_after: int | None = None


class Cut(msgspec.Struct, frozen=True):
    """The connection ends, and the turn with it.

    Attributes:
        how: `abort` breaks it without a word. Of a ChatHub, `close 1000` and `close 1001` close the socket with that
            code, `type 3` completes the turn with an error and without its final frame, `type 7` says that the
            connection closes, and why, as `type 7 allowReconnect` does. Of Work IQ, `end` ends the stream in good
            order, without its final event.
    """

    how: How = "abort"


class Silence(msgspec.Struct, frozen=True):
    """Nothing more is sent until the client leaves.

    Attributes:
        pings: Whether pings still come (of Work IQ, comments), one each `ping_interval` of the emulator.
    """

    pings: bool = False


class Late(msgspec.Struct, frozen=True):
    """The answer is the usual one, but its first byte is late: that of Work IQ takes up to some 300 seconds.

    See docs/protocol/workiq.md, section 12.

    Attributes:
        seconds: How late it is.
    """

    seconds: float


class Raw(msgspec.Struct, frozen=True):
    """One more record of a ChatHub, or event of Work IQ, with any text; then the turn goes on.

    Attributes:
        text: What goes out: JSON that is none, a frame of an unknown type, or one of 20 MB.
    """

    text: str

    def __repr__(self) -> str:
        shown = repr(self.text) if len(self.text) <= 100 else f"<{len(self.text):,} characters>"  # noqa: PLR2004 - a line
        return f"Raw({shown})"


class Split(msgspec.Struct, frozen=True):
    """Everything that follows is cut into pieces: one WebSocket message each in a ChatHub, one chunk each in HTTP.

    Attributes:
        size: How long a piece is: of a ChatHub in characters, in HTTP in bytes.
        pause: How long to wait between two pieces, in seconds.
    """

    size: int = 1
    pause: float = 0.0


class Merge(msgspec.Struct, frozen=True):
    """Everything that follows in this turn is sent at its end, in one message or chunk."""


class Duplicate(msgspec.Struct, frozen=True):
    """Each message or event that follows in this turn is sent twice."""


class NewMessage(msgspec.Struct, frozen=True):
    """The answer continues under another message id."""


class HandshakeRefused(msgspec.Struct, frozen=True):
    """The handshake of a ChatHub is answered with this error."""

    error: str = "Requested protocol 'json' is not available."


WireFault: TypeAlias = (
    HttpAnswer | Cut | Silence | Late | Raw | Split | Merge | Duplicate | NewMessage | HandshakeRefused
)

WIRE_FAULTS = (HttpAnswer, Cut, Silence, Late, Raw, Split, Merge, Duplicate, NewMessage, HandshakeRefused)
