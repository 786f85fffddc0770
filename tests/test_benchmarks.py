"""The benchmarks run, in a tiny size: whether the bounds are kept is for their own commands to say."""

from __future__ import annotations

import json
import runpy
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole

from benchmarks import (
    batch,
    batch_rows,
    continuation,
    crowd,
    frames,
    growth,
    import_time,
    inputs,
    langchain_import,
    langchain_overhead,
    langchain_socket,
    llama_index_import,
    llama_index_overhead,
    llama_index_socket,
    measuring,
    parsing,
    scale,
    serve,
    shape,
    soak,
    tool_prompt,
    turns,
    walk,
    warm,
)
from benchmarks.forms import WORKIQ
from tests.children import run_python

pytestmark = pytest.mark.system  # each runs a whole benchmark, if a small one

TINY = ["--deltas", "150", "--rounds", "1"]


async def sent_texts(url: str) -> AsyncIterator[str]:
    """OpenAI's server-sent events, read in the plainest way."""
    async with aiohttp.ClientSession() as http, http.post(f"{url}/chat/completions", json={}) as response:
        async for line in response.content:
            data = line.removeprefix(b"data:").strip()
            if data and data != b"[DONE]":
                yield json.loads(data)["choices"][0]["delta"].get("content", "")


class LangChainReader(BaseChatModel):
    """Stands in for ChatOpenAI, which is not installed here."""

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
        async for text in sent_texts(self.url):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


class LlamaIndexReader(llama_index_overhead.Floor):
    """Stands in for LlamaIndex's OpenAI, which is not installed here."""

    url: str

    async def astream_chat(  # noqa: D102 - LlamaIndex's method
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        del messages, kwargs
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[ChatResponse, None]:
        whole = ""
        async for text in sent_texts(self.url):
            whole += text
            yield ChatResponse(message=ChatMessage(whole, role=MessageRole.ASSISTANT), delta=text)


def table(main: Callable[[Sequence[str]], int], arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The rows of the table that a benchmark prints, by their first cell, and its verdicts."""
    code = main(arguments)
    header, *lines = capsys.readouterr().out.strip().splitlines()
    rows = lines[: lines.index("")]
    verdicts = lines[lines.index("") + 1 :]
    assert code == any(verdict.startswith("BROKEN: ") for verdict in verdicts)
    assert all(verdict.startswith(("BROKEN: ", "kept: ")) for verdict in verdicts)
    assert all(len(row) == len(header) for row in rows)
    cells = [[cell for cell in row.split("  ") if cell] for row in rows]
    assert {len(row) for row in cells} == {len([cell for cell in header.split("  ") if cell])}
    return {row[0]: [float(cell) for cell in row[1:]] for row in cells}, verdicts


def test_langchain_overhead_compares_each_way_of_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    """Each case is there with its chunks: one for each delta and the last one, or fewer where they are joined."""
    rows, verdicts = table(langchain_overhead.main, TINY, capsys)
    assert tuple(rows) == langchain_overhead.CASES
    assert {row[-1] for case, row in rows.items() if "joined" not in case} == {151}
    assert all(row[-1] < 10 for case, row in rows.items() if "joined" in case)
    assert len([verdict for verdict in verdicts if ": CPU of stream" in verdict]) == 3


def test_llama_index_overhead_compares_each_way_of_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    """Each case is there with its chunks: one for each delta and the last one, or fewer where they are joined."""
    rows, verdicts = table(llama_index_overhead.main, TINY, capsys)
    assert tuple(rows) == tuple(llama_index_overhead.CASES)
    assert {row[-1] for case, row in rows.items() if "joined" not in case} == {151}
    assert all(row[-1] < 10 for case, row in rows.items() if "joined" in case)
    assert len([verdict for verdict in verdicts if ": CPU of stream" in verdict]) == 3


def test_tools_are_measured_in_both_adapters(capsys: pytest.CaptureFixture[str]) -> None:
    """Calls with tools and without, beside writing the tools as JSON."""
    rows, verdicts = table(tool_prompt.main, ["--tools", "3", "--calls", "2", "--rounds", "1"], capsys)
    assert tuple(rows) == tool_prompt.ADAPTERS
    assert all(value > 0 for row in rows.values() for value in (row[0], row[1], row[3]))
    assert len(verdicts) == 2


def test_langchain_socket_compares_with_another_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers send all deltas, each in a process of its own, and the other model counts as 1."""
    monkeypatch.setattr(langchain_socket, "chat_openai", lambda url: LangChainReader(url=url))
    rows, verdicts = table(langchain_socket.main, TINY, capsys)
    assert tuple(rows) == (langchain_socket.OURS, langchain_socket.UNJOINED, langchain_socket.OTHER)
    assert 1 < rows[langchain_socket.UNJOINED][-1] <= 151
    assert rows[langchain_socket.OTHER][1] == 1
    assert rows[langchain_socket.OTHER][-1] >= 152
    assert len(verdicts) == 1


def test_llama_index_socket_compares_with_another_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers send all deltas, each in a process of its own, and the other model counts as 1."""
    monkeypatch.setattr(llama_index_socket, "openai", lambda url: LlamaIndexReader(url=url))
    rows, verdicts = table(llama_index_socket.main, TINY, capsys)
    assert tuple(rows) == (llama_index_socket.OURS, llama_index_socket.UNJOINED, llama_index_socket.OTHER)
    assert 1 < rows[llama_index_socket.UNJOINED][-1] <= 151
    assert rows[llama_index_socket.OTHER][1] == 1
    assert rows[llama_index_socket.OTHER][-1] == 152
    assert len(verdicts) == 1


def test_continuation_keeps_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes do not depend on the machine; without going on, each turn has a conversation and sends all of it."""
    rows, verdicts = table(continuation.main, ["--turns", "4"], capsys)
    on, off = rows.values()
    assert (on[0], off[0]) == (1, 4)
    assert on[2] == on[4] < off[2] < off[4]
    assert all(verdict.startswith("kept: ") for verdict in verdicts)


def test_scale_opens_all_turns_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Both clients complete all their turns, each in a process of its own."""
    rows, verdicts = table(scale.main, ["--turns", "4", "--deltas", "3", "--rounds", "1"], capsys)
    assert tuple(rows) == (crowd.BARE, crowd.OURS)
    assert [row[0] for row in rows.values()] == [4, 4]
    assert verdicts[0].startswith("kept: turns that did not complete")
    assert len(verdicts) == 3


def test_batch_is_measured_beside_a_bare_loop(capsys: pytest.CaptureFixture[str]) -> None:
    """Both do all their turns, with each number of rows at once; the ideal is a bound only where it can be reached."""
    size = ["--milliseconds", "10", "--each", "2", "--at-once", "1", "3", "200", "--most", "4", "--rounds", "1"]
    rows, verdicts = table(batch.main, size, capsys)
    assert list(rows) == [f"{number}, {name}" for number in (1, 3, 200) for name in (batch.BATCH, batch.BARE)]
    assert all(value > 0 for row in rows.values() for value in row)
    assert [verdict.split(", ")[0].partition("short of ")[2] for verdict in verdicts] == [
        *("the ideal", "a bare loop") * 2,
        "a bare loop",
    ]


def test_frames_are_read_by_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Each form comes whole, as fast as it is read and paced, and each has a bound."""
    rows, verdicts = table(frames.main, ["--frames", "50", "--paced", "5", "--rounds", "1"], capsys)
    names = [case.name for case in frames.CASES]
    assert list(rows) == [*names, frames.ASK]
    for case in frames.CASES:
        assert rows[case.name][-1] == (5 if case.paced else 50) + (1 if case.form == WORKIQ else 2), case.name
    assert [verdict.split(": ")[1].removeprefix("CPU a frame, ") for verdict in verdicts] == names


def test_growth_has_a_row_for_each_size(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of three lengths, and three numbers of turns at once."""
    monkeypatch.setattr(growth, "report_inputs", lambda _divisor, _rounds: 0)
    rows, verdicts = table(growth.main, ["--words", "200", "--turns", "200", "--rounds", "1"], capsys)
    assert tuple(rows) == ("2 words, 1", "20 words, 1", "200 words, 1", "2 words, 2", "2 words, 20", "2 words, 200")
    assert all(value > 0 for row in rows.values() for value in row)
    assert len(verdicts) == 1


def test_growth_measures_each_kind_of_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Histories, messages, tools, schemas, citations, turns and rows, each with a bound of its own."""
    rows, verdicts = table(lambda _: growth.report_inputs(100, 1), [], capsys)
    assert tuple(rows) == tuple(inputs.KINDS)
    assert all(value > 0 for row in rows.values() for value in row)
    assert len(verdicts) == len(rows)


def test_parsing_has_a_row_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Each hostile reply, each long frame and each hostile marker, at both sizes."""
    rows, verdicts = table(parsing.main, ["--characters", "1000", "--rounds", "1"], capsys)
    assert len(rows) == len(parsing.REPLIES) + len(parsing.FRAMES) + len(parsing.MARKERS)
    assert all(value > 0 for row in rows.values() for value in row)
    assert len(verdicts) == 1


def test_soak_accounts_for_every_turn(capsys: pytest.CaptureFixture[str]) -> None:
    """A short one keeps its bounds: each turn ends in one of the known ways, and nothing is left."""
    size = ["--seconds", "2", "--clients", "8", "--patience", "0.5"]
    rows, verdicts = table(soak.main, size, capsys)
    turns = rows["turns"]
    assert turns[0] == 8
    assert turns[2] == sum(row[2] for name, row in rows.items() if name not in soak.MEASURES)
    assert len(verdicts) == 6
    assert all(verdict.startswith("kept: ") for verdict in verdicts if "stall" not in verdict), verdicts


def test_batch_rows_tells_what_a_row_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Two lengths, each in a process of its own: memory, and CPU time of a row that is asked or done before."""
    rows, verdicts = table(batch_rows.main, ["--rows", "500"], capsys)
    assert tuple(rows) == ("50", "500")
    assert all(ask > skip > floor > 0 for _, ask, skip, floor, *_ in rows.values())
    assert verdicts[0].startswith("kept: ")
    assert len(verdicts) == 2


@pytest.mark.parametrize("module", [import_time, langchain_import, llama_index_import])
def test_import_brings_nothing_that_is_not_needed(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What takes long to import, and a new model does not use, is not imported with it."""
    rows, verdicts = table(module.main, ["--rounds", "1"], capsys)
    assert [len(row) for row in rows.values()] == [3, 3]
    assert verdicts[-1].startswith("kept: ")


def test_what_both_adapters_share_loads_no_framework() -> None:
    """What one framework takes to load does not count in what is measured of the other."""
    shared = (
        "bare, crowd, faulty, forms, frames, growth, import_time, imports, measuring, memory, resident, scale, "
        "servers, soak, sockets, turns, written"
    )
    code = f"import sys; from benchmarks import {shared}; print(*sys.modules, sep='\\n')"
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"langchain_core", "llama_index"} & set(done.stdout.split())


def test_warm_counts_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    """A round trip counts as one; a cold start takes more of them than a warm one, and each has a bound."""
    rows, verdicts = table(warm.main, ["--rounds", "5"], capsys)
    assert tuple(rows) == (warm.ROUND_TRIP, warm.WARM, warm.COLD)
    assert rows[warm.ROUND_TRIP][1] == 1
    assert rows[warm.COLD][1] > rows[warm.WARM][1]
    assert len(verdicts) == 2


def test_serve_compares_both_apis(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is there with its chunks: one for each delta, and those of the beginning and the end."""
    rows, verdicts = table(serve.main, [*TINY, "--streams", "5"], capsys)
    assert tuple(rows) == tuple(serve.PATHS)
    assert [row[-1] for row in rows.values()] == [153, 158]
    assert len(verdicts) == 6
    assert [verdict.split(":")[0] for verdict in verdicts[-2:]] == ["kept", "kept"]


def test_turns_count_from_their_floors(capsys: pytest.CaptureFixture[str]) -> None:
    """A cold turn, a warm one and the first of a process each have a floor and a bound."""
    rows, verdicts = table(turns.main, ["--rounds", "3", "--processes", "1"], capsys)
    assert tuple(rows) == (turns.COLD, turns.WARM, turns.FIRST)
    assert all(value > 0 for row in rows.values() for value in row)
    assert rows[turns.FIRST][0] > rows[turns.COLD][0]
    assert len(verdicts) == 3


@pytest.mark.parametrize("awaited", [False, True])
async def test_reading_counts_the_chunks_of_every_kind_of_stream(*, awaited: bool) -> None:
    """LangChain gives an iterator, LlamaIndex one to await, and both a sync one."""

    async def chunks() -> AsyncIterator[str]:
        for chunk in "abc":
            yield chunk

    async def opened() -> AsyncIterator[str]:
        return chunks()

    assert await measuring.reading(opened if awaited else chunks)() == 3
    assert await measuring.reading(lambda: iter("ab"))() == 2


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


# --- the shape of the source ------------------------------------------------------------------------------------------

SOURCES = {
    "bing_llm/__init__.py": '"""A package."""\n\nfrom .a import f\n',
    "bing_llm/a.py": '"""Two\nlines."""\n\nfrom typing import Any\n\n\ndef f(x: Any) -> object:  # a comment\n'
    '    """What it does."""\n    from bing_llm import b\n\n    return b.g(over_stream=x)\n',
    "bing_llm/b.py": 'from bing_llm.a import f\n\nNAMES = ["entity_tags", "the entity_tags"]\n\n\ndef g(over_stream):\n'
    "    return over_stream\n",
    "bing_llm/emulator/__init__.py": "def g(): ...\n",
    "integrations/langchain_bing/__init__.py": "def g(): ...\n\n\ng()\n",
    "tests/c.py": "def g(): ...\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A made-up one, of five modules and a test."""
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_the_shape_is_counted(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Docstrings and comments are not code; an import counts wherever it stands; a name within a text does not."""
    assert shape.main([str(checkout), "--no-turns"]) == 0
    lines = [line.rpartition("  ") for line in capsys.readouterr().out.splitlines()]
    assert {name.strip(): float(value) for name, _, value in lines} == {
        "modules": 5,
        "source lines": 26,
        "lines of code": 12,
        "modules imported by exactly one other": 1,
        "uses of Any in 1,000 source lines": 38.5,
        "files that name over_stream": 2,
        "files that name entity_tags": 1,
    }


def test_a_walk_is_of_the_functions_that_run(checkout: Path) -> None:
    """In this thread and in those that it starts, without the emulator and other folders, and not of a mere import."""

    def turn() -> None:
        runpy.run_path(str(checkout / "bing_llm/a.py"))
        for name in ("bing_llm/emulator/__init__.py", "tests/c.py"):
            runpy.run_path(str(checkout / name))["g"]()
        g = runpy.run_path(str(checkout / "bing_llm/b.py"))["g"]
        thread = threading.Thread(target=g, args=(1,))
        thread.start()
        thread.join()
        runpy.run_path(str(checkout / "integrations/langchain_bing/__init__.py"))

    (checkout / "bing_llm/b.py").write_text("def g(x): ...\n")
    assert walk.walked(checkout, turn) == ["bing_llm/b.py", "integrations/langchain_bing/__init__.py"]


def test_a_turn_of_this_checkout_is_walked() -> None:
    """By a process of its own, in which the emulator does not run."""
    files = shape.walked(Path(shape.__file__).parents[1], "batch")
    assert "bing_llm/client.py" in files
    assert any(file.startswith("bing_llm/batch/") for file in files)
    assert not [file for file in files if file.startswith("bing_llm/emulator/")]
