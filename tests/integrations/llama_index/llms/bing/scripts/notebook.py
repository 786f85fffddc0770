"""What a notebook does: cells with `await`, compiled one by one and run on one loop that never stops.

Usage: python notebook.py ENDPOINT
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import sys
from typing import Any

CELLS = [
    """
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.llms.bing import Bing

asked = "Reply with the word tide."
Settings.llm = llm = Bing(endpoint=endpoint)
Settings.embed_model = MockEmbedding(embed_dim=8)
""",
    "print(llm.complete(asked))",
    "print(await llm.acomplete(asked))",
    """
for chunk in llm.stream_complete(asked):
    print(chunk.delta, end="")
print()
""",
    """
async for chunk in await llm.astream_complete(asked):
    print(chunk.delta, end="")
print()
""",
    "left = llm.stream_complete(asked); _ = next(left)",
    "aleft = await llm.astream_complete(asked); _ = await anext(aleft)",
    """
index = VectorStoreIndex.from_documents([Document(text="The tide comes.")])
print(index.as_query_engine().query(asked))
""",
    "print(await index.as_query_engine(use_async=True, response_mode='tree_summarize').aquery(asked))",
    "print(index.as_query_engine(use_async=True, response_mode='tree_summarize').query(asked))",
    """
pipeline = IngestionPipeline(transformations=[SentenceSplitter(), SummaryExtractor(show_progress=False)])
print(pipeline.run(documents=[Document(text=asked)])[0].metadata["section_summary"])
""",
    """
nodes = await pipeline.arun(documents=[Document(text=asked, metadata={"source": "another"})])
print(nodes[0].metadata["section_summary"])
""",
    "print(await llm.acomplete(asked)); print(llm.complete(asked))",
]


async def run_cells(names: dict[str, Any]) -> None:
    """Run them as a kernel does."""
    for number, cell in enumerate(CELLS):
        code = compile(cell, f"<cell {number}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)  # noqa: S307 - the cells are above
        if inspect.isawaitable(result):
            await result


logging.getLogger("asyncio").setLevel(logging.ERROR)  # below that it tells what is slow
asyncio.run(run_cells({"endpoint": sys.argv[1]}))
