"""What the service said besides its text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.completion.metadata import completion_metadata, new_call_id, reply_metadata, to_plain
from bing_llm.completion.stream import Completed
from bing_llm.messages import Prompt
from bing_llm.tools.calls import Call

REPLY = ev.Reply(
    text="Hello",
    citations=(ev.Citation(number=1, url="https://example.com", title="Example"),),
    searches=(ev.Search("tides"),),
    suggestions=("More?",),
    quota=ev.Quota(used=1, limit=30),
    conversation_id="c1",
    metadata={"state": "TASK_STATE_COMPLETED"},
)
ONCE = (Prompt("Hello", None),)


def end_of(reply: ev.Reply = REPLY, **fields: Any) -> Completed:
    """The end of a completion."""
    return Completed(**{"reply": reply, "finish_reason": "stop", "final": None, "prompts": ONCE, **fields})


def test_an_id_of_a_call_is_never_the_same() -> None:
    """Agents match results by it, and equal calls may stand in one history."""
    assert len({new_call_id() for _ in range(100)}) == 100


def test_metadata_are_plain_data() -> None:
    """So a checkpoint, a cache or a memory gives back what it was given; what is missing has no key."""
    metadata = reply_metadata(REPLY, REPLY.citations)
    assert metadata.keys() == {"citations", "searches", "suggestions", "service_metadata"}
    assert metadata["service_metadata"] == {"state": "TASK_STATE_COMPLETED"}
    assert metadata["citations"] == [{"number": 1, "url": "https://example.com", "title": "Example"}]
    assert json.loads(json.dumps(metadata)) == metadata
    assert reply_metadata(ev.Reply(), ()) == {}
    assert to_plain((ev.Quota(used=1, limit=2), "x")) == [{"used": 1, "limit": 2}, "x"]


def test_metadata_say_why_the_answer_ended() -> None:
    """And which conversation it was; a second turn is counted."""
    assert completion_metadata(end_of()) == {
        "finish_reason": "stop",
        "conversation_id": "c1",
        "quota": {"used": 1, "limit": 30},
    }
    assert completion_metadata(end_of(ev.Reply(), prompts=ONCE * 2)) == {"finish_reason": "stop", "turns": 2}


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ((), {"final_text": ""}),
        (("a", "b"), {"final_text": "ab"}),
        (("a", Call("f", {"x": 1})), {"final_text": "a", "final_tool_calls": [{"name": "f", "args": {"x": 1}}]}),
    ],
)
def test_a_rewritten_text_is_in_the_metadata(final: Any, expected: dict[str, Any]) -> None:
    """It may be empty; where what was given is final, nothing is said."""
    assert completion_metadata(end_of(ev.Reply(), final=final)) == {"finish_reason": "stop", **expected}
