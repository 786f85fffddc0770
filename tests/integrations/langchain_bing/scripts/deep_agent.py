"""A deep agent plans, writes a file, asks a subagent and answers in an object; prints what happened as JSON."""

import json
import sys
from typing import Any

from deepagents import create_deep_agent
from pydantic import BaseModel

from bing_llm.emulator import Emulator, Scripted
from langchain_bing import ChatBing


class Report(BaseModel):
    """The result."""

    title: str
    pages: int


def call(name: str, **arguments: Any) -> list[str]:
    """A turn that is a call."""
    return [f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TURNS = [
    call("write_file", file_path="/notes.md", content="2 + 3"),
    call("task", description="What is 2 + 3?", subagent_type="math"),
    call("add", a=2, b=3),  # of the subagent
    ["It is 5."],
    call("read_file", file_path="/notes.md"),
    call("Report", title="Sum", pages="five"),  # the model is asked again within its turn
    call("Report", title="Sum", pages=5),
]


def main() -> None:
    """One task."""
    with Emulator(Scripted(TURNS)) as emulator, ChatBing(endpoint=emulator.url) as model:
        math: dict[str, Any] = {
            "name": "math",
            "description": "Does sums.",
            "system_prompt": "You do sums.",
            "tools": [add],
        }
        agent: Any = create_deep_agent(model, tools=[], subagents=[math], response_format=Report)
        state = agent.invoke({"messages": [("human", "Write a report of 2 + 3.")]})
    tools = [(message.name, message.text[:40]) for message in state["messages"] if message.type == "tool"]
    answer = state["structured_response"]
    sys.stdout.write(json.dumps({"tools": tools, "report": answer.model_dump()}))


main()
