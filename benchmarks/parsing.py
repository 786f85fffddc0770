"""How the time to parse grows: hostile replies for the parser of tool calls, hostile markers, long frames for a turn.

The tests count steps, which say nothing about the time inside a regular expression or a decoder. It is measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.measuring import Bound, Work, interleaved, median, report
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.turn import Turn
from bing_llm.backends.markers import find_markers, unfinished_from
from bing_llm.tools.calls import Tool, Toolbox
from bing_llm.tools.parser import CallParser

MOST_BY_SIZE = 2.0
"""CPU time a character of an input that is eight times as long, in that of the shorter one."""

GROWTH = 8

HEADER = ("what is parsed", "ns/character", f"of {GROWTH} times as much", "ratio")

BOX = Toolbox(tools=(Tool("get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}}),))

REPLIES = {
    "braces": "{",
    "fences": "```json\n",
    "objects without an end": '{"name": [```json\n',
    "tags": "<tool_call>",
    "tags around quotes": '<tool_call>{"</tool_call>',
    "half tags": "<tool_call>{<",
    "escapes": "\\",
    "foreign tags": "<tools>",
    "foreign calls": "[TOOL_CALLS]get_weather{",
    "XML": "<function=get_weather>",
    "objects": '{"a": {"name": ',
    "code": "\nget_weather(",
    "elements": "<get_weather>",
}
"""Replies that begin call after call, and never end one."""


def parse_reply(part: str, characters: int) -> Iterator[object]:
    """Parse this, again and again, in parts of 16 characters."""
    reply = (part * (characters // len(part) + 1))[:characters]
    parser = CallParser(BOX)
    for at in range(0, characters, 16):
        yield from parser.feed(reply[at : at + 16])
    yield from parser.close()


MARKERS = {
    "links without an end": "[1](",
    "parentheses": "[1](()",
    "titles without an end": "[1](a '",
    "code without an end": "` ``",
    "links": "[1](https://a.example)",
    "nested lists": "- ",
}
"""Answers that begin citation after citation, and mostly never end one."""


def find_citations(part: str, characters: int) -> Iterator[object]:
    """Find the markers of one such answer, whole and as a snapshot that may go on."""
    answer = (part * (characters // len(part) + 1))[:characters]
    yield find_markers(answer)
    yield find_markers(answer, final=False)
    yield unfinished_from(answer)


def read_frame(arguments: Callable[[int], object], characters: int) -> Iterator[object]:
    """Read one update of about this length, after the handshake."""
    turn = Turn()
    turn.ask(frames.Chat([frames.ChatArguments()], "0"))
    turn.receive(b"{}\x1e")
    turn.receive(json.dumps({"type": 1, "target": "update", "arguments": arguments(characters)}).encode() + b"\x1e")
    while (event := turn.next_event()) is not None:
        yield event


FRAMES: dict[str, Callable[[int], object]] = {
    "one text": lambda size: [{"messages": [{"author": "bot", "text": "x" * size}]}],
    "many texts": lambda size: [{"messages": [{"author": "bot", "text": "x"}] * (size // 32)}],
    "many sources": lambda size: [
        {
            "messages": [
                {
                    "author": "bot",
                    "text": "x",
                    "sourceAttributions": [{"seeMoreUrl": "https://example.com/tide"}] * (size // 44),
                }
            ]
        }
    ],
    "many pieces": lambda size: [{"writeAtCursor": "x" * 100}] * (size // 124),
}
"""The arguments of updates, by about how many characters they have."""


def parsers(characters: int) -> dict[str, Work]:
    """What parses so much, by name."""
    replies = {f"reply of {name}": partial(parse_reply, part, characters) for name, part in REPLIES.items()}
    updates = {f"frame of {name}": partial(read_frame, make, characters) for name, make in FRAMES.items()}
    markers = {f"markers of {name}": partial(find_citations, part, characters) for name, part in MARKERS.items()}
    return {name: partial(_exhaust, work) for name, work in (replies | updates | markers).items()}


async def _exhaust(work: Callable[[], Iterator[object]]) -> int:
    return sum(1 for _ in work())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parsing", description=__doc__)
    parser.add_argument("--characters", type=int, default=100_000, help="of the shorter inputs")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each case")
    sizes = parser.parse_args(arguments)
    rows, worst = [], 0.0
    for name in parsers(sizes.characters):
        costs = [
            median(asyncio.run(interleaved({name: parsers(size)[name]}, deltas=size, rounds=sizes.rounds))[name]).cpu_us
            for size in (sizes.characters, GROWTH * sizes.characters)
        ]
        worst = max(worst, costs[1] / costs[0])
        rows.append((name, *(f"{1e3 * cost:.1f}" for cost in costs), f"{costs[1] / costs[0]:.2f}"))
    return report(HEADER, rows, [Bound("CPU a character of longer inputs", worst, MOST_BY_SIZE, "times")])


if __name__ == "__main__":
    sys.exit(main())
