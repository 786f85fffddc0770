"""What it costs to parse a reply."""

from __future__ import annotations

from bing_llm.tools.calls import Toolbox
from bing_llm.tools.parser import CallParser
from tests.counting import steps


def steps_for(toolbox: Toolbox, part: str, length: int, size: int) -> int:
    """How many steps it takes to parse a reply of this length in parts of this size."""
    reply = (part * (length // len(part) + 1))[:length]
    parser = CallParser(toolbox)

    def parse() -> None:
        for at in range(0, length, size):
            parser.feed(reply[at : at + size])
        parser.close()

    return steps(parse)
