"""What was said before the question: in the context, and in earlier turns of the conversation.

A context may also hold what was too long for the prompt, and an earlier turn the tools or the schema that still hold.
`put_back` moves both to where they belong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bing_llm.emulator.brains.base import PastTurn
from bing_llm.emulator.obedience.instructions import has_listing, has_rules, read_instructions
from bing_llm.emulator.obedience.sections import Section, sections_of, told
from bing_llm.emulator.obedience.tool_results import ToolResult, results_in

__all__ = ["put_back", "results_before", "said_before", "told_schema", "waiting_results", "whole_context"]

_ELSEWHERE = re.compile(
    r"(?:please )?(?:answer|reply|respond|go on|continue)\b.{0,60}"
    r"\b(?:last message (?:of|in|from) the (?:context|conversation)|at the end of the context)\b",
    re.IGNORECASE,
)


def said_before(context: str) -> list[str]:
    """What the user said before, without instructions, the oldest first; a context without roles counts as one message.

    Args:
        context: The context, as `bing_llm.messages.convert` writes a history, or any text.
    """
    before, sections = sections_of(context)
    said = [before, *(section.text for section in sections if section.is_user)]
    return [text for prompt in said if (text := read_instructions(prompt).question)]


def waiting_results(context: str) -> tuple[ToolResult, ...]:
    """The tool results at the end of the context, which nothing was said after."""
    before, sections = sections_of(context)
    texts = [section.text for section in _last_results(sections)] if sections else [before]
    return tuple(result for text in texts for result in results_in(text))


def results_before(context: str) -> list[ToolResult]:
    """The tool results since the user last asked something; the context as for `said_before`."""
    results: list[ToolResult] = []
    for section in reversed(sections_of(context)[1]):
        if section.is_user and read_instructions(section.text).question:
            break
        results[:0] = results_in(section.text)
    return results


def told_schema(context: str) -> dict[str, Any] | None:
    """The JSON schema that the system wants answers to follow; None for none."""
    asked = (read_instructions(text) for text in reversed(told(context)))
    return next((found.schema for found in asked if found.schema is not None and not found.tools), None)


def whole_context(history: Iterable[PastTurn], context: str) -> str:
    """The context as it would be if a new conversation had been told all of it."""
    turns = (
        f"{turn.context}[user](#message)\n{turn.question}\n\n[assistant](#message)\n{turn.answer}\n\n"
        for turn in history
    )
    return "".join((*turns, context))


def put_back(prompt: str, context: str, history: Sequence[PastTurn] = ()) -> tuple[str, str]:
    """The prompt and the context as they would be if nothing had been too long, and nothing been said before.

    A prompt that points to the end of the context gets what stands there in place of these words, and one with rules
    but no tools and no schema gets those of the last section, else those of the last turn that had some.
    """
    before, sections = sections_of(context)
    first, _, rest = prompt.partition("\n\n")
    if sections and _ELSEWHERE.match(first):
        moved = _last_results(sections) or sections[-1:]
        del sections[-len(moved) :]
        first = "\n\n".join(section.text.strip() for section in moved)
    listing = ""
    rules = rest or first
    if sections and has_rules(rules) and not has_listing(rules) and has_listing(sections[-1].text):
        listing = sections.pop().text.strip()
    elif has_rules(rules) and not has_listing(rules):
        listing = _listing_before(history)
    text = "\n\n".join(part for part in (first, listing, rest) if part)
    return text, before + "".join(section.whole for section in sections)


def _listing_before(history: Sequence[PastTurn]) -> str:
    for turn in reversed(history):
        texts = (turn.question, *(section.text for section in reversed(sections_of(turn.context)[1])))
        for text in texts:
            listing = "\n\n".join(part.strip() for part in text.split("\n\n") if has_listing(part))
            if listing:
                return listing
    return ""


def _last_results(sections: Sequence[Section]) -> list[Section]:
    """The sections at the end that are results of tools: the last of any role, those before it of a tool."""
    found: list[Section] = []
    for section in reversed(sections):
        if not any(results_in(section.text)) or (found and section.is_user):
            break
        found.insert(0, section)
    return found
