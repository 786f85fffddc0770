"""What an agent sends, for tests: results as JSON-RPC responses, and the stream that carries them."""

from __future__ import annotations

import json
from typing import Any

from bing_llm.backends.workiq.a2a.answer import AgentConversation, TaskReader
from bing_llm.backends.workiq.turn import Turn
from bing_llm.limits import DEFAULT_LIMITS, Limits
from tests.backends.workiq.wire import Outcome, Step, play_turn, ways

TASK, CONTEXT = "t1", "c1"


def response(result: Any) -> dict[str, Any]:
    """A JSON-RPC response with this result."""
    return {"jsonrpc": "2.0", "id": "r1", "result": result}


def rpc_error(code: Any, message: str = "", **fields: Any) -> dict[str, Any]:
    """A JSON-RPC response with an error."""
    return {"jsonrpc": "2.0", "id": "r1", "error": {"code": code, "message": message, **fields}}


def sse(value: Any) -> bytes:
    """A server-sent event with this JSON."""
    return f"data: {json.dumps(value)}\n\n".encode()


def event(**result: Any) -> bytes:
    """A server-sent event with a result."""
    return sse(response(result))


def message(text: str = "", *more: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What an agent says."""
    parts = [{"text": text}] if text else []
    return {"messageId": "m1", "role": "ROLE_AGENT", "parts": [*parts, *more], **fields}


def status(state: str, text: str = "", *more: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A status, with words if there are any."""
    said = {"message": message(text, *more, **fields)} if text or more or fields else {}
    return {"state": f"TASK_STATE_{state}", "timestamp": "2026-11-30T10:00:00Z", **said}


def artifact(*texts: str, key: str = "a1", more: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """An artifact with these parts."""
    return {"artifactId": key, "name": "Answer", "parts": [*({"text": text} for text in texts), *more]}


def task(state: str = "SUBMITTED", *artifacts: dict[str, Any], text: str = "", **fields: Any) -> bytes:
    """A task as it is."""
    return event(task=bare_task(state, *artifacts, text=text, **fields))


def bare_task(state: str, *artifacts: dict[str, Any], text: str = "", **fields: Any) -> dict[str, Any]:
    """A task as `GetTask` answers it."""
    return {"id": TASK, "contextId": CONTEXT, "status": status(state, text), "artifacts": [*artifacts], **fields}


def piece(*texts: str, key: str = "a1", append: bool = False, **fields: Any) -> bytes:
    """A new artifact, or more of one."""
    update = {"taskId": TASK, "contextId": CONTEXT, "artifact": artifact(*texts, key=key), "append": append, **fields}
    return event(artifactUpdate=update)


def update(state: str, text: str = "", *more: dict[str, Any], **fields: Any) -> bytes:
    """A new status."""
    return event(statusUpdate={"taskId": TASK, "contextId": CONTEXT, "status": status(state, text, *more, **fields)})


DONE = update("COMPLETED")


def new_turn(conversation: AgentConversation | None = None, limits: Limits = DEFAULT_LIMITS, **options: Any) -> Turn:
    """A turn whose reader has these options."""
    reader = TaskReader(conversation or AgentConversation(), limits=limits, **options)
    return Turn(reader, limits)


def play(*script: Step, turn: Turn | None = None, **options: Any) -> Outcome:
    """Run one turn through a script, exactly as it is written."""
    return play_turn(new_turn(**options) if turn is None else turn, script)


def hear(*script: Step, **options: Any) -> Outcome:
    """What a turn gives when it hears this, which is the same however the bytes are cut."""
    expected = play(*script, **options)
    for variant in ways(script):
        assert play(*variant, **options) == expected, variant
    return expected
