"""LangGraph's supervisor hands a question to one of two agents; prints what happened as JSON."""

import json
import sys
import warnings
from typing import Any

from langchain.agents import create_agent
from langgraph_supervisor import create_supervisor

from bing_llm.emulator import Emulator, Scripted
from langchain_bing import ChatBing


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def look_up(name: str) -> str:
    """Look somebody up."""
    return f"{name} is 36."


TURNS = [
    ['<tool_call>\n{"name": "transfer_to_math", "arguments": {}}\n</tool_call>'],
    ['<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'],
    ["The sum is 5."],
    ["The math agent says 5."],
]


def main() -> None:
    """One question."""
    with Emulator(Scripted(TURNS)) as emulator, ChatBing(endpoint=emulator.url) as model:
        agents: list[Any] = [create_agent(model, [add], name="math"), create_agent(model, [look_up], name="people")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the supervisor itself uses what LangGraph has deprecated
            graph = create_supervisor(agents, model=model, prompt="You hand over questions.")
            supervisor: Any = graph.compile()
        state = supervisor.invoke({"messages": [("human", "What is 2 + 3?")]})
        names = [(message.type, message.name) for message in state["messages"]]
        sent = [request.context for request in emulator.requests if request.kind == "chat"]
    sys.stdout.write(
        json.dumps({"names": names, "answer": state["messages"][-1].text, "named": "supervisor" in sent[-1]})
    )


main()
