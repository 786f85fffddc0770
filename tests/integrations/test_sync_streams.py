"""Synchronous streams of both adapters: what waits is handed over in one hop between the threads."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from bing_llm import sync
from bing_llm.client import BingClient
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend, answer, client_of

STREAMS: dict[str, Callable[[BingClient], Iterable[Any]]] = {
    "ChatBing": lambda client: ChatBing(client=client, join_deltas=False).stream("Hello"),
    "ChatBing, v1": lambda client: ChatBing(client=client, join_deltas=False, output_version="v1").stream("Hello"),
    "ChatBing, stop": lambda client: ChatBing(client=client, join_deltas=False, stop=["#"]).stream("Hello"),
    "Bing.stream_chat": lambda client: Bing(client=client, join_deltas=False).stream_chat([ChatMessage("Hello")]),
    "Bing.stream_complete": lambda client: Bing(client=client, join_deltas=False).stream_complete("Hello"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_chunk_for_each_delta_takes_one_hop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty deltas that wait are fifty chunks, and the thread waits for the loop a few times, not for each of them."""
    hops: list[object] = []
    run = sync.run

    def count(coroutine: Coroutine[Any, Any, Any]) -> Any:
        hops.append(coroutine)
        return run(coroutine)

    monkeypatch.setattr(sync, "run", count)
    chunks = list(STREAMS[name](client_of(FakeBackend(answer(*["word "] * 50)))))
    assert len(chunks) >= 51
    assert len(hops) <= 3
