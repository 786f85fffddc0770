"""LlamaIndex's messages as ours: text that the service takes, and the pictures of the turn.

=========================  ============================================================================================
role                       what becomes of the message
=========================  ============================================================================================
system, developer          a message of the role `system`
user                       a message of the role `user`
assistant, chatbot, model  a message of the role `assistant`, its calls behind its text
tool, function             a result block, which names the tool
=========================  ============================================================================================

=========================  ============================================================================================
block                      what becomes of it
=========================  ============================================================================================
text                       its text, on lines of its own
image                      `[image]`; a user's goes with the turn that asks with it, and with the results of its tools
document                   its text behind its title: text from data, a path or a `data:` URL
citable, citation          title, source and what they quote; citations of an assistant are left out
tool call                  the form in which the model is asked to write it; in assistant messages alone
thinking, cache            left out
audio, video, others       refused; in the results of tools `[audio]` and so on
=========================  ============================================================================================

In `additional_kwargs`, `name` goes before the text, or names the tool of a result; `tool_call_id` says which call a
result answers; `tool_calls` and `function_call` are read where no block repeats them. LlamaIndex does not say whether a
tool failed. Pictures in the messages of systems are refused. In those of an assistant nothing is: what cannot be sent
back is left out. Files that `path` names are read, as everywhere in LlamaIndex: let no stranger choose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from bing_llm.completion.history import History, HistoryMessage, label
from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message
from bing_llm.tools.prompt import render_result
from llama_index.llms.bing.content import calls_of, text_of
from llama_index.llms.bing.pictures import pictures_in

__all__ = ["read_messages"]

_HINT = "Pass a list of ChatMessage objects, such as ChatMessage('Hello')."
_ROLES = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def read_messages(messages: Sequence[ChatMessage]) -> History:
    """Read a history, the oldest message first. It is not changed.

    Raises:
        InvalidRequest: It is no list of `ChatMessage`s, or one holds what the service cannot take.
    """
    given: Any = messages
    if isinstance(given, str | ChatMessage) or not isinstance(given, Iterable):
        raise InvalidRequest(f"The messages are a {type(given).__name__}.", hint=_HINT)
    names: dict[str, str] = {}  # of tools, by the ids of their calls
    return History.of([_read(message, names) for message in given])


def _read(message: Any, names: dict[str, str]) -> HistoryMessage:
    """One message; `names` learns its calls."""
    if not isinstance(message, ChatMessage):
        raise InvalidRequest(f"One of the messages is a {type(message).__name__}.", hint=_HINT)
    role = _role_of(message)
    text = text_of(message, role)
    match role:
        case "tool":
            return HistoryMessage(Message(role, render_result(_tool_of(message, names), text, failed=None)))
        case "user":
            return HistoryMessage(Message(role, _named(message, text)), pictures_in(message.blocks))
        case "assistant":
            calls = calls_of(message)
            names.update((key, call.name) for call in calls for key in call.ids)
            parts = (_named(message, text), *(call.written for call in calls))
            return HistoryMessage(Message(role, "\n".join(part for part in parts if part)))
        case _:
            return HistoryMessage(Message(role, _named(message, text)))


def _role_of(message: ChatMessage) -> str:
    try:
        return _ROLES[MessageRole(message.role)]
    except ValueError as exc:
        allowed = ", ".join(role.value for role in MessageRole)
        raise InvalidRequest(f"A ChatMessage has the role {message.role!r:.64}.", hint=f"Allowed: {allowed}.") from exc


def _tool_of(message: ChatMessage, names: Mapping[str, str]) -> str:
    name = _additional(message, "name")
    return name or names.get(_additional(message, "tool_call_id"), "")


def _named(message: ChatMessage, text: str) -> str:
    name = label(_additional(message, "name"))
    return f"{name}: {text}" if name and text else text


def _additional(message: ChatMessage, key: str) -> str:
    value = message.additional_kwargs.get(key)
    return value if isinstance(value, str) else ""
