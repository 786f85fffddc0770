"""What a chat of many turns sends, with and without going on in its conversation.

A chat whose history is given each time, as frameworks do, through the layer of the adapters to an emulator. Bytes are
those of the JSON of each request; they do not depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from benchmarks.measuring import Bound, report
from bing_llm.client import BingClient
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completed, Completion
from bing_llm.emulator import Emulator, Scripted
from bing_llm.messages import Message

__all__ = ["main"]

MOST_GROWTH = 1.01
"""What the last turn may send, as a part of what the second does: the number of the turn has a digit more."""

ANSWER = "The tide turns when the moon has passed over the harbour, and takes the boats with it. " * 5


class Chat(NamedTuple):
    """What one chat cost: the bytes of each turn, and how many conversations were created."""

    sent: list[int]
    conversations: int


async def chat(turns: int, *, goes_on: bool) -> Chat:
    """Hold a chat of so many turns."""
    history = [Message("system", "Answer like a harbour master.")]
    async with (
        Emulator(Scripted(lambda _question: [ANSWER]), turn_limit=turns) as emulator,
        BingClient(endpoint=emulator.url, continue_conversations=goes_on) as client,
    ):
        for _ in range(turns):
            history.append(Message("user", "When does the tide turn, and where are the boats then?"))
            *_, end = await Completion(client, Request(messages=tuple(history))).whole()
            history.append(Message("assistant", end.reply.text if isinstance(end, Completed) else ""))
        chats = [request for request in emulator.requests if request.kind == "chat"]
        created = sum(request.kind == "creation" for request in emulator.requests)
    return Chat([len(msgspec.json.encode(request.body)) for request in chats], created)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.continuation", description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help="turns of the chat")
    turns = parser.parse_args(arguments).turns
    chats = {name: asyncio.run(chat(turns, goes_on=on), debug=False) for name, on in (("on", True), ("off", False))}
    rows = [
        (
            f"continue_conversations {name}",
            str(measured.conversations),
            *(str(measured.sent[at]) for at in (0, 1, turns // 2, turns - 1)),
            str(sum(measured.sent)),
        )
        for name, measured in chats.items()
    ]
    header = ("chat", "conversations", "1st turn", "2nd", "middle", "last", "all, bytes")
    on = chats["on"]
    return report(
        header,
        rows,
        [
            Bound("conversations of the chat", on.conversations, 1, ""),
            Bound("bytes of the last turn, in those of the second", on.sent[-1] / on.sent[1], MOST_GROWTH, "times"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
