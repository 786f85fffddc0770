"""The default brain: no model, but it does what it is asked where that is simple, and always the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import msgspec

from bing_llm import events as ev
from bing_llm.emulator.brains.base import Output, Question
from bing_llm.emulator.obedience.arithmetic import calculated
from bing_llm.emulator.obedience.calling import choose_calls, written
from bing_llm.emulator.obedience.coding import next_code, read_coding
from bing_llm.emulator.obedience.documents import answer_about, answer_from_told
from bing_llm.emulator.obedience.evidence import Evidence
from bing_llm.emulator.obedience.filling import Filler
from bing_llm.emulator.obedience.history import (
    put_back,
    results_before,
    said_before,
    told_schema,
    waiting_results,
    whole_context,
)
from bing_llm.emulator.obedience.instructions import Instructions, Tool, read_instructions
from bing_llm.emulator.obedience.memory import noted, recalled
from bing_llm.emulator.obedience.prose import plain_answer, said_again, suggestions_for, topic_of
from bing_llm.emulator.obedience.reasoning import answer_begins, next_step, read_reasoning
from bing_llm.emulator.obedience.searching import answer_from_pages, found_pages, needs_search, query_of
from bing_llm.emulator.obedience.sections import told
from bing_llm.emulator.obedience.tool_results import ToolResult, answer_from
from bing_llm.errors import ConfigurationError

PACE_S = 0.01  # a word: a long answer takes a second or two, as a fast service does

_WORD = re.compile(r"\S+\s*|\s+")
_PICTURE = re.compile(
    r"\b(?:draw|paint|нарисуй)\b|\b(?:generate|create|make)\b.{0,40}\b(?:image|picture|drawing)", re.IGNORECASE
)

# A tool that hands the question on gives this back.
_GO_ON = re.compile(r"\b(?:continue|proceed|go on)\b.{0,40}\b(?:request|question|task|conversation)\b", re.IGNORECASE)


class Obedient:
    """Answers without a model, the same answer to the same question.

    It follows the instructions for tools, JSON, steps of reasoning and code that it finds in the prompt or the context,
    answers from texts that come along, searches when asked about current things, cites what it found, does sums,
    repeats what it was told, and says of everything else that it is no model.

    Args:
        pace: The pause before each word, in seconds; 0 for none.
        sleep: Waits that many seconds.

    Raises:
        ConfigurationError: The pace is below zero.
    """

    def __init__(self, pace: float = PACE_S, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        if not pace >= 0:
            raise ConfigurationError(f"pace is {pace} seconds; it must be 0 or more.")
        self._pace = pace
        self._sleep = sleep

    async def answer(self, question: Question) -> AsyncIterator[Output]:
        """The events of the answer, the text in words."""
        for event in _answer(question):
            if not isinstance(event, ev.TextDelta):
                yield event
                continue
            for word in _WORD.findall(event.text):
                if self._pace:
                    await self._sleep(self._pace)
                yield ev.TextDelta(word)


def _answer(question: Question) -> Iterator[ev.Event]:
    text, context = put_back(question.text, question.context, question.history)
    context = whole_context(question.history, context)
    question = msgspec.structs.replace(question, text=text, context=context, history=())
    if (state := read_reasoning(text, context)) is not None:
        said, rules, done = state.question, list[str](), next_step(state)
        if done is None:
            yield ev.TextDelta(answer_begins(state))
    else:
        waiting = waiting_results(context)
        asked = read_instructions(text, strictly=bool(waiting))
        said, rules = asked.question, told(context)
        done = _obeyed(asked, asked.results or (() if said else waiting), question) or _done(said, rules, question)
    if done is None:
        yield from _answered(said, rules, question)
    else:
        yield ev.TextDelta(done)


def _done(said: str, rules: Sequence[str], question: Question) -> str | None:
    """Code for the user to run, or what is wanted of a text that came along; None where neither is wanted."""
    coding = read_coding(question.context)
    return answer_about(said, rules) if coding is None else next_code(said, coding)


def _answered(said: str, rules: Sequence[str], question: Question) -> Iterator[ev.Event]:
    if _PICTURE.search(said):
        yield ev.ImageRequested(topic_of(said))
        yield ev.TextDelta("I'll try to create that.")
    elif (known := _known(said, question) or answer_from_told(said, rules)) is not None:
        yield ev.TextDelta(known)
    elif question.search and needs_search(said):
        yield from _searched(said)
    else:
        yield ev.TextDelta(plain_answer(said) + _pictures(question))
    yield ev.Suggestions(suggestions_for(said))


def _obeyed(asked: Instructions, results: tuple[ToolResult, ...], question: Question) -> str | None:
    """Calls of tools, JSON, or an answer from what tools gave back; None where none of them is wanted."""
    said = asked.question or next(reversed(_earlier(question)), "")
    earlier: list[ToolResult] = []
    if not asked.question:
        earlier = results_before(question.context)
        results = results or tuple(earlier)
    evidence = "\n".join((said, *(result.text for result in results)))
    tools = _still_useful(asked, (*earlier, *results), freely=asked.must_call or not results)
    calls = choose_calls(evidence, tools, must_call=asked.must_call, one_call=asked.one_call)
    if calls:
        return written(calls)
    schema = asked.schema or (None if asked.tools else told_schema(question.context))
    if schema is not None:
        keys = schema.get("properties", {})
        filled = Filler(schema, Evidence(evidence, ignore=keys), thorough=True).object()
        return json.dumps(filled, ensure_ascii=False)
    return answer_from(results) if results else None


def _still_useful(asked: Instructions, results: Sequence[ToolResult], *, freely: bool) -> list[Tool]:
    """The tools that gave nothing yet; where they all did, those that failed, else all.

    Args:
        asked: The tools.
        results: What they gave since the question.
        freely: Whether one may be called. Else only a result that says so lets tools be called that gave nothing yet.
    """
    asked_before = {result.name for result in results}
    failed = {result.name for result in results if result.failed}
    fresh = [tool for tool in asked.tools if tool.name not in asked_before]
    if not freely:
        return fresh if _GO_ON.search(results[-1].text) else []
    return fresh or [tool for tool in asked.tools if tool.name in failed] or list(asked.tools)


def _known(said: str, question: Question) -> str | None:
    """What follows from the question and what was said before."""
    return recalled(said, _earlier(question)) or said_again(said) or calculated(said) or noted(said)


def _earlier(question: Question) -> list[str]:
    return said_before(question.context)


def _searched(said: str) -> Iterator[ev.Event]:
    query = query_of(said)
    yield ev.SearchStarted(query)
    yield ev.SearchResults(found_pages(query))
    yield ev.Progress("Generating answers for you...")
    yield ev.TextDelta(answer_from_pages(query))


def _pictures(question: Question) -> str:
    sizes = [f"{len(image.data):,} bytes" if image.data else image.url for image in question.images]
    return f"\n\nWith it came a picture ({', '.join(sizes)})." if sizes else ""
