"""The events of one turn, and the reply that they add up to: what the answer readers of all services share."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from bing_llm import events as ev
from bing_llm.fold import ReplyParts


class ReplyBuilder:
    """Keeps the one whole text of an answer, and gives each change of it as an event.

    Attributes:
        events: The events so far, for the caller to take from the left.
    """

    def __init__(self) -> None:
        self.events: deque[ev.Event] = deque()
        self._parts = ReplyParts()
        self._text = ""
        self._pieces: list[str] = []  # that were appended to it since; joined when the text is asked for
        self._length = 0  # of both
        self._overruled: str | None = None  # what was the text before a rewrite, until the text extends it again

    @property
    def text(self) -> str:
        """The whole text so far."""
        if self._pieces:
            self._text, self._pieces = "".join((self._text, *self._pieces)), []
        return self._text

    @property
    def so_far(self) -> ev.Reply:
        """The reply so far, without what only the end of a turn brings."""
        return self._parts.reply(self.text, revised=self._overruled is not None)

    def begins_with(self, text: str) -> bool:
        """Whether the whole text does. Pieces are joined for a long one alone, or each short frame would copy them."""
        known = self._text if len(text) <= len(self._text) else self.text
        return known.startswith(text)

    def append(self, piece: str) -> None:
        """The text goes on with this piece."""
        before, self._length = self._length, self._length + len(piece)
        self._pieces.append(piece)
        self.events.append(ev.TextDelta(piece))
        if self._overruled is not None and before < len(self._overruled) <= self._length:
            self._reconcile()

    def replace(self, text: str) -> bool:
        """This is the whole text now; whether it is another one than before."""
        known = self.text if self._pieces else self._text
        before, length = len(known), len(text)
        if not text.startswith(known):
            self._overruled = known if self._overruled is None else self._overruled
            self.events.append(ev.TextRevised(text))
        elif length > before:
            self.events.append(ev.TextDelta(text[before:]))
        else:
            return False
        self._text, self._length = text, length
        if self._overruled is not None:
            self._reconcile()
        return True

    def add(self, event: ev.Event) -> None:
        """Anything but text."""
        self._parts.add(event)
        self.events.append(event)

    def complete(self, **fields: Any) -> ev.TurnCompleted:
        """The last event, whose reply also has these fields."""
        return ev.TurnCompleted(msgspec.structs.replace(self.so_far, **fields))

    def _reconcile(self) -> None:
        if self._overruled is not None and self.text.startswith(self._overruled):
            self._overruled = None
