"""What a service says in a test of an adapter."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bing_llm import events as ev
from bing_llm.fold import fold
from tests.fakes import Line


def turn(*lines: str | Line, **more: Any) -> list[Line]:
    """A whole turn: a `str` is a piece of text. Its reply is the fold of its events; `more` goes into it too."""
    events = [ev.TextDelta(line) if isinstance(line, str) else line for line in lines]
    reply = fold(event for event in events if isinstance(event, msgspec.Struct))  # not errors, not pauses
    return [*events, ev.TurnCompleted(msgspec.structs.replace(reply, **more))]


def call(name: str, /, **arguments: Any) -> str:
    """A call, as a model writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
