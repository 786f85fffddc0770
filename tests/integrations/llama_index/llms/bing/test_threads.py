"""Histories that hold what a service cannot take: they go on, because this turn's author did not write it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.tools import FunctionTool

from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import InvalidRequest
from llama_index.llms.bing import Bing, convert
from tests.integrations.llama_index.llms.bing.knowledge import memory
from tests.integrations.llama_index.llms.bing.models import user
from tests.integrations.turns import call

pytestmark = [  # what agents do themselves, and warn of
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
PICTURE = ImageBlock(image=base64.b64encode(PNG), image_mimetype="image/png")
PDF = DocumentBlock(data=b"%PDF-1.7", title="plan.pdf", document_mimetype="application/pdf")
BROKEN = ImageBlock(image=b"no picture", image_mimetype="image/png")
AUDIO = AudioBlock(audio=b"RIFF", format="wav")
LOOK = ToolCallBlock(tool_call_id="call_1", tool_name="screenshot", tool_kwargs={})


def screenshot(*blocks: Any) -> list[ChatMessage]:
    """A history whose newest message is what a screenshot tool returned."""
    result = ChatMessage(
        [TextBlock(text="Taken."), *blocks], role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "call_1"}
    )
    return [user("What is on the screen?"), ChatMessage([LOOK], role=MessageRole.ASSISTANT), result]


@pytest.fixture
def chat_hub(bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM over ChatHub."""
    with Bing(endpoint=bing_emulator.url) as llm:
        yield llm


@pytest.fixture
def work_iq(bing_emulator: Emulator) -> Iterator[Bing]:
    """An LLM over Work IQ."""
    with Bing(endpoint=bing_emulator.workiq_url, token=bing_emulator.token, time_zone="UTC") as llm:
        yield llm


def test_a_screenshot_of_a_tool_is_uploaded_with_the_turn(chat_hub: Bing, bing_emulator: Emulator) -> None:
    """On ChatHub, which takes one picture a turn; the text says where it was."""
    assert chat_hub.chat(screenshot(PICTURE)).message.content
    _, upload, chat = bing_emulator.requests
    assert (upload.kind, chat.kind) == ("upload", "chat")
    assert "Taken.\n[image]" in chat.text
    assert chat.arguments is not None
    assert chat.arguments.message is not None
    assert chat.arguments.message.image_url


@pytest.mark.parametrize("service", ["chat_hub", "work_iq"])
@pytest.mark.parametrize("block", [PICTURE, PDF, BROKEN, AUDIO], ids=lambda block: str(block.block_type))
def test_no_block_of_a_tool_ends_a_history(service: str, block: Any, request: pytest.FixtureRequest) -> None:
    """A result, a question that was answered, and one that was given up: the next turn is answered."""
    llm = request.getfixturevalue(service)
    for history in (
        screenshot(block),
        screenshot(block, PICTURE),
        [ChatMessage([TextBlock(text="Look."), block]), ChatMessage("I cannot.", role="assistant"), user("Go on.")],
        [ChatMessage([TextBlock(text="Look."), block]), user("Without it, then.")],
        [ChatMessage([block], role="system"), user("Hello")],
    ):
        assert llm.chat(history).message.content
        assert convert(history)


@pytest.mark.parametrize("service", ["chat_hub", "work_iq"])
def test_the_newest_message_of_the_user_is_refused(service: str, request: pytest.FixtureRequest) -> None:
    """Its author can change it, and the error says to what."""
    llm = request.getfixturevalue(service)
    with pytest.raises(InvalidRequest, match=r"A DocumentBlock in a user message is not text but application/pdf"):
        llm.chat([ChatMessage([TextBlock(text="Look."), PDF])])
    with pytest.raises(InvalidRequest, match=r"A user message holds a block of type AudioBlock"):
        llm.chat([user("Hello"), ChatMessage("Hi", role="assistant"), ChatMessage([AUDIO])])


def test_a_refused_picture_in_a_memory_does_not_end_the_chat(work_iq: Bing) -> None:
    """A chat engine stores the question before the model refuses it; the user goes on without the picture."""
    kept = memory()
    engine = SimpleChatEngine.from_defaults(llm=work_iq, memory=kept)
    kept.put(ChatMessage([TextBlock(text="Look."), PICTURE]))
    assert str(engine.chat("Then without it."))


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agent_goes_on_from_a_picture(
    streaming: bool,  # noqa: FBT001
    bing_emulator: Emulator,
    work_iq: Bing,
) -> None:
    """A tool of an MCP server returns a picture, and the agent answers from what it can be told."""
    bing_emulator.brain = Scripted([[call("screenshot")], ["I was told of a picture."]])
    taken = [TextBlock(text="Taken."), PICTURE]
    tool = FunctionTool.from_defaults(lambda: taken, name="screenshot", description="Take a screenshot.")
    answer = await FunctionAgent(tools=[tool], llm=work_iq, streaming=streaming).run("What is on the screen?")
    assert str(answer) == "I was told of a picture."
    assert "Taken.\n[image]" in bing_emulator.requests[-1].text
