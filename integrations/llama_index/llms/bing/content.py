"""What stands in a LlamaIndex message: its text, and its calls, in the forms of several libraries."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from bing_llm.errors import InvalidRequest
from bing_llm.tools.prompt import render_foreign_call
from llama_index.llms.bing.documents import text_of_document

__all__ = ["Made", "calls_of", "text_of"]

_log = logging.getLogger(__name__)

_IDS = ("id", "call_id", "tool_id", "tool_call_id")
_NAMES = ("name", "tool_name")
_ARGUMENTS = ("arguments", "input", "args", "tool_kwargs")
_ALLOWED = "Allowed: text, documents of text, calls in assistant messages, and pictures in user messages."


class Made(msgspec.Struct, frozen=True):
    """A call that a model made: the `ids` by which a result may name it, its tool, and how the prompt shows it."""

    ids: frozenset[str]
    name: str
    written: str


def text_of(message: ChatMessage, role: str) -> str:
    """The text of a message, each block on a line of its own, without its calls.

    Args:
        message: The message.
        role: `system`, `user`, `assistant` or `tool`, which decides what it may hold.

    Raises:
        InvalidRequest: It holds what the service cannot take; in a message of the assistant that is left out, and the
            result of a tool names it, with a word in the log.
    """
    return _joined(_told(block, role) for block in message.blocks)


def calls_of(message: ChatMessage) -> list[Made]:
    """The calls of a message, those included that stand in its additional arguments alone.

    Raises:
        InvalidRequest: The arguments of a call cannot be written as JSON.
    """
    made = [
        _made(block.tool_name, block.tool_kwargs, block.tool_call_id)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    known = frozenset[str]().union(*(call.ids for call in made))
    # Libraries repeat there what the blocks say. Without ids nobody can tell which, so then the blocks count alone.
    if made and not all(call.ids for call in made):
        return made
    return made + [call for call in _in_arguments(message) if not made or (call.ids and known.isdisjoint(call.ids))]


def _in_arguments(message: ChatMessage) -> Iterator[Made]:
    """The calls of OpenAI's form or of LlamaIndex's own, as mappings or objects."""
    more = message.additional_kwargs
    calls = more.get("tool_calls") or more.get("function_call")
    for call in calls if isinstance(calls, list | tuple) else [calls] if calls else []:
        function = _first(call, ("function",)) or call
        name = _first(function, _NAMES)
        if isinstance(name, str) and name:
            yield _made(name, _first(function, _ARGUMENTS), *(_first(call, (key,)) for key in _IDS))
        else:
            _log.debug("a call of type %s in an assistant message cannot be read", type(call).__name__)


def _first(owner: Any, keys: Iterable[str]) -> Any:
    values = (owner.get(key) if isinstance(owner, Mapping) else getattr(owner, key, None) for key in keys)
    return next((value for value in values if value is not None), None)


def _made(name: str, arguments: Any, *ids: Any) -> Made:
    known = frozenset(key for key in ids if isinstance(key, str) and key)
    return Made(known, name, render_foreign_call(name, arguments))


def _told(block: Any, role: str) -> str:
    """The text that stands for a block."""
    match block:
        case ThinkingBlock() | CachePoint():
            return ""
        case CitationBlock() | ToolCallBlock() if role == "assistant":  # a service's own notes; and see `calls_of`
            return ""
        case CitableBlock() | CitationBlock():
            return _joined((block.title, block.source, *(_text_in(inner, role) for inner in block.nested_blocks)))
        case _:
            return _text_in(block, role)


def _text_in(block: Any, role: str) -> str:
    """The text of a block that holds no others: what is quoted quotes nothing."""
    try:
        return _text_of_one(block, role)
    except InvalidRequest as exc:
        if role not in {"assistant", "tool"}:
            raise
        _log.debug("not sent back: %s", exc.message)
        return f"[{getattr(block, 'block_type', 'data')}]" if role == "tool" else ""


def _text_of_one(block: Any, role: str) -> str:
    match block:
        case TextBlock():
            return block.text
        case DocumentBlock():
            return text_of_document(block, role)
        case ImageBlock() if role in {"user", "assistant", "tool"}:
            return "[image]"
    kind = type(block).__name__
    msg = f"A {role} message holds a block of type {kind}, which the service does not take."
    raise InvalidRequest(msg, hint=_ALLOWED)


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)
