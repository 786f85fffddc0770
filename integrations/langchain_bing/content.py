"""What stands in a LangChain message: its text, and its calls, in the forms of several providers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from bing_llm.errors import InvalidRequest
from bing_llm.tools.prompt import render_foreign_call
from langchain_bing.pictures import PICTURES

__all__ = ["Made", "Result", "calls_of", "results_of", "text_of"]

_log = logging.getLogger(__name__)

_CALLS = ("tool_call", "tool_use", "tool_call_chunk", "invalid_tool_call", "function_call")
_ARGUMENTS = ("args", "input", "arguments")
_ALLOWED = "Allowed: text, and pictures as `image_url` or `image` blocks in human messages."
_MAX_KEYS = 8  # of a block, in an error


class Made(msgspec.Struct, frozen=True):
    """A call that a model made: the `ids` by which a result may name it, its tool, and how the prompt shows it."""

    ids: frozenset[str]
    name: str
    written: str


class Result(msgspec.Struct, frozen=True):
    """What a tool gave back: the id of its call, the text, and whether it failed."""

    call_id: str
    text: str
    failed: bool


def text_of(message: BaseMessage) -> str:
    """The text of a message, each part on a line of its own, without its calls and results.

    Raises:
        InvalidRequest: It holds what the service cannot take; in an AI message that is left out, with a word in the
            log.
    """
    return _joined(_text_in(block, message) for block in _parts(message.content) if not _is_result(block, message))


def results_of(message: BaseMessage) -> list[Result]:
    """The results that stand in the content of a message, as Anthropic has them.

    Raises:
        InvalidRequest: A result holds what the service cannot take.
    """
    return [
        Result(
            str(block.get("tool_use_id", "")),
            _joined(_text_in(part, message, in_result=True) for part in _parts(block.get("content"))),
            bool(block.get("is_error")),
        )
        for block in _parts(message.content)
        if _is_result(block, message)
    ]


def calls_of(message: AIMessage) -> list[Made]:
    """The calls of a message, those included that stand in its content or its additional arguments alone."""
    made = [_made(call, call["args"], call.get("id")) for call in message.tool_calls]
    invalid = [_made(call, call["args"], call.get("id")) for call in message.invalid_tool_calls]
    known = frozenset[str]().union(*(call.ids for call in (*made, *invalid)))
    made += [call for call in _in_content(message) if known.isdisjoint(call.ids)]
    # Other libraries repeat the last call there.
    function = message.additional_kwargs.get("function_call")
    if isinstance(function, Mapping) and not made and not invalid:
        made = [_made(function, function.get("arguments"))]
    return made + invalid


def _in_content(message: AIMessage) -> Iterator[Made]:
    for block in _parts(message.content):
        # A chunk without a name goes on with the one before it, which LangChain has joined.
        if isinstance(block, Mapping) and block.get("type") in _CALLS and block.get("name"):
            arguments = next((block[key] for key in _ARGUMENTS if key in block), None)
            yield _made(block, arguments, block.get("id"), block.get("call_id"))


def _made(call: Mapping[str, Any], arguments: Any, *ids: Any) -> Made:
    name = str(call.get("name") or "")
    known = frozenset(str(key) for key in ids if key) or frozenset(("",))
    return Made(known, name, render_foreign_call(name, arguments))


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [str(content)] if content else []


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)


def _is_result(block: Any, message: BaseMessage) -> bool:
    may_hold = isinstance(message, HumanMessage | ToolMessage)
    return may_hold and isinstance(block, Mapping) and block.get("type") == "tool_result"


def _text_in(block: Any, message: BaseMessage, *, in_result: bool = False) -> str:
    """The text that stands for a block."""
    if not isinstance(block, Mapping):
        return str(block)
    from_ai = isinstance(message, AIMessage)
    match block.get("type", "text" if "text" in block else None):
        case "text" | "input_text" | "output_text" | "refusal":
            return str(block.get("text") or block.get("refusal") or "")
        case "text-plain" | "document" | "file" if (text := _text_of_document(block)) is not None:
            return text
        case kind if kind in PICTURES and (from_ai or (isinstance(message, HumanMessage) and not in_result)):
            return "[image]"
        case "json":
            data: bytes = msgspec.json.encode(block.get("json"), enc_hook=str)
            return data.decode()
        case kind:
            if not from_ai:
                raise InvalidRequest(_complaint(block, kind, message, in_result=in_result), hint=_ALLOWED)
            if kind not in _CALLS:
                _log.debug("a block of type %r in an AI message is not sent back", kind)
            return ""


def _text_of_document(block: Mapping[str, Any]) -> str | None:
    """What a document says, in LangChain's form or in Anthropic's; None for one that is not text."""
    source = block.get("source")
    text = block.get("text")
    if isinstance(source, Mapping) and source.get("type") == "text":
        text = source.get("data")
    elif isinstance(source, Mapping) and source.get("type") == "content":
        text = _text_of_source(source.get("content"))
    if not isinstance(text, str):
        return None
    return _joined(str(part or "") for part in (block.get("title"), block.get("context"), text))


def _text_of_source(content: Any) -> str | None:
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in _parts(content)]
    told = [text for text in texts if isinstance(text, str)]
    return _joined(told) if len(told) == len(texts) else None


def _complaint(block: Mapping[str, Any], kind: Any, message: BaseMessage, *, in_result: bool) -> str:
    where = f"A result in a {message.type} message" if in_result else f"A {message.type} message"
    what = f"block of type {str(kind)!r:.64}"
    if not kind:
        keys = ", ".join(f"{str(key)!r:.32}" for key in list(block)[:_MAX_KEYS])
        what = f"block without a type or text (its keys: {keys or 'none'})"
    return f"{where} holds a {what}, which the service does not take."
