"""An agent with the tools of a real MCP server, over stdio; prints what happened as JSON."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient

from bing_llm.emulator import Emulator, Scripted
from langchain_bing import ChatBing

SERVER = Path(__file__).with_name("screenshots.py")
SCREENSHOT = '<tool_call>\n{"name": "screenshot", "arguments": {}}\n</tool_call>'
ADD = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
TURNS = [[SCREENSHOT], ["A white page."], [ADD], ["It is 5."]]


async def asked(model: ChatBing, emulator: Emulator) -> dict[str, Any]:
    """Two questions in one thread: one whose tool gives a picture, and one after it."""
    emulator.brain = Scripted(TURNS)
    client = MultiServerMCPClient({"it": {"command": sys.executable, "args": [str(SERVER)], "transport": "stdio"}})
    agent: Any = create_agent(model, await client.get_tools())
    state = await agent.ainvoke({"messages": [("human", "What is on the screen?")]})
    state = await agent.ainvoke({"messages": [*state["messages"], ("human", "And 2 + 3?")]})
    return {
        "kinds": [message.type for message in state["messages"]],
        "answers": [message.text for message in state["messages"] if message.type == "ai" and not message.tool_calls],
        "uploads": sum(request.kind == "upload" for request in emulator.requests),
        "shown": any("Taken.\n[image]" in request.text for request in emulator.requests),
    }


async def main() -> None:
    """Over both services."""
    async with Emulator() as emulator:
        async with ChatBing(endpoint=emulator.url) as model:
            chat_hub = await asked(model, emulator)
        emulator.requests.clear()
        settings: dict[str, Any] = {"endpoint": emulator.workiq_url, "token": emulator.token, "time_zone": "UTC"}
        async with ChatBing(**settings) as model:
            work_iq = await asked(model, emulator)
    sys.stdout.write(json.dumps({"chathub": chat_hub, "workiq": work_iq}))


asyncio.run(main())
