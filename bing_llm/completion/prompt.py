"""Prompt building: a history as the text and the context of one turn. Pure, and used by batches too."""

from __future__ import annotations

from collections.abc import Sequence

from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message, Prompt, convert
from bing_llm.tools.escape import escape_headers, escape_headers_and_results
from bing_llm.tools.prompt import Instructions

_NONE = Instructions()
_CONTINUE = "Continue your last message."
_MESSAGE_MOVED = "Answer the last message of the context."
_RESULTS_MOVED = "Go on from the tool results at the end of the context."
_WITHOUT_HEADER = frozenset(("system", "user", "tool"))  # roles whose messages may be the text without a header


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
    listing and the rules follow the text, separated by empty lines. What is too long moves, one step after another:

    1. The listing moves to the end of the context, as a message of role `system`; the rules stay.
    2. The messages of the text follow it, and the text asks to answer the last message of the context.

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
    safe = [_escape(message) for message in messages]
    places = set(_find_asked(safe))
    asked = [message for place, message in enumerate(safe) if place in places]
    before = convert(message for place, message in enumerate(safe) if place not in places)
    prompt = _fit(asked, before, instructions, limit)
    if not prompt.text.strip():
        raise InvalidRequest("The last message is empty.", hint="Pass some text to answer.")
    return prompt


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
    said = _render(asked)
    whole = _join_paragraphs(said, instructions.listing, instructions.rules)
    if len(whole) <= limit:
        return Prompt(whole, before or None)
    if instructions.listing:
        before += convert([Message("system", instructions.listing)])
        whole = _join_paragraphs(said, instructions.rules)
    if len(whole) <= limit or not asked:
        return Prompt(whole, before or None)
    pointer = _RESULTS_MOVED if asked[-1].role == "tool" else _MESSAGE_MOVED
    return Prompt(_join_paragraphs(pointer, instructions.rules), before + convert(asked))


def _render(asked: Sequence[Message]) -> str:
    if not asked:
        return _CONTINUE
    if asked[-1].role in _WITHOUT_HEADER:
        return "\n\n".join(message.content for message in asked)
    return convert(asked).removesuffix("\n\n")


def _join_paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
