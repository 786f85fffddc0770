"""pydantic-ai over the front: an agent with a tool, structured output in both modes, and a stream; by both APIs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


ADA = 'Her name is "Ada" and her age is 36.'


async def run(model: Any) -> dict[str, Any]:
    """What an agent of this model does."""
    agent = Agent(model)
    called: list[tuple[int, int]] = []

    @agent.tool_plain  # type: ignore[untyped-decorator]  # it is not installed here
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append((a, b))
        return a + b

    answer = await agent.run("What is 2 + 3? Use add.")
    follow_up = await agent.run("What is 6 * 7?", message_history=answer.all_messages())
    by_call = await Agent(model, output_type=ToolOutput(Person)).run(ADA)
    by_schema = await Agent(model, output_type=NativeOutput(Person)).run(ADA)
    async with Agent(model).run_stream("What is new in Python?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
    return {
        "called": called,
        "answer": answer.output,
        "follow_up": follow_up.output,
        "by_call": by_call.output.model_dump(),
        "by_schema": by_schema.output.model_dump(),
        "streamed": "".join(pieces),
        "pieces": len(pieces) > 1,
    }


async def main(base_url: str, key: str) -> None:
    """Both APIs."""
    provider = OpenAIProvider(base_url=base_url, api_key=key)
    chat = await run(OpenAIChatModel("bing-balanced", provider=provider))
    responses = await run(OpenAIResponsesModel("bing-balanced", provider=provider))
    json.dump({"chat": chat, "responses": responses}, sys.stdout)


asyncio.run(main(*sys.argv[1:]))
