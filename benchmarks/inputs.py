"""What grows in the input of a turn, or in its answer, and what each part of it costs: no socket, no wait.

Each kind is measured at two sizes, eight times apart. Where the cost of a part stays the same, all of it grows with the
size, and not with its square.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from llama_index.core.llms import ChatMessage

from benchmarks.measuring import Work, interleaved, median, quotient
from benchmarks.memory import client_from_memory
from benchmarks.tool_prompt import tools_of
from bing_llm import events as ev
from bing_llm.batch import arun
from bing_llm.client import BingClient
from bing_llm.tools.calls import Toolbox
from bing_llm.tools.prompt import JsonFormat, render_instructions
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

__all__ = ["KINDS", "Grown", "grown"]

GROWTH = 8

Make = Callable[[BingClient, int], Callable[[], Awaitable[object]]]

_fresh = itertools.count()  # what is measured must not have been kept by the call before


class Kind(NamedTuple):
    """Something that grows.

    Attributes:
        make: What is measured, with so many parts.
        size: The smaller number of parts.
        cited: Whether the answer has a source for each part.
    """

    make: Make
    size: int
    cited: bool = False


class Grown(NamedTuple):
    """The CPU time of a part, in microseconds, at both sizes; and the one in the other."""

    small_us: float
    large_us: float
    ratio: float


def _langchain_history(client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    history = [("human" if number % 2 else "ai", "The tide turns.") for number in range(size)]
    return partial(ChatBing(client=client).ainvoke, [*history, ("human", "Go on.")])


def _llama_index_history(client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    history = [ChatMessage("The tide turns.", role="user" if number % 2 else "assistant") for number in range(size)]
    return partial(Bing(client=client).achat, [*history, ChatMessage("Go on.")])


def _message(client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    return partial(ChatBing(client=client).ainvoke, [("human", "[tide] <turn> " * size), ("human", "Go on.")])


def _tools(client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        tools = tools_of(size)
        tools[0]["function"]["description"] = f"Fresh {next(_fresh)}."
        return await ChatBing(client=client).bind_tools(tools).ainvoke("Go on.")

    return ask


def _schema(_client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        properties = {f"property_{number}": {"$ref": f"#/$defs/Part{number}"} for number in range(size)}
        parts = {f"Part{number}": {"type": "integer", "title": "Part"} for number in range(size)}
        schema = {"title": f"Fresh {next(_fresh)}", "type": "object", "properties": properties, "$defs": parts}
        return render_instructions(Toolbox(), JsonFormat(schema))

    return ask


def _foreign_references(_client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    """References to elsewhere, which may mean any definition."""

    async def ask() -> object:
        properties = {f"property_{number}": {"$ref": f"https://example.com/{number}"} for number in range(size)}
        parts = {f"Part{number}": {"type": "integer", "const": next(_fresh)} for number in range(size)}
        schema = {"title": "Foreign", "type": "object", "properties": properties, "$defs": parts}
        return render_instructions(Toolbox(), JsonFormat(schema))

    return ask


def _langchain_citations(client: BingClient, _size: int) -> Callable[[], Awaitable[object]]:
    return partial(ChatBing(client=client, output_version="v1").ainvoke, "Go on.")


def _llama_index_citations(client: BingClient, _size: int) -> Callable[[], Awaitable[object]]:
    return partial(Bing(client=client).achat, [ChatMessage("Go on.")])


def _turns(client: BingClient, size: int) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        conversation = await client.create_conversation()
        return [await conversation.ask("Go on.") for _ in range(size)]

    return ask


def _rows(client: BingClient, size: int, *, runs: int) -> Callable[[], Awaitable[object]]:
    async def ask() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(runs):
                await arun(["Go on."] * size, Path(folder) / "out.jsonl", client=client, ordered=True)

    return ask


KINDS = {
    "messages of a history, ChatBing": Kind(_langchain_history, 200),
    "messages of a history, Bing": Kind(_llama_index_history, 200),
    "words of a message": Kind(_message, 2000),
    "tools of a first call": Kind(_tools, 20),
    "parts of a schema": Kind(_schema, 50),
    "references to elsewhere": Kind(_foreign_references, 200),
    "citations, ChatBing": Kind(_langchain_citations, 50, cited=True),
    "citations, Bing": Kind(_llama_index_citations, 50, cited=True),
    "turns of a conversation": Kind(_turns, 50),
    "rows of a batch": Kind(partial(_rows, runs=1), 200),
    "rows of a batch, and again": Kind(partial(_rows, runs=2), 200),
}


async def grown(name: str, *, divisor: int, rounds: int) -> Grown:
    """Measure one kind, at its sizes divided by this."""
    kind = KINDS[name]
    small = max(2, kind.size // divisor)
    costs = []
    for size in (small, small * GROWTH):
        times = 1 if size > small else GROWTH  # both do as much in all
        async with client_from_memory(["Hello."], reply=_reply(size if kind.cited else 0)) as client:
            work: Work = partial(_repeat, kind.make(client, size), times)
            costs.append((await interleaved({name: work}, deltas=size * times, rounds=rounds))[name])
    return Grown(median(costs[0]).cpu_us, median(costs[1]).cpu_us, quotient(costs[1], costs[0]))


async def _repeat(ask: Callable[[], Awaitable[object]], times: int) -> int:
    for _ in range(times):
        await ask()
    return times


def _reply(citations: int) -> ev.Reply | None:
    if not citations:
        return None
    cited = tuple(
        ev.Citation(number=number, url=f"https://example.com/{number}", title="A page")
        for number in range(1, citations + 1)
    )
    return ev.Reply(text="".join(f"Tide[^{number}^] " for number in range(1, citations + 1)), citations=cited)
