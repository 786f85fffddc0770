"""LangChain's messages as a history: text that the service takes, and the pictures of the turn.

`convert` is the public form of this mapping, and has the table. `ChatBing` sends by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard

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
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue

from bing_llm.completion.prompt import (
    History,
    HistoryBuilder,
    HistoryCall,
    image_url,
    join_lines,
    label,
    placeholder,
    render_context,
)
from bing_llm.errors import InvalidRequest
from bing_llm.tools.prompt import DEFAULT_PROMPT, ToolPrompt

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

_log = logging.getLogger(__name__)

_REMOVE_ALL = "__remove_all__"  # LangGraph's REMOVE_ALL_MESSAGES
_ROLES = {role: role for role in ("system", "user", "assistant", "tool")} | {
    "human": "user",
    "ai": "assistant",
    "function": "tool",
}
"""In any case of letters; other roles stay as they are."""

_CALLS = ("tool_call", "tool_use", "tool_call_chunk", "invalid_tool_call", "function_call")
_ARGUMENTS = ("args", "input", "arguments")
_PICTURES = ("image", "image_url", "input_image")
_FILES = ("file", "input_file", "document", "media", "text-plain")
_SOUNDS = ("audio", "input_audio")
_ALLOWED = "Allowed: text, and pictures as `image_url` or `image` blocks in human messages."
_PICTURES_ALLOWED = "Pass base64 data, or an http(s) or data: URL."
_MAX_KEYS = 8  # of a block, in an error


class Result(msgspec.Struct, frozen=True):
    """A tool's result in the content of a message.

    Attributes:
        call_id: The id of its call.
        text: Its text.
        failed: Whether the tool failed.
        content: What the tool returned, in which its pictures are.
    """

    call_id: str
    text: str
    failed: bool
    content: object


def convert(messages: LanguageModelInput) -> str:
    """Write a history as the text that the service takes as context: what `ChatBing` sends for these messages.

    Each message becomes `[role](#message)`, a line break, its text and an empty line, in this order. For a turn of its
    own, `ChatBing` sends the newest message beside this text, not in it.

    ===================  ===============================================================================================
    message              what becomes of it
    ===================  ===============================================================================================
    system, human, AI    a message of the role `system`, `user` or `assistant`
    chat                 a message of its own role
    tool, function       a message of the role `tool`: a result block, which names the tool and says whether it failed
    remove               the message of that id is left out; `__remove_all__` leaves out all before it
    ===================  ===============================================================================================

    ===================  ===============================================================================================
    content              what becomes of it
    ===================  ===============================================================================================
    text                 as it is, each block on a line of its own; a document of text after its title
    a call of an AI      the form in which the model is asked to write it, after the text
    a result in a human  a message of the role `tool`, before that message
    message
    a picture            `[image]`; those of the question go with the turn, or else those of the newest results
    a file, audio, ...   `[file: application/pdf]`, `[audio]`, `[video]`; `ChatBing` refuses it in the newest human
                         message while that has no answer
    other content of AI  left out: reasoning and searches were the service's own
    ===================  ===============================================================================================

    A message's `name` goes before its text. Content may have the form of several providers. No message can pass for
    another: text in it that looks like the header of a message, or like a result, is escaped, and so are calls in what
    a tool returned.

    Args:
        messages: What a chat model takes: messages of all kinds, tuples, dicts or strings in a list; a string; a prompt
            value.

    Raises:
        TypeError: It is a single message, or anything else that is not a list; put messages into a list.
        ValueError, NotImplementedError: LangChain cannot read one of them as a message.
        InvalidRequest: A message is of an unknown kind, or has no role, or removes what is not there.
    """
    return render_context(collect(_messages_of(messages)).messages)


def _messages_of(given: LanguageModelInput) -> Sequence[BaseMessage]:
    if isinstance(given, PromptValue):
        return given.to_messages()
    if isinstance(given, str):
        return [HumanMessage(given)]
    if isinstance(given, BaseMessage) or not isinstance(given, Sequence):  # a chat model does not take these either
        msg = f"The messages are a {type(given).__name__}; they must be a list, even of one message."
        raise TypeError(msg)
    return convert_to_messages(given)


def to_history(messages: Sequence[BaseMessage], tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> History:
    """Convert messages, the oldest first.

    Args:
        messages: The messages.
        tool_prompt: How calls are written.

    Raises:
        InvalidRequest: This turn's author wrote what the service cannot take. Or a message is of an unknown kind, or
            has no role.
    """
    return collect(messages, tool_prompt).build()


def collect(messages: Sequence[BaseMessage], tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> HistoryBuilder:
    """The history of messages that are perhaps not sent: nothing in them is refused yet, and no picture is read.

    Raises:
        InvalidRequest: A message is of an unknown kind, or has no role, or removes what is not there.
    """
    history = HistoryBuilder(tool_prompt)
    for message in _without_removed(messages):
        _add(history, message)
    return history


def _without_removed(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    kept: list[BaseMessage] = []
    for message in messages:
        if not isinstance(message, RemoveMessage):
            kept.append(message)
        elif message.id == _REMOVE_ALL:
            kept.clear()
        else:
            others = [other for other in kept if other.id != message.id]
            if len(others) == len(kept):
                raise InvalidRequest(f"A RemoveMessage names the id {message.id!r}, which no message before it has.")
            kept = others
    return kept


def _add(history: HistoryBuilder, message: BaseMessage) -> None:
    name = message.name or ""
    match message:
        case AIMessage():
            history.add_answer(text_of(message), calls_of(message), name=name)
        case ToolMessage():
            inner = results_of(message)
            text = join_lines([text_of(message), *(result.text for result in inner)])
            failed = message.status == "error" or any(result.failed for result in inner)
            images = pictures_in(message.content, *(result.content for result in inner))
            history.add_result(text, call_id=message.tool_call_id, name=name, failed=failed, images=images)
        case FunctionMessage():
            images = pictures_in(message.content)
            history.add_result(text_of(message), call_id="", name=name, failed=False, images=images)
        case SystemMessage():
            history.add("system", text_of(message), name=name)
        case HumanMessage():
            _add_human(history, message, name)
        case ChatMessage():
            _add_chat(history, message, name)
        case _:
            msg = f"A {type(message).__name__} cannot be sent as a message."
            raise InvalidRequest(msg, hint="Pass system, human, AI, tool or chat messages.")


def _add_human(history: HistoryBuilder, message: HumanMessage, name: str) -> None:
    """Results go first, as messages of tools: nothing that a user writes is one."""
    results = results_of(message)
    for result in results:
        images = pictures_in(result.content)
        history.add_result(result.text, call_id=result.call_id, failed=result.failed, images=images)
    text = text_of(message)
    if text or not results:
        _add_user(history, message, name)


def _add_user(history: HistoryBuilder, message: BaseMessage, name: str) -> None:
    images, problem = pictures_in(message.content), problem_of(message)
    history.add("user", text_of(message), name=name, images=images, problem=problem)


def _add_chat(history: HistoryBuilder, message: ChatMessage, name: str) -> None:
    role = label(message.role)
    if not role:
        raise InvalidRequest("A ChatMessage has no role.", hint="Pass one, such as 'user', 'assistant' or 'system'.")
    match _ROLES.get(role.lower(), role):
        case "tool":
            images = pictures_in(message.content)
            history.add_result(text_of(message), call_id="", name=name, failed=False, images=images)
        case "user":
            _add_user(history, message, name)
        case role:
            history.add(role, text_of(message), name=name)


# --- content ----------------------------------------------------------------------------------------------------------


def text_of(message: BaseMessage) -> str:
    """The text of a message, each part on a line of its own, without its calls and results.

    A short text stands for what the service cannot take. In an AI message that is left out, with a log entry.
    """
    return join_lines(_text_in(block, message) for block in _parts(message.content) if not _is_result(block, message))


def problem_of(message: BaseMessage) -> InvalidRequest | None:
    """What the service cannot take of a user's message: the first such block; None for nothing."""
    for block in _parts(message.content):
        if isinstance(block, Mapping) and not _is_result(block, message) and _sendable_text(block) is None:
            return InvalidRequest(_block_problem(block, message), hint=_ALLOWED)
    return None


def results_of(message: BaseMessage) -> list[Result]:
    """The tool results in the content of a message, in Anthropic's form."""
    return [
        Result(
            str(block.get("tool_use_id", "")),
            join_lines(_text_in(part, message) for part in _parts(block.get("content"))),
            bool(block.get("is_error")),
            block.get("content"),
        )
        for block in _parts(message.content)
        if _is_result(block, message)
    ]


def calls_of(message: AIMessage) -> list[HistoryCall]:
    """The calls of a message, including those only in its content or its additional arguments."""
    calls = [_call(call, call["args"], call.get("id")) for call in message.tool_calls]
    invalid = [_call(call, call["args"], call.get("id")) for call in message.invalid_tool_calls]
    known = [call.ids for call in (*calls, *invalid)]
    calls += [
        call
        for call in _calls_in_content(message)
        if not any(call.ids & ids or not (call.ids or ids) for ids in known)  # two without ids are the same one
    ]
    # Other libraries repeat the last call there.
    function = message.additional_kwargs.get("function_call")
    if isinstance(function, Mapping) and not calls and not invalid:
        calls = [_call(function, function.get("arguments"))]
    return calls + invalid


def pictures_in(*contents: object) -> Iterator[str]:
    """The URLs of the pictures in the contents of messages or results; base64 as a `data:` URL.

    Raises:
        InvalidRequest: A picture is neither base64 nor at an http(s) or `data:` URL.
    """
    for block in (block for content in contents if isinstance(content, list) for block in content):
        if isinstance(block, Mapping) and block.get("type") in _PICTURES:
            yield _picture_url(block)


def _calls_in_content(message: AIMessage) -> Iterator[HistoryCall]:
    for block in _parts(message.content):
        # A chunk without a name continues the one before it, and LangChain has joined them.
        if isinstance(block, Mapping) and block.get("type") in _CALLS and block.get("name"):
            arguments = next((block[key] for key in _ARGUMENTS if key in block), None)
            yield _call(block, arguments, block.get("id"), block.get("call_id"))


def _call(call: Mapping[str, object], arguments: object, *ids: object) -> HistoryCall:
    return HistoryCall.of(str(call.get("name") or ""), arguments, *ids)


def _parts(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    return [str(content)] if content else []


def _is_result(block: object, message: BaseMessage) -> TypeGuard[Mapping[str, object]]:
    may_hold = isinstance(message, HumanMessage | ToolMessage)
    return may_hold and isinstance(block, Mapping) and block.get("type") == "tool_result"


def _text_in(block: object, message: BaseMessage) -> str:
    """The text that stands for a block."""
    if not isinstance(block, Mapping):
        return str(block)
    text = _sendable_text(block)
    if text is not None:
        return text
    kind = block.get("type")
    if not isinstance(message, AIMessage):
        return placeholder("file" if kind in _FILES else "audio" if kind in _SOUNDS else kind, _mime_type_of(block))
    if kind not in _CALLS:
        _log.debug("a block of type %r in an AI message is not sent back", kind)
    return ""


def _sendable_text(block: Mapping[str, object]) -> str | None:
    """The text of a block, `[image]` for a picture; None for one that the service cannot take."""
    match block.get("type", "text" if "text" in block else None):
        case "text" | "input_text" | "output_text" | "refusal":
            return str(block.get("text") or block.get("refusal") or "")
        case kind if kind in _PICTURES:
            return placeholder("image")
        case "text-plain" | "document" | "file":
            return _text_of_document(block)
        case "json":
            data: bytes = msgspec.json.encode(block.get("json"), enc_hook=str)
            return data.decode()
        case _:
            return None


def _mime_type_of(block: Mapping[str, object]) -> object:
    """The MIME type of a file in LangChain's form, in Anthropic's, in Google's or in OpenAI's; None if unknown."""
    nested = block.get("source") or block.get("file") or block
    parts = [part for part in (block, nested) if isinstance(part, Mapping)]
    named = [part[key] for part in parts for key in ("mime_type", "media_type") if part.get(key)]
    inline = [part["file_data"] for part in parts if isinstance(part.get("file_data"), str)]
    return named[0] if named else inline[0].removeprefix("data:").partition(";")[0] if inline else None


def _text_of_document(block: Mapping[str, object]) -> str | None:
    """The text of a document in LangChain's form or in Anthropic's; None for one that is not text."""
    source = block.get("source")
    text = block.get("text")
    if isinstance(source, Mapping) and source.get("type") == "text":
        text = source.get("data")
    elif isinstance(source, Mapping) and source.get("type") == "content":
        text = _text_of_source(source.get("content"))
    if not isinstance(text, str):
        return None
    return join_lines(str(part or "") for part in (block.get("title"), block.get("context"), text))


def _text_of_source(content: object) -> str | None:
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in _parts(content)]
    texts = [text for text in parts if isinstance(text, str)]
    return join_lines(texts) if len(texts) == len(parts) else None


def _picture_url(block: Mapping[str, object]) -> str:
    """The URL of a picture in OpenAI's form, in Anthropic's, or in LangChain's forms of versions 0 and 1."""
    nested = block.get("image_url")
    url = nested.get("url") if isinstance(nested, Mapping) else nested or block.get("url")
    data = block.get("base64") or block.get("data")
    kind = block.get("mime_type") or "image/png"
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic's form
        url, data, kind = source.get("url"), source.get("data"), source.get("media_type") or kind
    if isinstance(data, str) and data:
        return f"data:{kind};base64,{data}"
    return image_url(url, where="An image block", hint=_PICTURES_ALLOWED)


def _block_problem(block: Mapping[str, object], message: BaseMessage) -> str:
    kind = block.get("type")
    what = f"block of type {str(kind)!r:.64}"
    if not kind:
        keys = ", ".join(f"{str(key)!r:.32}" for key in list(block)[:_MAX_KEYS])
        what = f"block without a type or text (its keys: {keys or 'none'})"
    return f"A {message.type} message holds a {what}, which the service does not take."
