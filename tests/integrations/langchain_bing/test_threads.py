"""Threads that hold what a service cannot take: they go on, because this turn's author did not write it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from bing_llm.emulator import Emulator
from bing_llm.errors import InvalidRequest
from langchain_bing import ChatBing

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
PICTURE = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
PDF = {"type": "file", "base64": "AAAA", "mime_type": "application/pdf"}
BROKEN = {"type": "image", "base64": base64.b64encode(b"no picture").decode(), "mime_type": "image/png"}
LOOK = ToolCall(name="screenshot", args={}, id="call_1", type="tool_call")


def screenshot(*blocks: Any) -> list[BaseMessage]:
    """A thread whose newest message is what a screenshot tool returned."""
    result = ToolMessage(["Taken.", *blocks], tool_call_id="call_1")
    return [HumanMessage("What is on the screen?"), AIMessage("", tool_calls=[LOOK]), result]


def work_iq(emulator: Emulator) -> ChatBing:
    """A model over Work IQ."""
    return ChatBing(endpoint=emulator.workiq_url, token=emulator.token, time_zone="UTC")


def chat_hub(emulator: Emulator) -> ChatBing:
    """A model over ChatHub."""
    return ChatBing(endpoint=emulator.url)


def test_a_screenshot_of_a_tool_is_uploaded_with_the_turn(bing_emulator: Emulator) -> None:
    """On ChatHub, which takes one picture a turn; the text says where it was."""
    assert chat_hub(bing_emulator).invoke(screenshot(PICTURE)).content
    _, upload, chat = bing_emulator.requests
    assert (upload.kind, chat.kind) == ("upload", "chat")
    assert "Taken.\n[image]" in chat.text
    assert chat.arguments is not None
    assert chat.arguments.message is not None
    assert chat.arguments.message.image_url


@pytest.mark.parametrize("model_of", [chat_hub, work_iq])
@pytest.mark.parametrize("block", [PICTURE, PDF, BROKEN, {"type": "audio", "base64": "AAAA"}])
def test_no_block_of_a_tool_ends_a_thread(bing_emulator: Emulator, model_of: Any, block: dict[str, Any]) -> None:
    """A result, a question that was answered, and one that was given up: the next turn is answered."""
    model = model_of(bing_emulator)
    for thread in (
        screenshot(block),
        screenshot(block, PICTURE),
        [HumanMessage(["Look.", block]), AIMessage("I cannot."), HumanMessage("Go on.")],
        [HumanMessage(["Look.", block]), HumanMessage("Without it, then.")],
    ):
        assert model.invoke(thread).content
        assert model.get_num_tokens_from_messages(thread) > 0


def test_tokens_are_counted_before_a_turn_is_refused(bing_emulator: Emulator) -> None:
    """Counting sends nothing: middlewares count what a later step removes."""
    model = work_iq(bing_emulator)
    thread: list[BaseMessage] = [HumanMessage(["Look.", PDF])]
    assert model.get_num_tokens_from_messages(thread) > 0
    with pytest.raises(InvalidRequest, match=r"holds a block of type 'file'.*Allowed: text, and"):
        model.invoke(thread)


def test_a_refused_picture_in_a_checkpoint_does_not_end_the_thread(bing_emulator: Emulator) -> None:
    """LangGraph stores the question before the model refuses it; the user goes on without the picture."""
    model = work_iq(bing_emulator)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "model")
    app = graph.compile(checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    with pytest.raises(InvalidRequest, match="Work IQ takes text alone"):
        app.invoke({"messages": [HumanMessage(["Look.", PICTURE])]}, thread)
    messages = app.invoke({"messages": [HumanMessage("Then without it.")]}, thread)["messages"]
    assert messages[-1].content
