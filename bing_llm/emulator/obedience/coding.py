"""Agents that act by writing Python, which their user runs (CodeAct): code between tags, then its result."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from bing_llm.emulator.obedience.arithmetic import calculated
from bing_llm.emulator.obedience.calling import Call, choose_calls
from bing_llm.emulator.obedience.sections import sections_of, told
from bing_llm.emulator.obedience.signatures import Signature, signatures_in

__all__ = ["Coding", "next_code", "read_coding"]

_TAG = re.compile(r"<(\w+)>")
_END_TAG = re.compile(r"</(\w+)>")
_CODE = re.compile(r"\b(?:Python|code)\b", re.IGNORECASE)


class Coding(msgspec.Struct, frozen=True):
    """What the system told of the code.

    Attributes:
        tag: The name of the tags around the code.
        functions: What the code may call besides what Python brings.
        has_run: Whether the message before the prompt was code, so that the prompt is its result.
    """

    tag: str
    functions: tuple[Signature, ...] = ()
    has_run: bool = False


def read_coding(context: str) -> Coding | None:
    """What the system told of the code that it wants; None where it wants none.

    Args:
        context: The context, as `bing_llm.messages.convert` writes a history.
    """
    rules = "\n\n".join(told(context))
    tag = next(filter(None, map(_tag_in, rules.splitlines())), "")
    if not tag:
        return None
    said = [part for part in sections_of(context)[1] if part.role != "system"]
    has_run = bool(said) and said[-1].role == "assistant" and f"<{tag}>" in said[-1].text
    # Functions inside the tags are those of an example.
    outside = "\n".join(part.partition(f"<{tag}>")[0] for part in rules.split(f"</{tag}>"))
    return Coding(tag, tuple(signatures_in(outside)), has_run)


def next_code(text: str, state: Coding) -> str | None:
    """What the agent writes next: code for a question, or the answer from a result; None where neither helps.

    Args:
        text: The question, or the result of the code before it.
        state: What the system told.
    """
    if state.has_run:
        return f"The result is: {_without_label(text)}"
    calls = choose_calls(text, [function.tool for function in state.functions])
    lines = [_written(call, state.functions) for call in calls]
    if not lines and (result := calculated(text)) is not None:
        lines = [result.partition(" = ")[0]]
    code = "\n".join(f"print({line})" for line in lines)
    return f"<{state.tag}>\n{code}\n</{state.tag}>" if code else None


def _tag_in(line: str) -> str:
    """The name of the tags that a line wants code between; "" for none."""
    if not _CODE.search(line):
        return ""
    ended = set(_END_TAG.findall(line))
    return next((tag for tag in _TAG.findall(line) if tag in ended), "")


def _written(call: Call, functions: Sequence[Signature]) -> str:
    by_name = next(function.by_name for function in functions if function.tool.name == call.name)
    values = (f"{name}={value!r}" if name in by_name else repr(value) for name, value in call.arguments.items())
    return f"{call.name}({', '.join(values)})"


def _without_label(text: str) -> str:
    """The text without a first line that only says what follows."""
    first, _, rest = text.strip().partition("\n")
    return rest.strip() if first.rstrip().endswith(":") and rest.strip() else text.strip()
