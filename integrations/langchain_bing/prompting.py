"""LangChain's messages as ours: text that the service takes, and the pictures of the turn.

===================  ==================================================================================================
message              what becomes of it
===================  ==================================================================================================
system, human, AI    a message of the role `system`, `user` or `assistant`
chat                 a message of its own role
tool, function       a result block, which names the tool and whether it failed
remove               the message of that id is left out; `__remove_all__` leaves out all before it
===================  ==================================================================================================

A message's `name` goes before its text. Of list content, text is kept, calls are written as the model shall write
them, and a picture stands as `[image]`; those of the newest human message that has some go with the turn. What the
service cannot take (audio, video, PDF) is refused. What an AI message holds besides text, pictures and calls
(reasoning, searches) was the service's own and is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools import Call, written_calls, written_result

__all__ = ["History", "read_messages"]

_log = logging.getLogger(__name__)

_REMOVE_ALL = "__remove_all__"  # LangGraph's REMOVE_ALL_MESSAGES
_CALLS = {"tool_call", "tool_use", "tool_call_chunk", "invalid_tool_call", "function_call"}
_ALLOWED = "Allowed: text, and pictures as `image_url` or `image` blocks in human messages."


class History(msgspec.Struct, frozen=True):
    """What the messages say: `messages` for the prompt, and the `images` of the newest message that has some."""

    messages: tuple[Message, ...]
    images: tuple[str, ...]


def read_messages(messages: Sequence[BaseMessage]) -> History:
    """Read a history, the oldest message first.

    Raises:
        InvalidRequest: A message holds what the service cannot take, or is of an unknown kind.
    """
    names: dict[str, str] = {}  # of tools, by the ids of their calls
    read: list[Message] = []
    images: tuple[str, ...] = ()
    for message in _kept(messages):
        if isinstance(message, AIMessage):
            names.update((call["id"] or "", call["name"]) for call in message.tool_calls)
        if isinstance(message, HumanMessage):
            images = tuple(_images_of(message)) or images
        read.append(_read(message, names))
    return History(tuple(read), images)


def _kept(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    kept: list[BaseMessage] = []
    for message in messages:
        if not isinstance(message, RemoveMessage):
            kept.append(message)
        elif message.id == _REMOVE_ALL:
            kept.clear()
        else:
            left = [other for other in kept if other.id != message.id]
            if len(left) == len(kept):
                raise InvalidRequest(f"A RemoveMessage names the id {message.id!r}, which no message before it has.")
            kept = left
    return kept


def _read(message: BaseMessage, names: Mapping[str, str]) -> Message:
    match message:
        case AIMessage():
            return Message("assistant", _said_by_ai(message))
        case ToolMessage():
            name = message.name or names.get(message.tool_call_id, "")
            failed = message.status == "error"
            return Message("tool", written_result(name, _text_of(message), failed=failed))
        case FunctionMessage():
            return Message("tool", written_result(message.name, _text_of(message)))
        case SystemMessage():
            return Message("system", _named(message))
        case HumanMessage():
            return Message("user", _named(message))
        case ChatMessage():
            return Message(_ROLES.get(message.role.lower(), message.role), _named(message))
    kind = type(message).__name__
    raise InvalidRequest(
        f"A {kind} is no message that can be sent.", hint="Pass system, human, AI, tool or chat messages."
    )


_ROLES = {"human": "user", "ai": "assistant"}


def _named(message: BaseMessage) -> str:
    text = _text_of(message)
    return f"{message.name}: {text}" if message.name and text else text


def _said_by_ai(message: AIMessage) -> str:
    said = _named(message)
    calls = [Call(call["name"], call["args"]) for call in message.tool_calls]
    known = {call["id"] for call in message.tool_calls}
    calls += [call for block in _blocks(message) if (call := _call_in(block, known)) is not None]
    invalid = [call["args"] or "" for call in message.invalid_tool_calls]
    return "\n".join(part for part in (said, written_calls(calls), *invalid) if part)


def _call_in(block: Any, known: set[str | None]) -> Call | None:
    """A call that stands in the content alone, as Anthropic's `tool_use` blocks do."""
    if not isinstance(block, dict) or block.get("type") not in {"tool_use", "tool_call"} or block.get("id") in known:
        return None
    arguments = block.get("input", block.get("args"))
    return Call(str(block.get("name", "")), arguments if isinstance(arguments, dict) else {})


def _blocks(message: BaseMessage) -> list[Any]:
    return message.content if isinstance(message.content, list) else []


def _text_of(message: BaseMessage) -> str:
    return _text_of_parts(message.content, message)


def _text_of_parts(content: Any, message: BaseMessage) -> str:
    if not isinstance(content, list):
        return str(content or "")
    parts = (_text_in(block, message) if isinstance(block, Mapping) else str(block) for block in content)
    return "\n".join(part for part in parts if part)


def _text_in(block: Mapping[str, Any], message: BaseMessage) -> str:
    """The text that stands for a block."""
    kind = block.get("type", "text" if "text" in block else "")
    from_ai = isinstance(message, AIMessage)
    match kind:
        case "text" | "text-plain" | "refusal":
            return str(block.get("text") or block.get("refusal") or "")
        case "image" | "image_url" | "input_image" if from_ai or isinstance(message, HumanMessage):
            return "[image]"
        case "json":
            data: bytes = msgspec.json.encode(block.get("json"), enc_hook=str)
            return data.decode()
        case "tool_result":
            return written_result("", _text_of_parts(block.get("content"), message), failed=bool(block.get("is_error")))
        case _ if kind in _CALLS:
            return ""
    if not from_ai:
        msg = f"A {message.type} message holds a block of type {kind!r}, which the service does not take."
        raise InvalidRequest(msg, hint=_ALLOWED)
    _log.debug("a block of type %r in an AI message is not sent back", kind)
    return ""


def _images_of(message: HumanMessage) -> Iterable[str]:
    for block in _blocks(message):
        if isinstance(block, dict) and block.get("type") in {"image", "image_url", "input_image"}:
            yield _image_source(block)


def _image_source(block: Mapping[str, Any]) -> str:
    """The URL of a picture in OpenAI's form, or in LangChain's forms of versions 0 and 1; base64 as a `data:` URL."""
    image_url = block.get("image_url")
    url = image_url.get("url") if isinstance(image_url, Mapping) else image_url or block.get("url")
    data = block.get("base64") or block.get("data")
    source = block.get("source")
    kind = block.get("mime_type") or "image/png"
    if isinstance(source, Mapping):  # Anthropic's form
        url, data, kind = source.get("url"), source.get("data"), source.get("media_type") or kind
    if isinstance(data, str) and data:
        return f"data:{kind};base64,{data}"
    # A path would be read from this machine's disk, and messages may come from strangers.
    if isinstance(url, str) and url.startswith(("http://", "https://", "data:")):
        return url
    raise InvalidRequest("An image block has neither base64 data nor an http(s) or data: URL.", hint=_ALLOWED)
