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
them, results in a human message stand before it, and a picture stands as `[image]`. Pictures go with the turn that asks
with them and with the results of its tools: of what a human said since the last answer, those of the newest message
that has some are sent; no earlier ones.
What the service cannot take (audio, video, PDF) is refused. What an AI message holds besides text, pictures and calls
(reasoning, searches) was the service's own and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

from bing_llm.completion.history import History, HistoryMessage, label
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools.prompt import render_result
from langchain_bing.content import calls_of, results_of, text_of
from langchain_bing.pictures import pictures_in

__all__ = ["read_messages"]

_REMOVE_ALL = "__remove_all__"  # LangGraph's REMOVE_ALL_MESSAGES
_ROLES = {role: role for role in ("system", "user", "assistant", "tool")} | {
    "human": "user",
    "ai": "assistant",
    "function": "tool",
}
"""In any case of letters; other roles stay as they are."""


def read_messages(messages: Sequence[BaseMessage]) -> History:
    """Read a history, the oldest message first.

    Raises:
        InvalidRequest: A message holds what the service cannot take, or is of an unknown kind, or has no role.
    """
    names: dict[str, str] = {}  # of tools, by the ids of their calls
    said: list[HistoryMessage] = []
    for message in _kept(messages):
        if isinstance(message, AIMessage):
            names.update((key, call.name) for call in calls_of(message) for key in call.ids if key)
        told = [HistoryMessage(part) for part in _read(message, names)]
        if told[-1].message.role == "user":
            told[-1] = HistoryMessage(told[-1].message, pictures_in(message.content))
        said += told
    return History.of(said)


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


def _read(message: BaseMessage, names: Mapping[str, str]) -> list[Message]:
    """What is told of a message, one part at least."""
    match message:
        case AIMessage():
            calls = (call.written for call in calls_of(message))
            return [Message("assistant", "\n".join(part for part in (_named(message), *calls) if part))]
        case ToolMessage():
            return [_result_of(message, message.name or names.get(message.tool_call_id, ""))]
        case FunctionMessage():
            return [_result(message.name, text_of(message))]
        case SystemMessage():
            return [Message("system", _named(message))]
        case HumanMessage():
            return _said_by_human(message, names)
        case ChatMessage():
            return [_said_in_chat(message)]
    kind = type(message).__name__
    raise InvalidRequest(
        f"A {kind} is no message that can be sent.", hint="Pass system, human, AI, tool or chat messages."
    )


def _said_by_human(message: HumanMessage, names: Mapping[str, str]) -> list[Message]:
    """Results first, as messages of tools: nothing that a user writes is one."""
    results = [
        _result(names.get(result.call_id, ""), result.text, failed=result.failed) for result in results_of(message)
    ]
    said = _named(message)
    return [*results, Message("user", said)] if said or not results else results


def _result_of(message: ToolMessage, name: str) -> Message:
    inner = results_of(message)
    text = "\n".join(part for part in (text_of(message), *(result.text for result in inner)) if part)
    return _result(name, text, failed=message.status == "error" or any(result.failed for result in inner))


def _result(name: str, text: str, *, failed: bool = False) -> Message:
    return Message("tool", render_result(name, text, failed=failed))


def _said_in_chat(message: ChatMessage) -> Message:
    role = label(message.role)
    if not role:
        raise InvalidRequest("A ChatMessage has no role.", hint="Pass one, such as 'user', 'assistant' or 'system'.")
    role = _ROLES.get(role.lower(), role)
    return _result(message.name or "", text_of(message)) if role == "tool" else Message(role, _named(message))


def _named(message: BaseMessage) -> str:
    text = text_of(message)
    name = label(message.name or "")
    return f"{name}: {text}" if name and text else text
