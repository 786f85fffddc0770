"""The requests of A2A."""

from __future__ import annotations

import pytest

from bing_llm.backends.workiq.a2a.wire import message_request, task_request
from bing_llm.messages import Message, Prompt, convert

SUMMER, WINTER = 1_783_000_000.0, 1_796_000_000.0


def test_the_documented_request_is_sent() -> None:
    """At first without a context; the time zone tells what "today" is."""
    request = message_request(Prompt("Hi"), streaming=True, time_zone="America/Los_Angeles", now=WINTER)
    message = request["params"]["message"]  # type: ignore[index]
    assert request == {
        "jsonrpc": "2.0",
        "id": request["id"],
        "method": "SendStreamingMessage",
        "params": {
            "message": {
                "role": "ROLE_USER",
                "messageId": message["messageId"],
                "parts": [{"text": "Hi"}],
                "metadata": {"Location": {"timeZoneOffset": -480, "timeZone": "America/Los_Angeles"}},
            }
        },
    }
    assert request["id"]
    assert message["messageId"]


def test_a_message_names_what_it_goes_on_with() -> None:
    """The context of the last answer, and the task that waits for it."""
    request = message_request(Prompt("Hi"), streaming=False, context_id="c1", task_id="t1", now=WINTER)
    assert request["method"] == "SendMessage"
    message = request["params"]["message"]  # type: ignore[index]
    assert (message["contextId"], message["taskId"]) == ("c1", "t1")
    assert "metadata" not in message


@pytest.mark.parametrize(
    ("zone", "now", "minutes"),
    [("Europe/Zurich", WINTER, 60), ("Europe/Zurich", SUMMER, 120), ("Asia/Kolkata", WINTER, 330), ("UTC", WINTER, 0)],
)
def test_the_offset_is_in_minutes_east(zone: str, now: float, minutes: int) -> None:
    """The offset is the one of that day."""
    request = message_request(Prompt("Hi"), streaming=True, time_zone=zone, now=now)
    location = request["params"]["message"]["metadata"]["Location"]  # type: ignore[index]
    assert location == {"timeZoneOffset": minutes, "timeZone": zone}


def test_context_goes_before_the_text() -> None:
    """There is no field for it, so the text is one more message after those of the context."""
    context = convert([Message("system", "Be kind."), Message("user", "Hello")])
    request = message_request(Prompt("Hi", context), streaming=True, now=WINTER)
    [part] = request["params"]["message"]["parts"]  # type: ignore[index]
    assert part == {
        "text": "[system](#message)\nBe kind.\n\n[user](#message)\nHello\n\n[user](#message)\nHi",
    }


def test_a_task_is_named_by_its_id() -> None:
    """In all requests about one."""
    request = task_request("GetTask", "t1")
    assert (request["method"], request["params"]) == ("GetTask", {"id": "t1"})
