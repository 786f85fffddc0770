"""Two documents, an index of them, and a service that says what it was asked."""

from __future__ import annotations

import re

from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.memory import ChatMemoryBuffer

from bing_llm.emulator import Emulator, Question, Scripted

MOORING = "My mooring is number 12 at the north quay."
PERMIT = "My harbour permit is valid until the end of May."

_FOLLOW_UP = re.compile(r"Follow Up (?:Input: |Message>\n)(.+)")
_QUERY = re.compile(r"^Query: (.+)", re.MULTILINE)


def documents() -> list[Document]:
    """The two, new each time: pipelines write into them."""
    return [
        Document(text=MOORING, metadata={"source": "boat.md"}),
        Document(text=PERMIT, metadata={"source": "papers.md"}),
    ]


def index_of(found: list[Document] | None = None) -> VectorStoreIndex:
    """An index that finds two of its documents, whatever is asked: its embeddings are all the same."""
    return VectorStoreIndex.from_documents(found or documents(), embed_model=MockEmbedding(embed_dim=8))


def memory() -> ChatMemoryBuffer:
    """A memory that is a list. The default one is a database that LlamaIndex never closes."""
    return ChatMemoryBuffer.from_defaults(token_limit=4000)


def reply_to(asked: str) -> str:
    """What the service says."""
    return f"You asked: {asked}"


def repeating() -> Scripted:
    """A brain that says what it was asked, so that an answer tells whose it is; a follow-up it gives back as it is."""
    return Scripted(lambda question: re.findall(r"\S+\s*|\s+", _answer(question)))


def _answer(question: Question) -> str:
    follow_up = _FOLLOW_UP.search(question.text)
    if follow_up:
        return follow_up[1]
    query = _QUERY.search(question.text)
    return reply_to(query[1] if query else question.text)


def sent(emulator: Emulator) -> list[str]:
    """What the service was sent in each turn: the context, and the message."""
    return [f"{request.context}\n{request.text}" for request in emulator.requests if request.kind == "chat"]
