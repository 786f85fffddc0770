"""Both adapters over A2A: what differs from the other services reaches the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from langchain_bing import ChatBing
from llama_index.llms.bing import Bing

AGENT = "P_writer.emulator"
PLAN = "https://contoso.sharepoint.com/Q3%20Plan.docx"
ASKS = ev.TurnCompleted(ev.Reply(metadata={"state": "TASK_STATE_INPUT_REQUIRED", "question": "Which plan?"}))


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator on the background loop."""
    with Emulator() as running:
        yield running


def settings(emulator: Emulator, **more: Any) -> dict[str, Any]:
    """What makes a model that asks the agent; the agent alone chooses the service."""
    place = {"endpoint": emulator.a2a_url, "api_key": emulator.token, "time_zone": "Europe/Zurich"}
    return {"agent": AGENT, **place, **more}


def kinds(emulator: Emulator) -> list[str]:
    """What the service was asked for."""
    return [request.kind for request in emulator.requests]


def test_an_agent_that_asks_is_answered(emulator: Emulator) -> None:
    """Its question is the answer, and the history that extends it goes on with the task."""
    with ChatBing(**settings(emulator)) as model:
        emulator.brain = Scripted([["Draft", ASKS], ["Done"]])
        first = model.invoke("Write")
        assert first.content == "Draft\n\nWhich plan?"
        assert model.invoke([HumanMessage("Write"), first, HumanMessage("The first")]).content == "Done"
    with Bing(**settings(emulator)) as llm:
        emulator.brain = Scripted([["Draft", ASKS], ["Done"]])
        history = [ChatMessage(role="user", content="Write")]
        answer = llm.chat(history).message
        assert answer.content == "Draft\n\nWhich plan?"
        assert llm.chat([*history, answer, ChatMessage(role="user", content="The first")]).message.content == "Done"
    turns = [request.body["params"]["message"] for request in emulator.requests if request.kind == "chat"]
    assert [("contextId" in turn, "taskId" in turn) for turn in turns] == [(False, False), (True, True)] * 2
    assert [request.text for request in emulator.requests if request.kind == "chat"] == ["Write", "The first"] * 2


def test_a_stop_sequence_cancels_the_task(emulator: Emulator) -> None:
    """The agent does not work on at what nobody reads."""
    emulator.brain = Scripted(lambda _: ["One ", "END", *["more "] * 5000])
    with ChatBing(**settings(emulator)) as model:
        assert model.invoke("Count", stop=["END"]).content == "One "
    with Bing(**settings(emulator, stop=["END"])) as llm:
        assert llm.complete("Count").text == "One "
    assert kinds(emulator).count("stop") == 2


@pytest.mark.parametrize("agent", [AGENT, "P_researcher.emulator", "P_clerk.emulator"])
def test_sources_reach_the_user(emulator: Emulator, agent: str) -> None:
    """Links in the text are citations, with their places."""
    text = f"Yes [1]({PLAN}), no."
    emulator.brain = Scripted(lambda _: [text[:20], text[20:]])
    with ChatBing(**settings(emulator, agent=agent, output_version="v1")) as model:
        [block] = [each for each in model.invoke("Is it?").content_blocks if each["type"] == "text"]
        [annotation] = block["annotations"]
        assert annotation["type"] == "citation"
        assert (annotation["url"], annotation["title"]) == (PLAN, "Q3 Plan.docx")
        assert block["text"][annotation["start_index"] : annotation["end_index"]] == f"[1]({PLAN})"
    with Bing(**settings(emulator, agent=agent, citation_markers="footnote")) as llm:
        message = llm.chat([ChatMessage(role="user", content="Is it?")]).message
        assert message.content == "Yes [^1^], no."
        [citation] = [each for each in message.blocks if each.block_type == "citation"]
        assert citation.additional_location_info == {"start_index": 4, "end_index": 9}


def test_progress_is_reasoning(emulator: Emulator) -> None:
    """What an agent says while it works is not its answer."""
    emulator.brain = Scripted(lambda _: [ev.Progress("Reading your mail"), "Yes"])
    with ChatBing(**settings(emulator, output_version="v1")) as model:
        blocks = model.invoke("Is it?").content_blocks
    assert next((each["type"], each.get("reasoning")) for each in blocks) == ("reasoning", "Reading your mail")
    with Bing(**settings(emulator)) as llm:
        message = llm.chat([ChatMessage(role="user", content="Is it?")]).message
    assert [each.block_type for each in message.blocks] == ["thinking", "text"]


def test_an_unknown_agent_is_an_error_of_each_framework(emulator: Emulator) -> None:
    """It names the agent, and nothing else is asked."""
    with (
        ChatBing(**settings(emulator, agent="P_nobody")) as model,
        pytest.raises(errors.InvalidRequest, match="P_nobody"),
    ):
        model.invoke("Hi")
    with Bing(**settings(emulator, agent="P_nobody")) as llm, pytest.raises(errors.InvalidRequest, match="P_nobody"):
        llm.complete("Hi")
    assert kinds(emulator) == ["card", "card"]


def test_an_agent_is_a_field_as_others() -> None:
    """It is shown, dumped and compared; what only REST has is refused beside it."""
    model = ChatBing(agent=AGENT, api_key="x", time_zone="UTC")
    assert (model.agent, model.protocol) == (AGENT, None)
    assert model.model_dump()["agent"] == AGENT
    assert ChatBing(agent="P_1", api_key="x", time_zone="UTC")._identifying_params != model._identifying_params
    assert Bing(agent=AGENT, api_key="x", time_zone="UTC").to_dict()["agent"] == AGENT
    for kind in (ChatBing, Bing):
        with pytest.raises(errors.ConfigurationError, match="search=False"):
            kind(agent=AGENT, api_key="x", time_zone="UTC", search=False)
        with pytest.raises(errors.ConfigurationError, match="reaches Copilot alone"):
            kind(agent=AGENT, protocol="rest", api_key="x", time_zone="UTC")
