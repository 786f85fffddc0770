"""Answers from your own documents: the passages found go into the prompt, and are listed after the answer.

The embedding stands in for a model: it counts common words. Where there is more to search, a real one takes its place.

Needs `pip install ".[llama-index]"`.
"""

import hashlib
import re

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding

from llama_index.llms.bing import Bing

NOTES = [
    Document(text="My mooring is number 12 at the north quay.", metadata={"source": "boat.md"}),
    Document(text="My harbour permit is valid until the end of May.", metadata={"source": "papers.md"}),
]


class WordCounts(BaseEmbedding):
    """Texts are near to each other where they have words in common."""

    def _get_text_embedding(self, text: str) -> list[float]:
        counts = [0.0] * 256
        for word in re.findall(r"\w{4,}", text.lower()):
            counts[hashlib.sha256(word.encode()).digest()[0]] += 1
        return counts

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


with Bing(search=False) as llm:
    index = VectorStoreIndex.from_documents(NOTES, embed_model=WordCounts())
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)
    for question in ("What is my mooring?", "Until when is my permit valid?"):
        response = engine.query(question)
        print(f"> {question}\n{response}")
        for found in response.source_nodes:
            print(f"  {found.metadata['source']}: {found.get_content()}")
