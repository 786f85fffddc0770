"""What both services share on the wire: ids, times, and how faults cut, hold and repeat what is sent, without I/O."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import AnyStr, Generic

from bing_llm.emulator.faults import Duplicate, Merge, Split


class Delivery(Generic[AnyStr]):
    """Splits what is sent into pieces: one piece each, until a fault changes that.

    Attributes:
        pause: How long to wait between two pieces, in seconds.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self._size: int | None = None
        self._copies = 1
        self._held: list[AnyStr] | None = None

    def change(self, fault: Split | Merge | Duplicate) -> None:
        """Apply the fault to everything that follows."""
        match fault:
            case Split(size=size, pause=pause):
                self._size, self.pause = size, pause
            case Merge():
                self._held = self._held or []
            case Duplicate():
                self._copies = 2

    def pieces(self, sent: AnyStr) -> list[AnyStr]:
        """The pieces of one message."""
        copies = [sent] * self._copies
        if self._held is None:
            return [piece for copy in copies for piece in self._cut(copy)]
        self._held += copies
        return []

    def rest(self) -> list[AnyStr]:
        """The pieces that were held back."""
        held, self._held = self._held, None
        return self._cut(held[0][:0].join(held)) if held else []

    def _cut(self, sent: AnyStr) -> list[AnyStr]:
        if self._size is None:
            return [sent]
        return [sent[start : start + self._size] for start in range(0, len(sent), self._size)]


def new_id() -> str:
    """An id of a message or a request."""
    return str(uuid.uuid4())


def timestamp(seconds: float, zone: str = "+00:00") -> str:
    """A time as .NET writes it, with seven digits of the second.

    Args:
        seconds: Since 1970.
        zone: What ends it: an offset, or `Z`.
    """
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}0{zone}"
