"""The functions of the original provider, with a history as context."""

import asyncio

from bing_llm import Bing


async def main() -> None:
    messages = [
        {"role": "user", "content": "What is Python?"},
        {"role": "assistant", "content": "Python is a high-level programming language."},
        {"role": "user", "content": "Write a code example in Python that prints 'Hello, world!'"},
    ]
    context = Bing.convert(messages[:-1])
    async for message in Bing.stream_generate(messages[-1]["content"], context=context):
        print(message, end="")
    print()


asyncio.run(main())
