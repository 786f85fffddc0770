"""Server-sent events as OpenAI-compatible servers send them, without I/O."""

from __future__ import annotations

import codecs

# Deltas have some hundred bytes; this bounds what a hostile server can make us hold.
_MAX_CHARACTERS = 1024 * 1024


class EventReader:
    """Cuts a stream into the data of its events, whatever pieces it comes in.

    Takes every line end of the standard, comments, and fields other than `data`, which are left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that these bytes complete.

        Raises:
            ValueError: A line is longer than 1,048,576 characters.
        """
        # A CR at the end may be half of a CRLF, so it waits for what follows.
        *lines, self._line = (self._line + self._decoder.decode(piece)).replace("\r\n", "\n").split("\n")
        if len(self._line) > _MAX_CHARACTERS:
            raise ValueError("A line of the event stream is too long.")
        return [data for line in lines if (data := self._take(line)) is not None]

    def end(self) -> list[str]:
        """The data of a last event that no empty line ends, as some servers leave it."""
        return [data for line in (self._line, "") if (data := self._take(line)) is not None]

    def _take(self, line: str) -> str | None:
        line = line.removesuffix("\r")
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
        if line or not self._data:
            return None
        data, self._data = "\n".join(self._data), []
        return data
