"""`python -m benchmarks.tools --url URL --model NAME`: tools and objects with any model of an OpenAI-compatible server.

Prints of each kind of task how many were right, how many agents ended by themselves, and how many turns and characters
that took. Without --aside only the half for tuning runs. Raw replies stay in the folder --cache.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.errors import GraphRecursionError

from benchmarks.measuring import report
from benchmarks.tools.agents import PROBLEMS, Problem, World
from benchmarks.tools.cache import Cache
from benchmarks.tools.checks import Reply
from benchmarks.tools.models import WAYS
from benchmarks.tools.objects import EXTRACTIONS, Extraction
from benchmarks.tools.tasks import TASKS, Task, halves

STEPS = 12
"""The recursion limit of an agent: five calls and an answer. No problem needs more than four calls, one by one."""

ENDLESS = "it did not end by itself"

HEADER = ("kind", "right", "of", "95 % interval", "turns", "characters")

Work: TypeAlias = tuple[str, str, Callable[[], Awaitable[str]]]
"""The kind, the question, and what tries it and says what is wrong."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one task.

    Attributes:
        kind: Its kind.
        question: Its question.
        problem: Why it is wrong; "" if it is right.
        turns: How many turns the model had.
        characters: How many characters these turns sent in all.
    """

    kind: str
    question: str
    problem: str
    turns: int
    characters: int


async def measure(
    way: str, url: str, model: str, folder: Path, *, aside: bool, kinds: Sequence[str] = ()
) -> AsyncIterator[Outcome]:
    """The outcomes of one half of the tasks, in order.

    Args:
        way: One of `WAYS`.
        url: The base URL of the server's API.
        model: The name of the model there.
        folder: Where replies are kept.
        aside: Whether it is the half that was set aside.
        kinds: Which kinds of tasks; all without.
    """
    cache = Cache(url, folder)
    try:
        async with WAYS[way](await cache.start(), model) as chat:
            for kind, question, work in works(chat, half=int(aside)):
                if kinds and kind not in kinds:
                    continue
                turns, characters = cache.turns, cache.characters
                problem = await work()
                yield Outcome(kind, question, problem, cache.turns - turns, cache.characters - characters)
    finally:
        await cache.aclose()


def works(chat: BaseChatModel, *, half: int) -> Sequence[Work]:
    """All that this half asks."""
    return [
        *((task.kind, task.question, partial(try_task, chat, task)) for task in halves(TASKS)[half]),
        *(("objects", one.question, partial(try_object, chat, one)) for one in EXTRACTIONS[half::2]),
        *(("agents", one.question, partial(try_agent, chat, one)) for one in PROBLEMS[half::2]),
    ]


async def try_task(chat: BaseChatModel, task: Task) -> str:
    """Ask once with tools; what is wrong with the reply."""
    choice = None if task.choice == "auto" else task.choice
    try:
        reply = await chat.bind_tools(task.tools, tool_choice=choice).ainvoke(list(task.messages))
    except Exception as exc:  # noqa: BLE001 - whatever the frameworks raise, the task is not done
        return _failure(exc)
    invalid = reply.invalid_tool_calls
    problem = str(invalid[0].get("error") or "an invalid call") if invalid else ""
    calls = tuple((call["name"], call["args"]) for call in reply.tool_calls)
    return task.check(Reply(reply.text, calls, problem=problem))


async def try_object(chat: BaseChatModel, extraction: Extraction) -> str:
    """Ask for an object; what is wrong with it."""
    question = f"Read this into the object: {extraction.question}"
    try:
        value = await chat.with_structured_output(extraction.schema).ainvoke(question)
    except Exception as exc:  # noqa: BLE001 - as above
        return _failure(exc)
    return extraction.check(Reply(value=value))


async def try_agent(chat: BaseChatModel, problem: Problem) -> str:
    """Let an agent work; what is wrong with its end."""
    world: World = {}
    agent = create_agent(chat, tools=list(problem.tools(world)))
    try:
        state = await agent.ainvoke({"messages": [HumanMessage(problem.question)]}, {"recursion_limit": STEPS})
    except GraphRecursionError:
        return ENDLESS
    except Exception as exc:  # noqa: BLE001 - whatever the frameworks raise, the task is not done
        return _failure(exc)
    last = state["messages"][-1]
    text = last.text if isinstance(last, AIMessage) else ""
    return "" if problem.solved(text, world) else f"not solved: {text!r:.120}"


def _failure(exc: Exception) -> str:
    return f"{type(exc).__name__}: {' '.join(str(exc).split())[:120]}"


def interval(right: int, of: int) -> str:
    """Wilson's 95 % interval of a share, in per cent."""
    z = 1.96
    share, z_squared = right / of, z * z
    middle = share + z_squared / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z_squared / (4 * of * of))
    low, high = ((middle + sign * spread) / (1 + z_squared / of) for sign in (-1, 1))
    return f"{100 * max(low, 0):.0f} to {100 * min(high, 1):.0f} %"


def table(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A row for each kind, then one for all single turns; agents last, with how many ended."""
    kinds = dict.fromkeys(outcome.kind for outcome in outcomes)
    rows = [_row(kind, [one for one in outcomes if one.kind == kind]) for kind in kinds]
    single = [one for one in outcomes if one.kind != "agents"]
    ended = [msgspec.structs.replace(one, problem=_unended(one)) for one in outcomes if one.kind == "agents"]
    return [
        *rows,
        *([_row("all single turns and objects", single)] if single else []),
        *([_row("agents that ended by themselves", ended)] if ended else []),
    ]


def _unended(outcome: Outcome) -> str:
    return outcome.problem if outcome.problem == ENDLESS else ""


def _row(name: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    right = sum(not outcome.problem for outcome in outcomes)
    turns = sum(outcome.turns for outcome in outcomes)
    characters = sum(outcome.characters for outcome in outcomes)
    return (name, str(right), str(len(outcomes)), interval(right, len(outcomes)), str(turns), f"{characters:,}")


async def _run(options: argparse.Namespace) -> list[Outcome]:
    outcomes = []
    measured = measure(options.way, options.url, options.model, options.cache, aside=options.aside, kinds=options.kind)
    async for outcome in measured:
        outcomes.append(outcome)
        if options.verbose:
            verdict = outcome.problem or "right"
            print(f"{outcome.kind:9} {outcome.turns:2} turns | {outcome.question} | {verdict}", flush=True)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools", description=__doc__)
    parser.add_argument("--url", required=True, help="the base URL of an OpenAI-compatible API")
    parser.add_argument("--model", required=True, help="the model's name there")
    parser.add_argument("--way", choices=WAYS, default="bing", help="how the model is asked; bing is our prompt")
    parser.add_argument("--aside", action="store_true", help="the half of the tasks that is not for tuning")
    parser.add_argument("--kind", action="append", default=[], help="only this kind of task; may be repeated")
    parser.add_argument("--cache", type=Path, default=Path(".benchmarks/tools"), help="the folder of raw replies")
    parser.add_argument("--verbose", action="store_true", help="a line for each task")
    outcomes = asyncio.run(_run(parser.parse_args(arguments)))
    return report(HEADER, table(outcomes), [])


if __name__ == "__main__":
    sys.exit(main())
