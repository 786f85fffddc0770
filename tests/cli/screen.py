"""The part of a terminal that the command line uses, to see what a person would see."""

from __future__ import annotations

import re

_STEP = re.compile(r"\x1b\[(?P<number>\??\d*(?:;\d+)*)(?P<letter>[A-Za-z])|(?P<character>[^\x1b])")
_IGNORED = {"m", "h", "l"}  # colours, and whether the cursor shows or a paste is marked


class Screen:
    """Takes what is written, and keeps the lines, those that have scrolled off included.

    Args:
        width: Characters of a line; longer ones go on in the next.
        height: How many of the last lines the cursor can reach.
    """

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.width = width
        self.height = height
        self.cursor_shown = True
        self._lines = [""]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        """All lines, without blanks at their ends and without empty ones below the last that is not."""
        return "\n".join(line.rstrip() for line in self._lines).rstrip().split("\n")

    def write(self, text: str) -> int:
        """Take in some output; as files do, answer with its length."""
        position = 0
        while position < len(text):
            step = _STEP.match(text, position)
            assert step is not None, f"this terminal does not know {text[position : position + 10]!r}"
            position = step.end()
            if step["character"]:
                self._put(step["character"])
            else:
                self._control(step["number"], step["letter"])
        return len(text)

    def _put(self, character: str) -> None:
        if character == "\n":
            self._row += 1
            self._column = 0
            self._lines += [""] * (self._row + 1 - len(self._lines))
        elif character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        else:
            assert character.isprintable(), f"an unescaped {character!r} reached the terminal"
            if self._column == self.width:
                self._put("\n")
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column += 1

    def _control(self, number: str, letter: str) -> None:
        if letter == "A":
            top = max(0, len(self._lines) - self.height)
            assert self._row - int(number) >= top, "the cursor was sent above the screen, where nothing can be redrawn"
            self._row -= int(number)
        elif letter in {"C", "D"}:
            self._column = max(0, self._column + (1 if letter == "C" else -1) * int(number or 1))
        elif letter == "J":
            self._lines[self._row :] = [self._lines[self._row][: self._column]]
        elif (number, letter) == ("2", "K"):
            self._lines[self._row] = ""
        elif number == "?25":
            self.cursor_shown = letter == "h"
        else:
            assert letter in _IGNORED, f"this terminal does not know CSI {number}{letter}"

    def flush(self) -> None:
        """Do nothing; files have this method."""
