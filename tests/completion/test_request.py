"""One call of a model, as frameworks understand it."""

from __future__ import annotations

from bing_llm.completion import JsonFormat, Request
from bing_llm.messages import Message
from bing_llm.tools import Instructions, Tool, Toolbox, combined, json_instructions, tool_instructions

HELLO = (Message("user", "Hello"),)
BOX = Toolbox(tools=(Tool("add", "Add two numbers."),))
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}}


def test_a_plain_request_says_nothing_besides_its_messages() -> None:
    """Neither tools nor a format."""
    assert Request(messages=HELLO).instructions == Instructions()


def test_the_service_is_told_of_tools_and_format() -> None:
    """Of one of them, or of both in one."""
    tools, json = tool_instructions(BOX), json_instructions(SCHEMA)
    assert Request(messages=HELLO, toolbox=BOX).instructions == tools
    assert Request(messages=HELLO, format=JsonFormat(SCHEMA)).instructions == json
    assert Request(messages=HELLO, toolbox=BOX, format=JsonFormat(SCHEMA)).instructions == combined(tools, json)


def test_any_json_is_a_format_too() -> None:
    """Of a shape that the user described."""
    assert Request(messages=HELLO, format=JsonFormat()).instructions == json_instructions(None)


def test_a_request_may_be_followed_by_more() -> None:
    """All else stays, the request itself too."""
    request = Request(messages=HELLO, toolbox=BOX, stop=("END",), max_characters=7)
    longer = request.followed_by(Message("assistant", "Hi"), Message("user", "And?"))
    assert longer.messages == (*HELLO, Message("assistant", "Hi"), Message("user", "And?"))
    assert (longer.toolbox, longer.stop, longer.max_characters) == (BOX, ("END",), 7)
    assert request.messages == HELLO
