"""What the service said besides its text, as plain data under the names that both adapters give it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import msgspec

from bing_llm import events as ev
from bing_llm.completion.stream import Completed
from bing_llm.tools.calls import Call


def new_call_id() -> str:
    """An id for a call: the service gives none, and agents match results by it."""
    return f"call_{uuid.uuid4().hex}"


def reply_metadata(reply: ev.Reply, citations: Iterable[ev.Citation]) -> dict[str, object]:
    """What the reply has besides its text, each only if it is not empty.

    It is `citations`, `searches`, `images`, `image_prompts`, `suggestions`, `notice` and `service_metadata`. The last
    is what only this service sends, by its own names: of Work IQ the `sensitivityLabel` of the answer,
    `uncitedReferences` and, of an agent, `state`.

    Args:
        reply: The reply.
        citations: Those of the text that is returned, with their spans in it; see `place_citations`.
    """
    metadata = {
        "citations": [plain_citation(citation) for citation in citations],
        "searches": to_plain(reply.searches),
        "images": list(reply.images),
        "image_prompts": list(reply.image_prompts),
        "suggestions": list(reply.suggestions),
        "notice": reply.notice,
        "service_metadata": dict(reply.metadata),
    }
    return {key: value for key, value in metadata.items() if value}


def completion_metadata(end: Completed) -> dict[str, object]:
    """`finish_reason`, the conversation and what happened to the text; keys without a value are left out.

    `turns` is there if more than one turn was needed. `final_text` and `final_tool_calls` are there if text that
    had been given was replaced.
    """
    reply = end.reply
    quota = None if reply.quota is None else {"used": reply.quota.used, "limit": reply.quota.limit}
    turns = len(end.prompts)
    metadata: dict[str, object] = {
        "finish_reason": end.finish_reason,
        "conversation_id": reply.conversation_id,
        "message_id": reply.message_id,
        "quota": quota,
        "turns": turns if turns > 1 else None,
        "revoked": reply.revoked,
        "conversation_ended": reply.conversation_ended,
    }
    return {**{key: value for key, value in metadata.items() if value}, **_final(end)}


def _final(end: Completed) -> dict[str, object]:
    if end.final is None:
        return {}
    calls = [{"name": piece.name, "args": piece.arguments} for piece in end.final if isinstance(piece, Call)]
    text = "".join(piece for piece in end.final if isinstance(piece, str))
    return {"final_text": text, **({"final_tool_calls": calls} if calls else {})}


def plain_citation(citation: ev.Citation) -> dict[str, object]:
    """`number`, `url` and `title`; `spans` and `sensitivity_label` only where there are any."""
    plain: dict[str, object] = {"number": citation.number, "url": citation.url, "title": citation.title}
    if citation.spans:
        plain["spans"] = to_plain(citation.spans)
    if citation.sensitivity_label:
        plain["sensitivity_label"] = citation.sensitivity_label
    return plain


def to_plain(value: object) -> object:
    """Structs as dicts and tuples as lists, so that what a checkpoint or a cache returns equals what was stored."""
    if isinstance(value, tuple):
        return [to_plain(part) for part in value]
    if isinstance(value, msgspec.Struct):
        return {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
    return value
