"""A history as one turn: what the service is asked, and what it is told beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bing_llm.errors import InvalidRequest
from bing_llm.messages import Message, convert
from bing_llm.tools.escaping import without_headers, without_results
from bing_llm.tools.prompt import Instructions

__all__ = ["Composed", "compose"]

_NONE = Instructions()
_GO_ON = "Continue your last message."
_MESSAGE_MOVED = "Answer the last message of the context."
_RESULTS_MOVED = "Go on from the tool results at the end of the context."
_AS_THEY_ARE = frozenset(("system", "user", "tool"))  # roles whose messages may be the text without a header


class Composed(msgspec.Struct, frozen=True):
    """What one turn sends.

    Attributes:
        text: The message, and the instructions behind it.
        context: What was said before, as `convert` writes it; None for nothing.
    """

    text: str
    context: str | None


def compose(messages: Sequence[Message], instructions: Instructions = _NONE, *, limit: int) -> Composed:
    """Write a history as the text and the context of one turn. Nothing of it is left out or cut.

    ==================================  ======================================================
    the history ends with               the text
    ==================================  ======================================================
    a message of role `user`            its content
    messages of role `tool`             their contents, an empty line between them
    a message of role `assistant`       "Continue your last message."
    a message of another role           its header and its content, as `convert` writes them
    nothing but messages of `system`    the content of the last one
    ==================================  ======================================================

    Messages of role `system` do not end a history. All that is not in the text is in the context, in its order. Behind
    the text stand the listing and the rules, empty lines between them. What is too long moves, one step after another:

    1. The listing goes to the end of the context, as a message of role `system`; the rules stay.
    2. The messages of the text go behind it, and the text asks to answer the last message of the context.

    If the text is still too long, it is returned all the same, and the client refuses it.

    Users may be strangers, and quote documents of others; frameworks put such documents into messages of systems too.
    So in every message text that looks like the header of a message is escaped, and, but for the role `tool`, the tags
    of results of tools: nobody speaks in the name of another. So that a tool cannot forge the result of another, write
    its content with `written_result`. How a message is written never depends
    on the others.

    Args:
        messages: The history, the oldest first.
        instructions: What to say of tools and JSON.
        limit: The longest text that the service takes, in characters.

    Raises:
        InvalidRequest: There is no message, or the text would be empty.
    """
    if not messages:
        raise InvalidRequest("There are no messages.", hint="Pass a history with one message at least.")
    safe = [_safe(message) for message in messages]
    places = set(_answered(safe))
    asked = [message for place, message in enumerate(safe) if place in places]
    before = convert(message for place, message in enumerate(safe) if place not in places)
    composed = _fitting(asked, before, instructions, limit)
    if not composed.text.strip():
        raise InvalidRequest("The last message is empty.", hint="Pass some text to answer.")
    return composed


def _safe(message: Message) -> Message:
    clean = without_headers if message.role == "tool" else without_results
    return Message(message.role, clean(message.content))


def _answered(messages: Sequence[Message]) -> list[int]:
    """Which messages the text holds, by their places."""
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


def _fitting(asked: Sequence[Message], before: str, instructions: Instructions, limit: int) -> Composed:
    said = _said(asked)
    whole = _paragraphs(said, instructions.listing, instructions.rules)
    if len(whole) <= limit:
        return Composed(whole, before or None)
    if instructions.listing:
        before += convert([Message("system", instructions.listing)])
        whole = _paragraphs(said, instructions.rules)
    if len(whole) <= limit or not asked:
        return Composed(whole, before or None)
    pointer = _RESULTS_MOVED if asked[-1].role == "tool" else _MESSAGE_MOVED
    return Composed(_paragraphs(pointer, instructions.rules), before + convert(asked))


def _said(asked: Sequence[Message]) -> str:
    if not asked:
        return _GO_ON
    if asked[-1].role in _AS_THEY_ARE:
        return "\n\n".join(message.content for message in asked)
    return convert(asked).removesuffix("\n\n")


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
