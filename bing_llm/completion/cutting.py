"""Stop sequences and a longest length: the service has neither, so they are kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bing_llm.errors import InvalidRequest

__all__ = ["Cutter"]


class Cutter:
    """Cuts a streamed text before the first stop sequence, and at a length.

    `feed` each part of the text and it answers with what may be given on; `close` answers with the rest. What may be
    the beginning of a stop sequence is held back until that is decided, and nothing else is. The result does not
    depend on how the text is cut into parts.

    Args:
        stop: The sequences before which the text ends; none of them is given.
        max_characters: The longest text, None for no limit.

    Raises:
        InvalidRequest: A stop sequence is empty, or the limit is below 1.
    """

    def __init__(self, stop: Sequence[str] = (), max_characters: int | None = None) -> None:
        if not all(stop):
            raise InvalidRequest("A stop sequence is empty.", hint="Pass a list of texts of 1 character or more.")
        if max_characters is not None and max_characters < 1:
            raise InvalidRequest(f"The longest answer is {max_characters} characters; it must be at least 1.")
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=0)
        self._held = ""
        self._left = max_characters
        self.cut: Literal["", "stop", "length"] = ""

    def feed(self, text: str) -> str:
        """What this part adds to the text that may be given; "" after the cut."""
        if self.cut:
            return ""
        if not self._stop:
            return self._within_limit(text)
        text = self._held + text
        ends = [end for sequence in self._stop if (end := text.find(sequence)) >= 0]
        if ends:
            return self._end(text[: min(ends)])
        free = self._free(text)
        self._held = text[free:]
        return self._within_limit(text[:free])

    def close(self) -> str:
        """The text is over: what was held back."""
        held, self._held = self._held, ""
        return "" if self.cut else self._within_limit(held)

    def _free(self, text: str) -> int:
        """How much of the text cannot belong to a stop sequence that goes on behind it."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(sequence.startswith(tail) for sequence in self._stop):
                return start
        return len(text)

    def _end(self, text: str) -> str:
        given = self._within_limit(text)
        if not self.cut:  # by its length
            self.cut = "stop"
        return given

    def _within_limit(self, text: str) -> str:
        if self._left is None:
            return text
        if len(text) > self._left:
            self.cut = "length"
            text = text[: self._left]
        self._left -= len(text)
        return text
