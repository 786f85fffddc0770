"""What was said before the question: in the context, and in earlier turns of the conversation.

A context may also hold what was too long for the prompt. `put_back` moves it to where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bing_llm.emulator.obedience.instructions import has_listing, has_rules, read_instructions
from bing_llm.emulator.obedience.sections import Section, sections_of, told
from bing_llm.emulator.obedience.tool_results import ToolResult, results_in

__all__ = ["put_back", "results_before", "said_before", "told_schema", "waiting_results"]

_ELSEWHERE = re.compile(
    r"(?:please )?(?:answer|reply|respond|go on|continue)\b.{0,60}"
    r"\b(?:last message (?:of|in|from) the (?:context|conversation)|at the end of the context)\b",
    re.IGNORECASE,
)


def said_before(context: str, questions: Iterable[str]) -> list[str]:
    """What the user said before, without instructions, the oldest first; a context without roles counts as one message.

    Args:
        context: The context, as `bing_llm.messages.convert` writes a history, or any text.
        questions: The earlier prompts of the conversation.
    """
    before, sections = sections_of(context)
    said = [before, *(section.text for section in sections if section.is_user), *questions]
    return [text for prompt in said if (text := read_instructions(prompt).question)]


def waiting_results(context: str) -> tuple[ToolResult, ...]:
    """The tool results at the end of the context, which nothing was said after."""
    before, sections = sections_of(context)
    texts = [section.text for section in _last_results(sections)] if sections else [before]
    return tuple(result for text in texts for result in results_in(text))


def results_before(context: str, questions: Sequence[str]) -> list[ToolResult]:
    """The tool results since the user last asked something.

    Args:
        context: As for `said_before`.
        questions: As for `said_before`.
    """
    said = [(section.is_user, section.text) for section in sections_of(context)[1]]
    results: list[ToolResult] = []
    for is_user, text in reversed([*said, *((True, question) for question in questions)]):
        if is_user and read_instructions(text).question:
            break
        results[:0] = results_in(text)
    return results


def told_schema(context: str) -> dict[str, Any] | None:
    """The JSON schema that the system wants answers to follow; None for none."""
    asked = (read_instructions(text) for text in reversed(told(context)))
    return next((found.schema for found in asked if found.schema is not None and not found.tools), None)


def put_back(prompt: str, context: str) -> tuple[str, str]:
    """The prompt and the context as they would be if nothing had been too long.

    A prompt that points to the end of the context gets what stands there in place of these words, and one with rules
    but no tools and no schema gets those of the last section.
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
    text = "\n\n".join(part for part in (first, listing, rest) if part)
    return text, before + "".join(section.whole for section in sections)


def _last_results(sections: Sequence[Section]) -> list[Section]:
    """The sections at the end that are results of tools: the last of any role, those before it of a tool."""
    found: list[Section] = []
    for section in reversed(sections):
        if not any(results_in(section.text)) or (found and section.is_user):
            break
        found.insert(0, section)
    return found
