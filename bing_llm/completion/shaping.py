"""From the text of a reply to the pieces that a framework is given. No I/O."""

from __future__ import annotations

from bing_llm.completion.cutting import Cutter
from bing_llm.completion.request import Request
from bing_llm.tools.calls import Call, InvalidCall, Piece
from bing_llm.tools.json_answer import JsonAnswer
from bing_llm.tools.parser import CallParser

__all__ = ["Shaper"]

_NO_CALL = "Your last reply holds no tool call."
_NO_JSON = "Your last reply is not one complete JSON object."


class Shaper:
    """Applies what the service cannot: stop sequences, a longest length, calls of tools, a JSON answer.

    `feed` each part of the reply's text, then `close`. The pieces do not depend on how the text is cut into parts.

    Where a call is required, text is held back until one comes, and invalid calls are held back everywhere. If no call
    comes where one was required or meant, `problem` says so after `close`, and `unmet` holds what was not given.
    """

    def __init__(self, request: Request) -> None:
        self._toolbox = request.toolbox
        limited = request.stop or request.max_characters is not None
        self._cutter = Cutter(request.stop, request.max_characters) if limited else None
        self._parser = CallParser(request.toolbox) if request.toolbox.tools else None
        self._json = None if request.format is None else JsonAnswer()
        self._held: list[Piece] | None = [] if request.toolbox.must_call else None
        self._invalid: list[InvalidCall] = []
        self._has_given = False
        self.is_plain = self._cutter is None and self._parser is None and self._json is None
        self.has_calls = False
        self.problem = ""
        self.unmet: list[Piece] = []

    @property
    def done(self) -> bool:
        """Whether whatever the service still says is not wanted."""
        return any(
            (
                self._cutter is not None and bool(self._cutter.cut),
                self._parser is not None and self._parser.done,
                self._json is not None and self._json.done,
            )
        )

    @property
    def has_cut(self) -> bool:
        """Whether the service said more than was wanted: behind a stop sequence, a length, or calls."""
        return (self._cutter is not None and bool(self._cutter.cut)) or (
            self._parser is not None and self._parser.has_cut
        )

    @property
    def cut_by_length(self) -> bool:
        """Whether the text was longer than it may be."""
        return self._cutter is not None and self._cutter.cut == "length"

    def feed(self, text: str) -> list[Piece]:
        """What this part of the reply adds."""
        if self._cutter is not None:
            text = self._cutter.feed(text)
        return self._given(self._parsed(text)) if text else []

    def close(self) -> list[Piece]:
        """The reply is over: what was held back, or a `problem`."""
        rest = self._cutter.close() if self._cutter is not None else ""
        pieces = self._parsed(rest) if rest else []
        if self._parser is not None:
            pieces += self._answered(self._parser.close())
        if self._json is not None:
            pieces += self._json.close()
        had_given = self._has_given  # what was streamed cannot be recalled, so then there is no second try
        given = self._given(pieces)
        if self._held is not None or (self._invalid and not self.has_calls):
            self.problem = self._invalid[0].reason if self._invalid else _NO_CALL
            self.unmet = [*(self._held or ()), *self._invalid]
        elif self._json is not None and not (self._json.found or self.has_calls or had_given):
            self.problem, self.unmet = _NO_JSON, given
            return []
        else:
            given += self._invalid
        return given

    def _parsed(self, text: str) -> list[Piece]:
        return self._answered([text] if self._parser is None else self._parser.feed(text))

    def _answered(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces with their text as the JSON in it, where that is wanted."""
        if self._json is None:
            return pieces
        shaped: list[Piece] = []
        for piece in pieces:
            shaped.extend(self._json.feed(piece) if isinstance(piece, str) else [piece])
        return shaped

    def _given(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces but for invalid calls, or none while a required call has not come."""
        self._invalid += [piece for piece in pieces if isinstance(piece, InvalidCall)]
        pieces = [piece for piece in pieces if not isinstance(piece, InvalidCall)]
        self.has_calls = self.has_calls or any(isinstance(piece, Call) for piece in pieces)
        if self._held is not None:
            self._held += pieces
            if not any(isinstance(piece, Call) and self._toolbox.is_met_by(piece) for piece in pieces):
                return []
            pieces, self._held = self._held, None
        self._has_given = self._has_given or bool(pieces)
        return pieces
