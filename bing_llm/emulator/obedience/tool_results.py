"""The results of tools, as they stand in a prompt: `<tool_result name="...">...</tool_result>`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

import msgspec

__all__ = ["BLOCK", "ToolResult", "answer_from", "results_in"]

# The tag alone, as rules mention it, does not begin a block.
BLOCK = re.compile(r"<tool_result\b([^<>]*)>((?:(?!<tool_result\b).)*?)</tool_result>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


class ToolResult(msgspec.Struct, frozen=True):
    """What one tool answered."""

    name: str
    text: str
    failed: bool = False


def results_in(text: str) -> Iterator[ToolResult]:
    """The results in a text, in order."""
    for attributes, content in BLOCK.findall(text):
        known = dict(_ATTRIBUTE.findall(attributes))
        failed = known.get("status", "").lower() == "error"
        yield ToolResult(html.unescape(known.get("name", "")), _unescaped(content.strip()), failed)


def answer_from(results: Iterable[ToolResult]) -> str:
    """A short text that passes the results on."""
    return "\n".join(_sentence(result) for result in results)


def _sentence(result: ToolResult) -> str:
    name = result.name or "the tool"
    if result.failed:
        return f"I asked {name}, but it failed: {result.text}"
    return f"According to {name}: {result.text}" if result.text else f"I asked {name}; it gave back nothing."


def _unescaped(text: str) -> str:
    """The text as the tool wrote it; left escaped where it would else read as a block of ours."""
    plain = html.unescape(text)
    return text if "<tool_" in plain else plain
