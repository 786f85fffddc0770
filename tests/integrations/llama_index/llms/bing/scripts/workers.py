"""A pipeline with two worker processes, to which the LLM travels.

Usage: python workers.py ENDPOINT
"""

from __future__ import annotations

import logging
import sys

from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode

from llama_index.llms.bing import Bing

logging.getLogger("asyncio").setLevel(logging.ERROR)  # below that it tells what is slow

if __name__ == "__main__":
    with Bing(endpoint=sys.argv[1]) as llm:
        answers = [llm.complete("Reply with the word tide.").text]
        pipeline = IngestionPipeline(transformations=[SummaryExtractor(llm=llm, show_progress=False)])
        nodes = pipeline.run(nodes=[TextNode(text="The tide comes."), TextNode(text="The tide goes.")], num_workers=2)
        answers += (node.metadata["section_summary"] for node in nodes)
    print(*answers, sep="\n")  # noqa: T201 - for the test
