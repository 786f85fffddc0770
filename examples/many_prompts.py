"""Several prompts at once on one client; an error of one does not stop the others."""

import asyncio

from bing_llm import BingClient, BingError, Reply

PROMPTS = ("What is 17 * 23?", "What is 91 / 7?", "Reply with the word tide.")


async def main() -> None:
    async with BingClient(search=False) as bing:
        results = await asyncio.gather(*(bing.ask(prompt) for prompt in PROMPTS), return_exceptions=True)
    for prompt, result in zip(PROMPTS, results, strict=True):
        match result:
            case Reply(text=text):
                print(f"{prompt} -> {text}")
            case BingError():
                print(f"{prompt} -> {type(result).__name__}: {result}")
            case BaseException():
                raise result


asyncio.run(main())
