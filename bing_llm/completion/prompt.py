"""From a framework's messages to the prompt of one turn: the history, and how it is written as text and context. Pure.

Adapters collect messages in a `HistoryBuilder`; `build_prompt` writes any history, that of a batch's row too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from bing_llm.errors import InvalidRequest
from bing_llm.images import ImageSource, picture_url
from bing_llm.messages import Message, Prompt, convert
from bing_llm.tools.escape import escape_headers, escape_headers_and_results
from bing_llm.tools.prompt import DEFAULT_PROMPT, Instructions, ToolPrompt, render_history_call, render_result

_LONGEST_LABEL = 64  # characters of a name or a role: it is one word, or a few

_NONE = Instructions()
PLACE = "auto"
_CONTINUE = "Continue your last message."
_MESSAGE_MOVED = "Answer the last message of the context."
_RESULTS_MOVED = "Go on from the tool results at the end of the context."
_WITHOUT_HEADER = frozenset(("system", "user", "tool"))  # roles whose messages may be the text without a header


# --- history ---------------------------------------------------------------------------------------------------------


class HistoryCall(msgspec.Struct, frozen=True):
    """A call that a model made earlier.

    Attributes:
        ids: The ids by which a result may refer to it.
        name: The name of its tool.
        arguments: Its arguments, as `render_history_call` takes them.
    """

    ids: frozenset[str]
    name: str
    arguments: object

    @classmethod
    def of(cls, name: str, arguments: object, *ids: object) -> HistoryCall:
        """The call; ids that are not a str or are empty do not count."""
        return cls(frozenset(key for key in ids if isinstance(key, str) and key), name, arguments)


class History(msgspec.Struct, frozen=True):
    """The messages for the prompt, the oldest first, and the pictures that go with the turn.

    Attributes:
        messages: The messages.
        images: Pictures of this turn's author. A service that cannot take them refuses the turn.
        spare_images: Pictures that the author did not write, such as a tool's. They are sent if the service takes them.
    """

    messages: tuple[Message, ...]
    images: tuple[ImageSource, ...] = ()
    spare_images: tuple[ImageSource, ...] = ()


class HistoryBuilder:
    """Collects the messages of a framework, the oldest first.

    **What this turn's author did not write is never refused.** The author is the user of the newest message, until the
    model has answered it. What the service cannot take is refused only there. In any other message a short text
    stands in its place (`placeholder`), and a picture that cannot be sent stays away.

    The service takes pictures only with a turn, so one message's pictures are sent: those of the newest message that
    has any, among the results of tools since the last answer and the user messages of the question. A question goes on
    while tools are called for it. Earlier pictures are neither sent nor read.

    Args:
        tool_prompt: How calls are written.
    """

    def __init__(self, tool_prompt: ToolPrompt = DEFAULT_PROMPT) -> None:
        self._tool_prompt = tool_prompt
        self._messages: list[Message] = []
        self._question: list[Iterable[ImageSource]] = []  # the pictures of each user message
        self._results: list[Iterable[ImageSource]] = []  # those of each result since the last answer
        self._is_asked = False  # by the newest user message, which has no answer yet
        self._problem: InvalidRequest | None = None  # of that message
        self._answered = False
        self._tools: dict[str, str] = {}  # names by the ids of their calls

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages so far. Nothing is refused, and no picture is read."""
        return tuple(self._messages)

    def add(
        self,
        role: str,
        text: str,
        *,
        name: str = "",
        images: Iterable[ImageSource] = (),
        problem: InvalidRequest | None = None,
    ) -> None:
        """Add a message.

        Args:
            role: `system`, `user`, `assistant`, or any other.
            text: Its text, with a placeholder for each block that is not sent.
            name: Its author's name, which goes before the text; "" for none.
            images: The pictures in it, if a user wrote it; iterated only if they may go with the turn.
            problem: What the service cannot take of it, if a user wrote it; refused only if that user asks this turn.
        """
        name = label(name)
        self._messages.append(Message(role, f"{name}: {text}" if name and text else text))
        if role == "user":
            self._question = [images] if self._answered else [*self._question, images]
            self._is_asked, self._problem = True, problem
        elif role == "assistant":
            self._is_asked, self._problem = False, None
            self._results.clear()
        self._answered = role == "assistant" or (self._answered and role != "user")

    def add_answer(self, text: str, calls: Sequence[HistoryCall], *, name: str = "") -> None:
        """Add a message of the model, with the calls that it made after the text.

        Raises:
            InvalidRequest: The arguments of a call cannot be written as JSON.
        """
        self._tools.update((key, call.name) for call in calls for key in call.ids)
        written = [render_history_call(call.name, call.arguments, self._tool_prompt) for call in calls]
        if text:
            self.add("assistant", join_lines([text, *written]), name=name)
        else:
            self.add("assistant", join_lines(written))

    def add_result(
        self,
        text: str,
        *,
        call_id: str,
        name: str = "",
        failed: bool | None = None,
        images: Iterable[ImageSource] = (),
    ) -> None:
        """Add what a tool returned.

        Args:
            text: What it returned, with a placeholder for each block that is not sent.
            call_id: The id of the call, by which the tool's name is found.
            name: The name of the tool, if the message has one.
            failed: Whether the tool failed; None if that is not known.
            images: The pictures in it; iterated only if they may go with the turn.
        """
        self.add("tool", render_result(name or self._tools.get(call_id, ""), text, failed=failed))
        self._results.append(images)

    def build(self) -> History:
        """The history. Reads the pictures that go with the turn.

        Raises:
            InvalidRequest: This turn's author wrote what cannot be sent.
        """
        if self._problem is not None:
            raise self._problem
        images = tuple(self._question[-1]) if self._is_asked else ()
        if images:
            return History(self.messages, images)
        newest_first = map(_readable, (*reversed(self._results), *reversed(self._question)))
        return History(self.messages, spare_images=next((found for found in newest_first if found), ()))


def _readable(images: Iterable[ImageSource]) -> tuple[ImageSource, ...]:
    """The pictures of a message that this turn's author did not write; none if one of them cannot be read."""
    try:
        return tuple(images)
    except InvalidRequest:
        return ()


def placeholder(kind: object, mime_type: object = None) -> str:
    """What stands in a text for a block that is not sent: `[image]`, `[audio]`, `[file: application/pdf]`.

    Args:
        kind: What it is, in the framework's word for it.
        mime_type: Its MIME type; shown unless the kind says enough.
    """
    word = label(kind) if isinstance(kind, str) else ""
    detail = label(mime_type) if isinstance(mime_type, str) and word not in {"image", "audio", "video"} else ""
    return f"[{word or 'block'}: {detail}]" if detail else f"[{word or 'block'}]"


def join_lines(parts: Iterable[str | None]) -> str:
    """The parts that are not empty, each on a line of its own."""
    return "\n".join(part for part in parts if part)


def label(text: str) -> str:
    """A name or a role as one short line, without the brackets that make the header of a message."""
    characters = (c if c.isprintable() and c not in "[]" else " " for c in text[:_LONGEST_LABEL])
    return " ".join("".join(characters).split())


def image_url(url: object, *, where: str, hint: str) -> str:
    """The URL of a picture as the client takes it.

    Args:
        url: What the message holds.
        where: Which block it is, for the error: "An image block".
        hint: What to pass instead.

    Raises:
        InvalidRequest: It is not an http(s) or `data:` URL. Only its scheme and host are shown: the rest may be secret.
    """
    if isinstance(url, str) and (known := picture_url(url)):
        return known
    raise InvalidRequest(f"{where} {_url_problem(url)}.", hint=hint)


def _url_problem(url: object) -> str:
    if not isinstance(url, str) or not url:
        return "has neither data nor a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "has a URL that cannot be read"
    if host and parts.scheme != "file":
        return f"has a URL of {parts.scheme}://{host:.200}, which the service cannot fetch"
    # It would be read from this machine's disk, and messages may come from strangers.
    return "names a file, and paths are not read"


# --- prompt ----------------------------------------------------------------------------------------------------------


def build_prompt(messages: Sequence[Message], instructions: Instructions = _NONE, *, limit: int) -> Prompt:
    """Write a history as the text and the context of one turn. Nothing is left out or cut; pictures are not its part.

    ==================================  ======================================================
    the history ends with               the text
    ==================================  ======================================================
    a message of role `user`            its content
    messages of role `tool`             their contents, an empty line between them
    a message of role `assistant`       "Continue your last message."
    a message of another role           its header and its content, as `convert` writes them
    nothing but messages of `system`    the content of the last one
    ==================================  ======================================================

    Messages of role `system` do not end a history. The context holds everything that is not in the text, in order. The
    instructions stand around the text, separated by empty lines: the prefix before it, and the reminder after it. After
    results of tools `after_results` is the reminder, and the prefix stands where it stood before their question: at the
    beginning of the context, as a message of role `system`. What is too long moves, one step after another:

    1. The prefix moves to the beginning of the context.
    2. The messages of the text move to the end of the context, and the text asks to answer the last one.

    A text that is still too long is returned all the same, and the client refuses it.

    Users may be strangers and quote documents of others; frameworks also put such documents into system messages. So
    in every message, text that looks like a message header is escaped, and in every role but `tool`, tags of tool
    results are escaped too: no message can pass for another one. `render_result` does the same for the content of a
    tool message. How a message is written never depends on the others.

    Args:
        messages: The history, the oldest first.
        instructions: What to say about tools and JSON.
        limit: The longest text that the service takes, in characters.

    Raises:
        InvalidRequest: There is no message, or the text would be empty.
    """
    if not messages:
        raise InvalidRequest("There are no messages.", hint="Pass a history with one message at least.")
    places = set(_find_asked(messages))
    asked = [_escape(message) for place, message in enumerate(messages) if place in places]
    before = render_context(message for place, message in enumerate(messages) if place not in places)
    prompt = _fit(asked, before, instructions, limit)
    if not prompt.text.strip():
        raise InvalidRequest("The last message is empty.", hint="Pass some text to answer.")
    return prompt


def about_repeats(messages: Sequence[Message], instructions: Instructions) -> Instructions:
    """The instructions for a history: what follows results is `after_repeat` if the calls before them are not new.

    Calls are compared as they are written, with the text before them, back to the last message of a user.
    """
    written: list[str] = []
    for message in reversed(messages):
        if message.role == "user":
            break
        if message.role == "assistant":
            written.append(message.content.strip())
    if not instructions.after_repeat or not written or written[0] not in written[1:]:
        return instructions
    return msgspec.structs.replace(instructions, after_results=instructions.after_repeat)


def render_context(messages: Iterable[Message]) -> str:
    """Write the messages of a history as context, so that none of them can pass for another one or for a result."""
    return convert(map(_escape, messages))


def _escape(message: Message) -> Message:
    clean = escape_headers if message.role == "tool" else escape_headers_and_results
    return Message(message.role, clean(message.content))


def _find_asked(messages: Sequence[Message]) -> list[int]:
    """The indexes of the messages that make up the text."""
    said = [index for index, message in enumerate(messages) if message.role != "system"]
    if not said:
        return [len(messages) - 1]
    match messages[said[-1]].role:
        case "assistant":
            return []
        case "tool":
            others = [place for place, index in enumerate(said) if messages[index].role != "tool"]
            return said[others[-1] + 1 if others else 0 :]
        case _:
            return said[-1:]


def _fit(asked: Sequence[Message], before: str, instructions: Instructions, limit: int) -> Prompt:
    is_results = bool(asked) and asked[-1].role == "tool"
    last = instructions.after_results if is_results else instructions.reminder
    said = _render(asked)
    whole = _join_paragraphs(instructions.prefix, said, last)
    if len(whole) <= limit and not (is_results and PLACE == "auto"):
        return Prompt(whole, before or None)
    if instructions.prefix:
        before = convert([Message("system", instructions.prefix)]) + before
        whole = _join_paragraphs(said, last)
    if len(whole) <= limit or not asked:
        return Prompt(whole, before or None)
    pointer = _RESULTS_MOVED if is_results else _MESSAGE_MOVED
    return Prompt(_join_paragraphs(pointer, last), before + convert(asked))


def _render(asked: Sequence[Message]) -> str:
    if not asked:
        return _CONTINUE
    if asked[-1].role in _WITHOUT_HEADER:
        return "\n\n".join(message.content for message in asked)
    return convert(asked).removesuffix("\n\n")


def _join_paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
