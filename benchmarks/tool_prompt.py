"""What tools add to a call after the first one with them: 100 of them, in both adapters.

The answer is in memory. A call with the tools is compared with the same call without them, and with writing the tools
as JSON once, without which no prompt could list them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llama_index.core.llms import ChatMessage

from benchmarks.measuring import Bound, Sample, Work, difference, interleaved, median, report
from benchmarks.memory import client_from_memory
from bing_llm.client import BingClient
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

__all__ = ["main", "tools_of"]

MOST_MS = 0.6
"""CPU time that 100 tools may add to a call, in milliseconds."""

ADAPTERS = ("ChatBing.ainvoke", "Bing.achat")
HEADER = ("with the tools", "CPU ms/call", "without", "tools add", "json.dumps", "bound")


def tools_of(count: int) -> list[dict[str, Any]]:
    """So many tools in OpenAI's form, each of some 400 characters."""
    properties = {
        "city": {"type": "string", "description": "A city"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["c", "f"], "type": "string", "default": "c"},
        "where": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    }
    return [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": f"Does what its arguments say, as number {number}.",
                "parameters": {"type": "object", "properties": properties, "required": ["city"]},
            },
        }
        for number in range(count)
    ]


def works_of(client: BingClient, tools: list[dict[str, Any]], calls: int) -> dict[str, Work]:
    """So many calls of each kind, by name."""
    bing, model = Bing(client=client), ChatBing(client=client)
    question = [ChatMessage("Go on.")]
    bound = model.bind_tools(tools)
    asks: dict[str, Callable[[], Any]] = {
        ADAPTERS[0]: partial(bound.ainvoke, "Go on."),
        f"{ADAPTERS[0]}, none": partial(model.ainvoke, "Go on."),
        ADAPTERS[1]: partial(bing.achat, question, tools=tools),
        f"{ADAPTERS[1]}, none": partial(bing.achat, question),
    }
    works: dict[str, Work] = {name: partial(_repeat, ask, calls) for name, ask in asks.items()}
    return {**works, "json.dumps": partial(_dump, tools, calls)}


async def _repeat(ask: Callable[[], Any], calls: int) -> int:
    for _ in range(calls):
        await ask()
    return calls


async def _dump(tools: list[dict[str, Any]], calls: int) -> int:
    return sum(bool(json.dumps([tool["function"] for tool in tools], ensure_ascii=False)) for _ in range(calls))


async def run(*, tools: int, calls: int, rounds: int) -> dict[str, list[Sample]]:
    """The samples of each kind of call, in microseconds a call."""
    async with client_from_memory(["Hello."]) as client:
        return await interleaved(works_of(client, tools_of(tools), calls), deltas=calls, rounds=rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tool_prompt", description=__doc__)
    parser.add_argument("--tools", type=int, default=100, help="tools of a call")
    parser.add_argument("--calls", type=int, default=50, help="calls of a sample")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each kind of call")
    sizes = parser.parse_args(arguments)
    samples = asyncio.run(run(tools=sizes.tools, calls=sizes.calls, rounds=sizes.rounds), debug=False)
    floor_ms = median(samples["json.dumps"]).cpu_us / 1e3
    rows, bounds = [], []
    for name in ADAPTERS:
        with_tools, without = samples[name], samples[f"{name}, none"]
        added_ms = difference(with_tools, without) / 1e3
        values = median(with_tools).cpu_us / 1e3, median(without).cpu_us / 1e3, added_ms, floor_ms, MOST_MS
        rows.append((name, *(f"{value:.2f}" for value in values)))
        bounds.append(Bound(f"CPU that {sizes.tools} tools add to {name}", added_ms, MOST_MS, "ms a call"))
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
