"""How much work a call does, counted instead of timed: the same on every machine, however busy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_SCANNERS = frozenset(
    ("count", "decode", "encode", "find", "index", "partition", "replace", "rfind", "rindex", "rpartition", "split")
)
"""Methods of a text that may look at all of it; the others that parsers use look at an end, or at what they return."""


def steps(work: Callable[[], object]) -> int:
    """How many steps a call takes: one for each call in it, and one for each character that a method scans.

    What grows with the square of its input does so in calls, or in texts that are scanned again and again. Regular
    expressions and decoders count as one call: `benchmarks/growth.py` measures their time.
    """
    counted = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal counted
        del frame
        if event == "call":
            counted += 1
        elif event == "c_call":
            counted += 1
            text = getattr(called, "__self__", None)
            if isinstance(text, str | bytes | bytearray) and called.__name__ in _SCANNERS:
                counted += len(text)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
