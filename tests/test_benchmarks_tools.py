"""The benchmark of tools and objects: a model of a few lines behind a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

from benchmarks.tools import __main__ as benchmark
from benchmarks.tools.agents import PROBLEMS
from benchmarks.tools.checks import Reply
from benchmarks.tools.objects import EXTRACTIONS
from benchmarks.tools.tasks import TASKS, Task, halves
from bing_llm import sync
from bing_llm.messages import Prompt
from tests.fakes import FakeBackend
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.llama_index.llms.bing.models import llm_of
from tests.integrations.turns import turn

MODEL = "a-model"
_LISTED = re.compile(r"^(\w+)\(", re.MULTILINE)


class Model:
    """A server with OpenAI's API whose model calls the first tool for Paris, whatever is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._runner: web.AppRunner | None = None

    def start(self) -> str:
        """Listen on loopback; the base URL of its API."""
        return sync.run(self._start())

    def close(self) -> None:
        """Stop listening."""
        assert self._runner is not None
        sync.run(self._runner.cleanup())

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        tool = _LISTED.findall("\n".join(message["content"] for message in body["messages"]))[0]
        call = json.dumps({"name": tool, "arguments": {"city": "Paris"}})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": call}}
        return web.json_response({"choices": [choice]})


@pytest.fixture
def model() -> Iterator[tuple[Model, str]]:
    """A model, and the base URL of its API."""
    server = Model()
    url = server.start()
    yield server, url
    server.close()


def test_each_kind_of_task_has_a_row(
    model: tuple[Model, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right and wrong replies are counted, and a second run asks the model nothing."""
    server, url = model
    options = ["--url", url, "--model", MODEL, "--cache", str(tmp_path), "--kind", "single", "--kind", "none"]
    assert benchmark.main(options) == 0
    asked, first = len(server.asked), capsys.readouterr().out
    rows = {line.split("  ")[0]: line.split() for line in first.splitlines()}
    assert rows["none"][1] == "0"
    assert int(rows["single"][1]) == sum(
        not task.check(Reply("", (("get_weather", {"city": "Paris"}),)))
        for task in halves(TASKS)[0]
        if task.kind == "single"
    )
    assert {(one["temperature"], one["seed"], one["model"]) for one in server.asked} == {(0, 1, MODEL)}
    assert benchmark.main([*options, "--verbose"]) == 0
    assert first in capsys.readouterr().out
    assert len(server.asked) == asked


@pytest.mark.system  # it lets a dozen agents run up to their limit
def test_an_agent_that_calls_for_ever_did_not_end(
    model: tuple[Model, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted as not ended, and the next one is tried."""
    _, url = model
    benchmark.main(["--url", url, "--model", MODEL, "--cache", str(tmp_path), "--kind", "agents", "--verbose"])
    said = capsys.readouterr().out
    assert benchmark.ENDLESS in said
    assert said.count("\nagents ") >= len(PROBLEMS) // 2 - 1


def test_there_are_tasks_enough() -> None:
    """Sixty single turns, objects of twenty schemas and twelve problems for agents in each half."""
    assert len(TASKS) >= 60
    assert len(EXTRACTIONS) >= 20
    assert len(PROBLEMS) >= 24
    for half in (0, 1):
        assert {task.kind for task in halves(TASKS)[half]} == {task.kind for task in TASKS}


def as_llama_index(messages: tuple[AnyMessage, ...]) -> list[ChatMessage]:
    """The same history for LlamaIndex."""
    return [_as_llama_index(message) for message in messages]


def _as_llama_index(message: AnyMessage) -> ChatMessage:
    text = TextBlock(text=message.text)
    match message:
        case AIMessage():
            calls = [
                ToolCallBlock(tool_call_id=call["id"], tool_name=call["name"], tool_kwargs=call["args"])
                for call in message.tool_calls
            ]
            return ChatMessage([*([text] if message.text else []), *calls], role="assistant")
        case ToolMessage():
            return ChatMessage([text], role="tool", additional_kwargs={"tool_call_id": message.tool_call_id})
        case SystemMessage():
            return ChatMessage([text], role="system")
        case HumanMessage():
            return ChatMessage([text], role="user")
        case _:
            raise TypeError(message)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.kind}: {task.question:.30}")
def test_both_adapters_ask_a_task_with_the_same_bytes(task: Task) -> None:
    """So what is measured with ChatBing holds for Bing; but LlamaIndex does not say whether a tool failed."""
    answers = [turn("Hi")] * (1 if task.choice == "auto" else 2)  # a call that must come is asked for once more
    theirs, ours = FakeBackend(*answers), FakeBackend(*answers)
    options = {"tools": list(task.tools), "tool_choice": None if task.choice == "auto" else task.choice}
    model_of(theirs).bind(**options).invoke(list(task.messages))
    llm_of(ours).chat(as_llama_index(task.messages), **options)
    assert [*map(_written, ours.prompts)] == [*map(_written, theirs.prompts)]


def _written(prompt: Prompt) -> str:
    return re.sub(r'(<tool_result name="\w+") status="\w+"', r"\1", f"{prompt.context}{prompt.text}")


@pytest.mark.parametrize("extraction", EXTRACTIONS, ids=lambda one: f"{one.question:.30}")
def test_both_adapters_ask_for_an_object_with_the_same_bytes(extraction: Any) -> None:
    """Of JSON by a schema."""
    theirs, ours = FakeBackend(turn("{}"), turn("{}")), FakeBackend(turn("{}"), turn("{}"))
    schema = extraction.schema if isinstance(extraction.schema, dict) else extraction.schema.model_json_schema()
    options = {"response_format": {"type": "json_schema", "json_schema": {"name": "Answer", "schema": schema}}}
    model_of(theirs).bind(**options).invoke(extraction.question)
    llm_of(ours).chat([ChatMessage(extraction.question)], **options)
    assert ours.prompts[0] == theirs.prompts[0]
    assert json.dumps(extraction.question)[1:20] in json.dumps(theirs.prompts[0].text)
