"""A pipeline: LlamaIndex runs it on a loop that nobody closes, and the LLM is not closed either.

Usage: python pipeline.py ENDPOINT
"""

from __future__ import annotations

import logging
import sys

from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode

from llama_index.llms.bing import Bing

logging.getLogger("asyncio").setLevel(logging.ERROR)  # below that it tells what is slow

llm = Bing(endpoint=sys.argv[1])
pipeline = IngestionPipeline(transformations=[SummaryExtractor(llm=llm, show_progress=False)])
for text in ("The tide comes.", "The tide goes."):
    (node,) = pipeline.run(nodes=[TextNode(text=text)])
    print(node.metadata["section_summary"])  # noqa: T201 - for the test
