"""An agent with two tools. The service knows no tools: Bing tells it of them, and reads the calls in its answer.

Needs `pip install ".[llama-index]"`.
"""

import asyncio

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult

from llama_index.llms.bing import Bing

WEATHER = {"Paris": "sunny, 21 degrees", "Oslo": "snow, -3 degrees"}


def get_weather(city: str) -> str:
    """The weather in a city now."""
    return WEATHER.get(city, "unknown")


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def main() -> None:
    async with Bing(search=False) as llm:
        agent = FunctionAgent(tools=[get_weather, multiply], llm=llm)
        for question in ("What is the weather in Paris and Oslo?", "How much is 17 times 23?"):
            print(f"> {question}")
            run = agent.run(question)
            async for event in run.stream_events():
                if isinstance(event, ToolCallResult):
                    print(f"{event.tool_name}({event.tool_kwargs})\n  {event.tool_output}")
            print(await run)


asyncio.run(main())
