"""LlamaIndex's messages as a history: text that the service takes, and the pictures of the turn.

`convert` has the table of what becomes of each role and of each block. In `additional_kwargs`, `name` goes before the
text, or names the tool of a result; `tool_call_id` says which call a result answers; `tool_calls` and `function_call`
are read if no block repeats them. LlamaIndex does not say whether a tool failed. Files that `path` names are read, as
everywhere in LlamaIndex: do not let strangers choose it.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import IOBase
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from llama_index.core.base.llms.types import (
    BaseContentBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from bing_llm._safe_text import log_line
from bing_llm.completion.prompt import (
    History,
    HistoryBuilder,
    HistoryCall,
    image_url,
    join_lines,
    placeholder,
    render_context,
)
from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource
from bing_llm.tools.prompt import DEFAULT_PROMPT, ToolPrompt

_log = logging.getLogger(__name__)

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
_CALL_IDS = ("id", "call_id", "tool_id", "tool_call_id")
_CALL_NAMES = ("name", "tool_name")
_CALL_ARGUMENTS = ("arguments", "input", "args", "tool_kwargs")

_MESSAGES_ALLOWED = "Pass a list of ChatMessage objects, such as ChatMessage('Hello')."
_BLOCKS_ALLOWED = "Allowed: text, documents of text, calls in assistant messages, and pictures in user messages."
_PICTURES_ALLOWED = "Pass its bytes as image, its path as path, or an http(s) or data: URL as url."
_DOCUMENTS_ALLOWED = "Pass its text in a TextBlock, or a document of UTF-8 text as data, a path or a data: URL."

_NO_TITLE = "input_document"  # what LlamaIndex calls a document that was given no title
_LONGEST_SHOWN = 200  # characters of a path in an error: someone will pass a whole document as one

# These may consist of characters only, and still are not text to read.
_not_text = re.compile(r"(?:image|audio|video|font)/(?!.*\+xml)|application/(?:pdf|rtf|postscript)", re.IGNORECASE)
_SIGNATURES = {b"%PDF-": "application/pdf", b"{\\rtf": "application/rtf"}


def convert(messages: Sequence[ChatMessage]) -> str:
    """Write a history as the text that the service takes as context: what `Bing` sends for these messages.

    Each message becomes `[role](#message)`, a line break, its text and an empty line, in this order. For a turn of its
    own, `Bing` sends the newest message beside this text, not in it.

    =========================  =========================================================================================
    role                       what becomes of the message
    =========================  =========================================================================================
    system, developer          a message of the role `system`
    user                       a message of the role `user`
    assistant, chatbot, model  a message of the role `assistant`, its calls after its text
    tool, function             a message of the role `tool`: a result block, which names the tool
    =========================  =========================================================================================

    =========================  =========================================================================================
    block                      what becomes of it
    =========================  =========================================================================================
    text                       as it is, each block on a line of its own
    document                   its text after its title: text from data, a path or a `data:` URL
    citable, citation          title, source and what they quote; citations of an assistant are left out
    tool call                  the form in which the model is asked to write it; in assistant messages only
    thinking, cache            left out
    image                      `[image]`; those of the question go with the turn, or else those of the newest results
    other documents, audio,    `[file: application/pdf]`, `[audio]`, `[video]`; `Bing` refuses it in the newest user
    video, other blocks        message while that has no answer, and leaves it out in assistant messages
    =========================  =========================================================================================

    No message can pass for another: text in it that looks like the header of a message, or like a result, is escaped,
    and so are calls in what a tool returned.

    Args:
        messages: The messages, the oldest first. They are not changed.

    Raises:
        InvalidRequest: It is not a list of `ChatMessage`s, or one has an unknown role.
    """
    return render_context(collect(messages).messages)


def to_history(messages: Sequence[ChatMessage], tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> History:
    """Convert messages, the oldest first. They are not changed.

    Args:
        messages: The messages.
        tool_prompt: How calls are written.

    Raises:
        InvalidRequest: It is not a list of `ChatMessage`s, or this turn's author wrote what the service cannot take.
    """
    return collect(messages, tool_prompt).build()


def collect(messages: Sequence[ChatMessage], tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> HistoryBuilder:
    """The history of messages that are perhaps not sent: nothing in them is refused yet, and no picture is read.

    Raises:
        InvalidRequest: It is not a list of `ChatMessage`s, or one has an unknown role.
    """
    given: object = messages
    if isinstance(given, str | ChatMessage) or not isinstance(given, Iterable):
        raise InvalidRequest(f"The messages are a {type(given).__name__}.", hint=_MESSAGES_ALLOWED)
    history = HistoryBuilder(tool_prompt)
    for message in given:
        _add(history, message)
    return history


def _add(history: HistoryBuilder, message: object) -> None:
    if not isinstance(message, ChatMessage):
        raise InvalidRequest(f"One of the messages is a {type(message).__name__}.", hint=_MESSAGES_ALLOWED)
    role = _role_of(message)
    name = _additional(message, "name")
    match role:
        case "tool":
            call_id, images = _additional(message, "tool_call_id"), pictures_in(message.blocks)
            history.add_result(text_of(message, role), call_id=call_id, name=name, images=images)
        case "assistant":
            history.add_answer(text_of(message, role), calls_of(message), name=name)
        case "user":
            text, problem = text_and_problem_of(message, role)
            history.add(role, text, name=name, images=pictures_in(message.blocks), problem=problem)
        case _:
            history.add(role, text_of(message, role), name=name)


def _role_of(message: ChatMessage) -> str:
    try:
        return _ROLES[MessageRole(message.role)]
    except ValueError as exc:
        allowed = ", ".join(role.value for role in MessageRole)
        raise InvalidRequest(f"A ChatMessage has the role {message.role!r:.64}.", hint=f"Allowed: {allowed}.") from exc


def _additional(message: ChatMessage, key: str) -> str:
    value = message.additional_kwargs.get(key)
    return value if isinstance(value, str) else ""


# --- text -------------------------------------------------------------------------------------------------------------


def text_of(message: ChatMessage, role: str) -> str:
    """The text of a message, each block on a line of its own, without its calls.

    A short text stands for what the service cannot take. In an assistant's message that is left out, with a log entry.

    Args:
        message: The message.
        role: `system`, `user`, `assistant` or `tool`, which decides what it may hold.
    """
    return text_and_problem_of(message, role)[0]


def text_and_problem_of(message: ChatMessage, role: str) -> tuple[str, InvalidRequest | None]:
    """The text of a message as `text_of` gives it, and what the service cannot take of it: the first such block."""
    texts = _Texts(role)
    return join_lines(map(texts.of_block, message.blocks)), texts.problem


class _Texts:
    """The texts of the blocks of one message.

    Attributes:
        problem: What the service cannot take: the first such block; None for nothing.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self.problem: InvalidRequest | None = None

    def of_block(self, block: object) -> str:
        """The text that stands for a block."""
        match block:
            case ThinkingBlock() | CachePoint():
                return ""
            case CitationBlock() | ToolCallBlock() if self._role == "assistant":  # a service's own; and see `calls_of`
                return ""
            case CitableBlock() | CitationBlock():
                return join_lines((block.title, block.source, *map(self._of_leaf, block.nested_blocks)))
            case _:
                return self._of_leaf(block)

    def _of_leaf(self, block: object) -> str:
        """The text of a block that holds no others: what is quoted quotes nothing."""
        try:
            return _sendable_text(block, self._role)
        except InvalidRequest as exc:
            if self._role == "assistant":
                _log.debug("not sent back: %s", log_line(exc.message))
                return ""
            self.problem = self.problem or exc
            return _placeholder_of(block)


def _placeholder_of(block: object) -> str:
    if not isinstance(block, DocumentBlock):
        return placeholder(getattr(block, "block_type", None))
    return join_lines((_title_of(block), placeholder("file", _kind_of(block))))


def _sendable_text(block: object, role: str) -> str:
    match block:
        case TextBlock():
            return block.text
        case DocumentBlock():
            return text_of_document(block, role)
        case ImageBlock():
            return placeholder("image")
    msg = f"A {role} message holds a block of type {type(block).__name__}, which the service does not take."
    raise InvalidRequest(msg, hint=_BLOCKS_ALLOWED)


# --- calls ------------------------------------------------------------------------------------------------------------


def calls_of(message: ChatMessage) -> list[HistoryCall]:
    """The calls of a message, including those only in its additional arguments.

    Raises:
        InvalidRequest: The arguments of a call cannot be written as JSON.
    """
    calls = [
        HistoryCall.of(block.tool_name, block.tool_kwargs, block.tool_call_id)
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    known = frozenset[str]().union(*(call.ids for call in calls))
    # Libraries repeat there what the blocks say. Without ids nobody can tell which, so then only the blocks count.
    if calls and not all(call.ids for call in calls):
        return calls
    more = [call for call in _additional_calls(message) if not calls or (call.ids and known.isdisjoint(call.ids))]
    return calls + more


def _additional_calls(message: ChatMessage) -> Iterator[HistoryCall]:
    """The calls in OpenAI's form or in LlamaIndex's own, as mappings or objects."""
    more = message.additional_kwargs
    calls = more.get("tool_calls") or more.get("function_call")
    for call in calls if isinstance(calls, list | tuple) else [calls] if calls else []:
        function = _first(call, ("function",)) or call
        name = _first(function, _CALL_NAMES)
        if isinstance(name, str) and name:
            ids = (_first(call, (key,)) for key in _CALL_IDS)
            yield HistoryCall.of(name, _first(function, _CALL_ARGUMENTS), *ids)
        else:
            _log.debug("a call of type %s in an assistant message cannot be read", type(call).__name__)


def _first(owner: object, keys: Iterable[str]) -> object:
    values = (owner.get(key) if isinstance(owner, Mapping) else getattr(owner, key, None) for key in keys)
    return next((value for value in values if value is not None), None)


# --- pictures ---------------------------------------------------------------------------------------------------------


def pictures_in(blocks: Iterable[BaseContentBlock]) -> Iterator[ImageSource]:
    """The pictures among these blocks, including quoted ones; none is fetched or opened here.

    Bytes become a `data:` URL, streams bytes. A path stays a path: whoever passes it as `path` names a file on purpose.

    Raises:
        InvalidRequest: A picture has neither bytes nor a path nor an http(s) or `data:` URL, or its stream cannot be
            read.
    """
    for block in blocks:
        match block:
            case ImageBlock():
                yield _picture(block)
            case CitableBlock() | CitationBlock():
                yield from (_picture(leaf) for leaf in block.nested_blocks if isinstance(leaf, ImageBlock))


def _picture(block: ImageBlock) -> ImageSource:
    where = "An ImageBlock in a user message"  # the only one in which a picture is refused
    data = block.image
    if isinstance(data, IOBase):
        try:
            return read_stream(data)
        except (OSError, ValueError) as exc:
            msg = f"{where} has a stream that cannot be read: {exc}."
            raise InvalidRequest(msg, hint=_PICTURES_ALLOWED) from exc
    if data:
        # LlamaIndex holds bytes in base64, except those that were set later.
        return f"data:{block.image_mimetype or 'image/png'};base64,{data.decode()}" if data.isascii() else data
    if block.path:
        return Path(block.path)
    return image_url(str(block.url or ""), where=where, hint=_PICTURES_ALLOWED)


def read_stream(stream: IOBase) -> bytes:
    """All bytes of a stream, from its beginning. Its position is restored, because it is the caller's.

    Raises:
        OSError: It cannot be read, or not from its beginning.
        ValueError: It is closed, or holds text that cannot be encoded in UTF-8.
    """
    opened: Any = stream  # IOBase does not declare `read`
    place = opened.tell()
    try:
        opened.seek(0)
        data = opened.read()
    finally:
        opened.seek(place)
    return data.encode() if isinstance(data, str) else bytes(data or b"")


# --- documents --------------------------------------------------------------------------------------------------------


def text_of_document(block: DocumentBlock, role: str) -> str:
    """The text of a document, after its title if it has one.

    A document is text if its bytes are UTF-8 without null characters, and its MIME type is not that of a picture, of
    audio or video, or of PDF and the like. Nothing is fetched.

    Args:
        block: The document. Its bytes count first, then its path, then its URL.
        role: Whose message it is in, for the error.

    Raises:
        InvalidRequest: It is not text, is at a URL, or cannot be read.
    """
    try:
        kind, data = _content_of(block)
        text = _decode(kind, data)
    except InvalidRequest as exc:
        msg = f"A DocumentBlock in a {role} message {exc.message}"
        raise InvalidRequest(msg, hint=_DOCUMENTS_ALLOWED) from exc.__cause__
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"A DocumentBlock in a {role} message cannot be read: {reason}."
        raise InvalidRequest(msg, hint=_DOCUMENTS_ALLOWED) from exc
    return join_lines((_title_of(block), text))


def _title_of(block: DocumentBlock) -> str:
    return block.title if block.title and block.title != _NO_TITLE else ""


def _kind_of(block: DocumentBlock) -> str:
    """The MIME type of a document that is not sent, "" if it is not known."""
    try:
        kind, data = _content_of(block)
    except (InvalidRequest, OSError, ValueError):
        return block.document_mimetype or ""
    return kind or next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), "")


def _content_of(block: DocumentBlock) -> tuple[str, bytes]:
    """The MIME type of a document, "" if it is not known, and its bytes."""
    kind = block.document_mimetype or ""
    if isinstance(block.data, IOBase):
        return kind, read_stream(block.data)
    if block.data is not None:
        return kind, _without_base64(block.data)
    if block.path:
        return kind, _read_file(Path(block.path))
    if block.url:
        return _read_data_url(block.url)
    raise InvalidRequest("has neither data nor a path nor a URL.")


def _without_base64(data: bytes) -> bytes:
    """LlamaIndex holds bytes in base64, except those that were set later."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data


def _read_file(path: Path) -> bytes:
    if not path.is_file():  # a pipe or a device may never end
        raise InvalidRequest(f"names {str(path)!r:.{_LONGEST_SHOWN}}, where there is no file.")
    return path.read_bytes()


def _read_data_url(url: str) -> tuple[str, bytes]:
    # LlamaIndex guesses the type of any URL by its end, which in a data: URL is text.
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise InvalidRequest("is at a URL; documents are not fetched.")
    header, comma, body = rest.partition(",")
    if not comma:
        raise InvalidRequest("has a data: URL without a comma.")
    kind, *parameters = header.split(";")
    data = unquote_to_bytes(body)
    return kind, base64.b64decode(data, validate=True) if "base64" in parameters else data


def _decode(kind: str, data: bytes) -> str:
    if _not_text.match(kind) or data.startswith(tuple(_SIGNATURES)) or b"\0" in data:
        raise InvalidRequest(f"is not text{f' but {kind:.64}' if kind else ''}.")
    try:
        return data.decode("utf-8-sig")  # the mark that some editors put before the text is not part of it
    except UnicodeDecodeError as exc:
        raise InvalidRequest("is not text in UTF-8.") from exc
