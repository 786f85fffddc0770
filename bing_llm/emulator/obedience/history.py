"""What was said before the question: in the context, and in earlier turns of the conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bing_llm.emulator.obedience.instructions import read_instructions
from bing_llm.emulator.obedience.tool_results import ToolResult, results_in

__all__ = ["said_before", "waiting_results"]

_SECTION = re.compile(r"^\[(\w+)\]\(#\w+\)[ \t]*\n?", re.MULTILINE)
_USER = {"user", "human"}


def said_before(context: str, questions: Iterable[str]) -> list[str]:
    """What the user said before, without instructions, the oldest first; a context without roles counts as one message.

    Args:
        context: The context, as `bing_llm.messages.convert` writes a history, or any text.
        questions: The earlier prompts of the conversation.
    """
    before, *sections = _SECTION.split(context)
    roles, texts = sections[::2], sections[1::2]
    said = [before, *(text for role, text in zip(roles, texts, strict=True) if role.lower() in _USER), *questions]
    return [text for prompt in said if (text := read_instructions(prompt).question)]


def waiting_results(context: str) -> tuple[ToolResult, ...]:
    """The tool results at the end of the context, which nothing was said after."""
    return tuple(results_in(_SECTION.split(context)[-1]))
