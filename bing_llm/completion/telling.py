"""What the service told besides its text, as plain data under names that both adapters give it."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from bing_llm import events as ev
from bing_llm.completion.stream import Completed
from bing_llm.tools.calls import Call

__all__ = ["metadata_of", "new_call_id", "plain", "told_in"]


def new_call_id() -> str:
    """An id for a call: the service gives none, and agents match results by it."""
    return f"call_{uuid.uuid4().hex}"


def told_in(reply: ev.Reply) -> dict[str, Any]:
    """`citations`, `searches`, `images`, `image_prompts`, `suggestions` and `notice`, each only where there is some."""
    told = {
        "citations": plain(reply.citations),
        "searches": plain(reply.searches),
        "images": list(reply.images),
        "image_prompts": list(reply.image_prompts),
        "suggestions": list(reply.suggestions),
        "notice": reply.notice,
    }
    return {key: value for key, value in told.items() if value}


def metadata_of(end: Completed) -> dict[str, Any]:
    """`finish_reason`, and where there is something to say: which conversation it was, and what became of the text.

    `turns` says that the service was asked more than once. `final_text` and `final_tool_calls` are what the service had
    at last where it rewrote what was given.
    """
    reply = end.reply
    quota = None if reply.quota is None else {"used": reply.quota.used, "limit": reply.quota.limit}
    turns = len(end.prompts)
    metadata: dict[str, Any] = {
        "finish_reason": end.finish_reason,
        "conversation_id": reply.conversation_id,
        "message_id": reply.message_id,
        "quota": quota,
        "turns": turns if turns > 1 else None,
        "revoked": reply.revoked,
        "conversation_ended": reply.conversation_ended,
    }
    return {**{key: value for key, value in metadata.items() if value}, **_final(end)}


def _final(end: Completed) -> dict[str, Any]:
    if end.final is None:
        return {}
    calls = [{"name": piece.name, "args": piece.arguments} for piece in end.final if isinstance(piece, Call)]
    text = "".join(piece for piece in end.final if isinstance(piece, str))
    return {"final_text": text, **({"final_tool_calls": calls} if calls else {})}


def plain(told: Any) -> Any:
    """Structs as dicts and tuples as lists: what a checkpoint or a cache gives back is equal to what was given."""
    if isinstance(told, tuple):
        return [plain(part) for part in told]
    if isinstance(told, msgspec.Struct):
        return {name: plain(getattr(told, name)) for name in told.__struct_fields__}
    return told
