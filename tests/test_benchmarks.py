"""The benchmarks run, in a tiny size: whether the bounds are kept is for their own commands to say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from benchmarks import langchain_import, langchain_overhead, langchain_socket, measuring

TINY = ["--deltas", "150", "--rounds", "1"]


class Reader(BaseChatModel):
    """Reads OpenAI's server-sent events in the plainest way."""

    url: str

    @property
    def _llm_type(self) -> str:
        return "reader"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 - LangChain's signature
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/chat/completions", json={}) as response:
            async for line in response.content:
                data = line.removeprefix(b"data:").strip()
                if data and data != b"[DONE]":
                    text = json.loads(data)["choices"][0]["delta"].get("content", "")
                    yield ChatGenerationChunk(message=AIMessageChunk(content=text))


def table(main: Callable[[Sequence[str]], int], arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The rows of the table that a benchmark prints, by their first cell, and its verdicts."""
    code = main(arguments)
    header, *lines = capsys.readouterr().out.splitlines()
    rows = lines[: lines.index("")]
    verdicts = lines[lines.index("") + 1 :]
    assert code == any(verdict.startswith("BROKEN: ") for verdict in verdicts)
    assert all(verdict.startswith(("BROKEN: ", "kept: ")) for verdict in verdicts)
    assert all(len(row) == len(header) for row in rows)
    cells = [[cell for cell in row.split("  ") if cell] for row in rows]
    assert {len(row) for row in cells} == {len([cell for cell in header.split("  ") if cell])}
    return {row[0]: [float(cell) for cell in row[1:]] for row in cells}, verdicts


def test_overhead_compares_each_way_of_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    """Each case is there with its chunks: one for each delta and the last one, or fewer where they are joined."""
    rows, verdicts = table(langchain_overhead.main, TINY, capsys)
    chunks = {case: row[-1] for case, row in rows.items()}
    joined = {case: count for case, count in chunks.items() if "joined" in case}
    assert tuple(chunks) == langchain_overhead.CASES
    assert all(count < 10 for count in joined.values())
    assert {count for case, count in chunks.items() if case not in joined} == {151}
    assert len(verdicts) == 1


def test_socket_compares_with_another_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers send all deltas, each in a process of its own, and the other model counts as 1."""
    monkeypatch.setattr(langchain_socket, "chat_openai", lambda url: Reader(url=url))
    rows, verdicts = table(langchain_socket.main, TINY, capsys)
    assert tuple(rows) == (langchain_socket.OURS, langchain_socket.UNJOINED, langchain_socket.OTHER)
    assert rows[langchain_socket.UNJOINED][-1] == 151
    assert rows[langchain_socket.OTHER][1] == 1
    assert rows[langchain_socket.OTHER][-1] >= 152
    assert len(verdicts) == 1


def test_import_brings_nothing_that_is_not_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """What takes long to import, and a new ChatBing does not use, is not imported with it."""
    rows, verdicts = table(langchain_import.main, ["--rounds", "1"], capsys)
    assert [len(row) for row in rows.values()] == [3, 3]
    assert verdicts[-1].startswith("kept: ")


def test_a_broken_bound_ends_with_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """One bound that is broken is enough, and is named."""
    bounds = [measuring.Bound("fast", 1.0, 2.0, "us"), measuring.Bound("slow", 3.0, 2.0, "us")]
    assert measuring.report(["a"], [["b"]], bounds) == 1
    assert "BROKEN: slow: 3.00 us, at most 2" in capsys.readouterr().out
    assert measuring.report(["a"], [["b"]], bounds[:1]) == 0


async def test_works_take_turns() -> None:
    """What is compared runs in turns, and the first round does not count."""
    ran: list[str] = []

    def work(name: str) -> measuring.Work:
        async def note() -> int:
            ran.append(name)
            return len(ran)

        return note

    samples = await measuring.interleaved({"a": work("a"), "b": work("b")}, deltas=1, rounds=2)
    assert ran == ["a", "b"] * 3
    assert {name: [sample.chunks for sample in taken] for name, taken in samples.items()} == {"a": [3, 5], "b": [4, 6]}
