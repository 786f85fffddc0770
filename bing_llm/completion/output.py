"""The output processor: from the text of a reply to the pieces that a framework is given. No I/O.

It applies what the service does not have: stop sequences, a longest length, tool calls, a JSON answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from bing_llm.completion.request import Request
from bing_llm.errors import InvalidRequest
from bing_llm.tools.calls import Call, InvalidCall, Piece
from bing_llm.tools.json_answer import JsonAnswer
from bing_llm.tools.parser import CallParser

_NO_CALL = "It holds no tool call."
_UNREADABLE = "A tool call of the model cannot be used:"
_NO_JSON = "It is not one complete JSON object."


class StopFilter:
    """Cuts a streamed text before the first stop sequence, and at a length.

    `feed` each part of the text: it returns what may be passed on; `close` returns the rest. Only what may be the
    beginning of a stop sequence is held back. The result does not depend on how the text is cut into parts.

    Args:
        stop: The sequences before which the text ends; they are not passed on.
        max_characters: The longest text, None for no limit.

    Attributes:
        cut: What ended the text early, "" for nothing.

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
        """What this part adds to the text that may be passed on; "" after the cut."""
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
        """The text is complete: what was held back."""
        held, self._held = self._held, ""
        return "" if self.cut else self._within_limit(held)

    def _free(self, text: str) -> int:
        """How many characters cannot belong to a stop sequence that continues in the next part."""
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


class OutputProcessor:
    """Turns the text of one reply into pieces.

    `feed` each part of the text, then `close`. The pieces do not depend on how the text is cut into parts.

    If a call is required, text is held back until one comes; invalid calls are always held back.

    Attributes:
        is_plain: Whether text passes unchanged.
        has_calls: Whether a call was given.
        about_call: Whether the problem is that of a call, not of the answer that is JSON.
        problem: After `close`, what is wrong with the reply in one sentence: a required call or the JSON is missing, no
            call can be read, or what was read does not pass its check; "" for nothing.
        unmet: After `close` with a problem, the pieces that were held back because of it.
    """

    def __init__(self, request: Request) -> None:
        self._toolbox = request.toolbox
        limited = request.stop or request.max_characters is not None
        self._filter = StopFilter(request.stop, request.max_characters) if limited else None
        self._parser = CallParser(request.toolbox) if request.toolbox.tools else None
        self._format = request.json_format
        self._json = None if self._format is None else JsonAnswer(self._format.schema)
        self._held: list[Piece] | None = [] if request.toolbox.must_call else None
        self._invalid: list[InvalidCall] = []
        self._has_given = False
        self.is_plain = self._filter is None and self._parser is None and self._json is None
        self.has_calls = False
        self.about_call = False
        self.problem = ""
        self.unmet: list[Piece] = []

    @property
    def done(self) -> bool:
        """Whether everything that the service may still say is unwanted."""
        return any(
            (
                self._filter is not None and bool(self._filter.cut),
                self._parser is not None and self._parser.done,
                self._json is not None and self._json.done,
            )
        )

    @property
    def has_cut(self) -> bool:
        """Whether the service said more than was wanted: after a stop sequence, a length, or calls."""
        return (self._filter is not None and bool(self._filter.cut)) or (
            self._parser is not None and self._parser.has_cut
        )

    @property
    def has_invalid_calls(self) -> bool:
        """Whether the model wrote a call that cannot be made."""
        return bool(self._invalid)

    @property
    def cut_by_length(self) -> bool:
        """Whether the text was longer than it may be."""
        return self._filter is not None and self._filter.cut == "length"

    def feed(self, text: str) -> list[Piece]:
        """What this part of the reply adds."""
        if self._filter is not None:
            text = self._filter.feed(text)
        return self._release(self._parse(text)) if text else []

    def close(self) -> list[Piece]:
        """The reply is complete: what was held back, or a `problem`."""
        rest = self._filter.close() if self._filter is not None else ""
        pieces = self._parse(rest) if rest else []
        if self._parser is not None:
            pieces += self._extract_json(self._parser.close())
        if self._json is not None:
            pieces += self._json.close()
        given = self._release(pieces)
        if self._held is not None or (self._invalid and not self.has_calls):
            self.about_call = True
            self.problem = self._invalid[0].reason if self._invalid else _NO_CALL
            self.unmet = [*(self._held or ()), *self._explained()]
        elif problem := self._answer_problem():
            self.problem, self.unmet = problem, given
            return []
        else:
            given += self._explained()
        return given

    def _answer_problem(self) -> str:
        """What is wrong with the answer that is JSON; "" also if calls came, after which it does not come yet."""
        if self._json is None or self._format is None or self.has_calls:
            return ""
        if not self._json.found:
            was_cut = self._filter is not None and bool(self._filter.cut)  # as the caller wanted it
            return "" if was_cut and self._has_given else _NO_JSON
        return "" if self._format.check is None else self._format.check(json.loads(self._json.text))

    def _explained(self) -> list[Piece]:
        """Invalid calls, each after a text that says why: frameworks keep the text, but not all keep the reason.

        One that can be made all the same is given as a call: its tool may take what its schema does not allow.
        """
        space = "\n" if self._has_given or self._held else ""
        return [
            piece
            for one in self._invalid
            for piece in ((one.call,) if one.call else (f"{space}[{_UNREADABLE} {one.reason}]", one))
        ]

    def _parse(self, text: str) -> list[Piece]:
        return self._extract_json([text] if self._parser is None else self._parser.feed(text))

    def _extract_json(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces with their text reduced to the JSON in it, if that is wanted."""
        if self._json is None:
            return pieces
        shaped: list[Piece] = []
        for piece in pieces:
            shaped.extend(self._json.feed(piece) if isinstance(piece, str) else [piece])
        return shaped

    def _release(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces without invalid calls; none while a required call has not come."""
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
