"""A script that closes nothing: neither the LLM nor streams that are half read.

Usage: python left_open.py ENDPOINT
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

from llama_index.llms.bing import Bing

logging.getLogger("asyncio").setLevel(logging.ERROR)  # below that it tells what is slow

ASKED = "Reply with the word tide."

llm = Bing(endpoint=sys.argv[1])
answers: list[object] = []


async def ask() -> None:
    """Leave a stream, too."""
    left = await llm.astream_complete(ASKED)
    await anext(left)
    answers.append(await llm.acomplete(ASKED))


left = llm.stream_complete(ASKED)
next(left)
answers.append(llm.complete(ASKED))
asyncio.run(ask())
asyncio.run(ask())
thread = threading.Thread(target=asyncio.run, args=(ask(),))
thread.start()
thread.join()
answers.append(llm.complete(ASKED))
print(*answers, sep="\n")  # noqa: T201 - for the test
