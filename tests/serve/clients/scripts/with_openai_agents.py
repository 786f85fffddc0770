"""openai-agents over the front: a tool, structured output, a hand-off and a stream; by both APIs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(disabled=True)  # it would be sent to OpenAI


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


called: list[tuple[int, int]] = []


@function_tool  # type: ignore[untyped-decorator]  # it is not installed here
def add(a: int, b: int) -> int:
    """Add two numbers."""
    called.append((a, b))
    return a + b


async def run(model: Any) -> dict[str, Any]:
    """What agents of this model do."""
    called.clear()
    agent = Agent(name="adder", instructions="Use your tools.", model=model, tools=[add])
    answer = await Runner.run(agent, "What is 2 + 3? Use add.")
    follow_up = await Runner.run(agent, [*answer.to_input_list(), {"role": "user", "content": "What is 6 * 7?"}])
    person = await Runner.run(
        Agent(name="reader", model=model, output_type=Person), 'Her name is "Ada", her age is 36.'
    )
    streamed = Runner.run_streamed(Agent(name="plain", model=model), "What is new in Python?")
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    return {
        "called": list(called),
        "answer": answer.final_output,
        "follow_up": follow_up.final_output,
        "person": person.final_output.model_dump(),
        "streamed": "".join(deltas) == streamed.final_output,
        "pieces": len(deltas) > 1,
    }


async def main(base_url: str, key: str) -> None:
    """Both APIs."""
    async with AsyncOpenAI(base_url=base_url, api_key=key) as client:
        chat = await run(OpenAIChatCompletionsModel("bing-balanced", client))
        responses = await run(OpenAIResponsesModel("bing-balanced", client))
    json.dump({"chat": chat, "responses": responses}, sys.stdout)


asyncio.run(main(*sys.argv[1:]))
