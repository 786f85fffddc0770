"""With nest_asyncio, which changes asyncio for the whole process: calls inside of calls, each answered.

Usage: python nested.py ENDPOINT
"""

from __future__ import annotations

import asyncio
import logging
import sys

import nest_asyncio  # type: ignore[import-untyped]
from llama_index.core import Document
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import ChatMessage
from llama_index.core.node_parser import SentenceSplitter

from llama_index.llms.bing import Bing

logging.getLogger("asyncio").setLevel(logging.ERROR)  # below that it tells what is slow

ASKED = "Reply with the word tide."


def summary(llm: Bing) -> str:
    """What a pipeline, called synchronously, gets from the model."""
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), SummaryExtractor(llm=llm, show_progress=False)])
    return str(pipeline.run(documents=[Document(text=ASKED)])[0].metadata["section_summary"])


async def inside(llm: Bing) -> list[str]:
    """In a running loop: awaited, called, and run to its end on that very loop."""
    loop = asyncio.get_running_loop()
    streamed = [chunk.delta or "" async for chunk in await llm.astream_chat([ChatMessage(ASKED)])]
    left = await llm.astream_chat([ChatMessage(ASKED)])
    await anext(left)
    return [
        (await llm.acomplete(ASKED)).text,
        llm.complete(ASKED).text,
        loop.run_until_complete(llm.acomplete(ASKED)).text,
        asyncio.run(llm.acomplete(ASKED)).text,
        summary(llm),
        "".join(streamed),
        "".join(chunk.delta or "" for chunk in llm.stream_chat([ChatMessage(ASKED)])),
        (await llm.acomplete(ASKED)).text,
    ]


nest_asyncio.apply()
with Bing(endpoint=sys.argv[1]) as llm:
    answers = [*asyncio.run(inside(llm)), summary(llm), *asyncio.run(inside(llm)), llm.complete(ASKED).text]
print(*answers, sep="\n")  # noqa: T201 - for the test
