"""Standard blocks of messages whose content is text, which is the default: read by a translator of our own."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.block_translators import get_translator

from bing_llm import events as ev
from bing_llm.emulator import Emulator
from langchain_bing import ChatBing
from langchain_bing.blocks import PROVIDER, citation_annotations, translate
from tests.fakes import FakeBackend, Line
from tests.integrations.langchain_bing.models import astreamed, model_of, streamed, summed
from tests.integrations.turns import call, turn

PAGE = ev.SearchResult("A page", "https://example.com/a", ("A line.",))
TEXT = "It rains.[^1^] It pours.[^2^][^1^]"
CITATIONS = (
    ev.Citation(1, "https://example.com/a", "A page", ((9, 14), (29, 34))),
    ev.Citation(2, "https://example.com/b", "", ((24, 29),)),
    ev.Citation(3, "https://example.com/c", "Unused", sensitivity_label={"displayName": "Internal"}),
)
REPLY = ev.Reply(
    text=TEXT,
    citations=CITATIONS,
    searches=(ev.Search("weather", (PAGE,)), ev.Search("rain")),
    images=("https://example.com/p.png",),
    suggestions=("And tomorrow?",),
)


def answered() -> list[Line]:
    """A turn with all that a service may say."""
    pieces = [ev.TextDelta(TEXT[at : at + 5]) for at in range(0, len(TEXT), 5)]
    return [ev.Progress("Thinking"), ev.SearchStarted("weather"), *pieces, ev.TurnCompleted(REPLY)]


def model(**settings: Any) -> ChatBing:
    """A model that answers so."""
    return model_of(FakeBackend(answered()), join_deltas=False, **settings)


async def messages(**settings: Any) -> dict[str, BaseMessage]:
    """The same answer, asked in each way."""
    return {
        "invoke": model(**settings).invoke("Hi"),
        "ainvoke": await model(**settings).ainvoke("Hi"),
        "stream": streamed(model(**settings), "Hi"),
        "astream": await astreamed(model(**settings), "Hi"),
    }


def of(kind: str, blocks: list[Any]) -> list[Any]:
    """The blocks of one kind."""
    return [block for block in blocks if block["type"] == kind]


@pytest.mark.parametrize("version", [None, "v1"])
async def test_the_blocks_have_citations_searches_and_reasoning(version: str | None) -> None:
    """By default as with `output_version="v1"`, whole and streamed: each once, each citation at its markers."""
    for way, message in (await messages(output_version=version)).items():
        blocks = message.content_blocks
        (text,) = of("text", blocks)
        assert text["text"] == TEXT, way
        cited = [
            (note.get("url"), text["text"][note["start_index"] : note["end_index"]] if "start_index" in note else None)
            for note in text["annotations"]
        ]
        assert cited == [
            ("https://example.com/a", "[^1^]"),
            ("https://example.com/b", "[^2^]"),
            ("https://example.com/a", "[^1^]"),
            ("https://example.com/c", None),
        ]
        assert text["annotations"][-1]["extras"] == {"number": 3, "sensitivity_label": {"displayName": "Internal"}}
        assert [block["reasoning"] for block in of("reasoning", blocks)] == ["Thinking"]
        assert [block["args"]["query"] for block in of("server_tool_call", blocks)] == ["weather", "rain"]
        (found,) = of("server_tool_result", blocks)
        assert found["tool_call_id"] == of("server_tool_call", blocks)[0]["id"]
        assert found["output"][0]["url"] == PAGE.url
        assert [block["url"] for block in of("image", blocks)] == ["https://example.com/p.png"]
        assert of("non_standard", blocks)[0]["value"]["suggestions"] == ["And tomorrow?"]


def test_the_parts_of_a_stream_double_nothing() -> None:
    """Each thing is in one chunk; the texts of the chunks are the text."""
    blocks = [block for chunk in model().stream("Hi") for block in chunk.content_blocks]
    assert "".join(block["text"] for block in of("text", blocks)) == TEXT
    for kind, number in (("reasoning", 1), ("server_tool_call", 2), ("server_tool_result", 1), ("image", 1)):
        assert len(of(kind, blocks)) == number
    assert sum("annotations" in block for block in of("text", blocks)) == 1


@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_the_newest_events_have_the_citations() -> None:
    """`astream_events`, version 3: one text block, with its annotations."""
    stream = await model().astream_events("Hi?", version="v3")
    message = await stream.output
    (text,) = of("text", message.content_blocks)
    assert text["text"] == TEXT
    assert [note["extras"]["number"] for note in text["annotations"]] == [1, 2, 1, 3]


def test_calls_stay_calls() -> None:
    """Beside citations and searches; nothing is doubled."""
    cited = (ev.Citation(1, "https://example.com/a", "A page", ((3, 8),)),)
    reply = ev.Reply(text=f"Hm.[^1^]\n{call('add', a=1)}", citations=cited, searches=REPLY.searches[:1])
    lines: list[Line] = [ev.TextDelta(reply.text), ev.TurnCompleted(reply)]
    tools: list[Any] = [{"name": "add"}]
    for message in (
        model_of(FakeBackend(lines)).bind_tools(tools).invoke("Hi"),
        streamed(model_of(FakeBackend(lines)).bind_tools(tools), "Hi"),
    ):
        kinds = [block["type"] for block in message.content_blocks]
        assert kinds == ["server_tool_call", "server_tool_result", "text", "tool_call"]
        (note,) = of("text", message.content_blocks)[0]["annotations"]
        assert (note["start_index"], note["end_index"]) == (3, 8)  # in the text without the call


@pytest.mark.parametrize("version", [None, "v1"])
def test_a_citation_of_a_rewritten_text_has_no_place_in_the_old_one(version: str | None) -> None:
    """A stream keeps the text that it gave; its metadata has the new one, and its sources stay."""
    cited = ev.Citation(2, "https://example.com/b", "", ((8, 13),))
    lines = [ev.TextDelta("Hello.[^1^] A"), *turn(ev.TextRevised("Goodbye [^2^]!"), citations=(cited,), revised=True)]
    message = streamed(model_of(FakeBackend(lines), output_version=version), "Hi")
    assert message.response_metadata["final_text"] == "Goodbye [^2^]!"
    (note,) = of("text", message.content_blocks)[0]["annotations"]
    assert (note["url"], "start_index" in note) == ("https://example.com/b", False)


def test_the_blocks_survive_storage() -> None:
    """A checkpoint stores messages as data; read again, they have the same blocks."""
    message = model().invoke("Hi")
    stored = AIMessage.model_validate_json(message.model_dump_json())
    assert stored.content_blocks == message.content_blocks


def test_sending_an_answer_back_sends_its_text_once() -> None:
    """What is made of the metadata is not part of the history."""
    backend = FakeBackend(turn("Fine."))
    model_of(backend).invoke([HumanMessage("Hi"), model().invoke("Hi"), HumanMessage("And?")])
    (prompt,) = backend.prompts
    assert prompt.context is not None
    assert prompt.context.count("It rains.") == 1
    assert "weather" not in prompt.context


def test_the_translator_is_registered_for_the_provider() -> None:
    """LangChain finds it by `model_provider`; content that is blocks already is left to LangChain."""
    assert get_translator(PROVIDER) == {"translate_content": translate, "translate_content_chunk": translate}
    with pytest.raises(NotImplementedError):
        translate(AIMessage([{"type": "text", "text": "Hi"}]))
    assert AIMessage(
        [{"type": "text", "text": "Hi"}], response_metadata={"model_provider": PROVIDER}
    ).content_blocks == [{"type": "text", "text": "Hi"}]


def test_a_plain_answer_is_a_plain_text() -> None:
    """Without anything besides, there is one text; an empty chunk has no block."""
    message = model_of(FakeBackend(turn("Fine."))).invoke("Hi")
    assert message.content_blocks == [{"type": "text", "text": "Fine."}]
    assert AIMessageChunk(content="", response_metadata={"model_provider": PROVIDER}).content_blocks == []
    assert list(citation_annotations([])) == []


def test_a_withdrawn_answer_has_a_refusal() -> None:
    """With what the service said; langchain-core before 1.7.5 has no block for it."""
    lines: list[Line] = [
        ev.TextDelta("It"),
        ev.TurnCompleted(ev.Reply(text="It", revoked=True, notice="No.", finish_reason="content_filter")),
    ]
    message = summed(model_of(FakeBackend(lines)).stream("Hi"))
    (_, block) = message.content_blocks
    assert block.get("value", block) == {"type": "refusal", "refusal": "No."}


def test_the_emulators_citations_are_annotations(bing_emulator: Emulator) -> None:
    """Over a socket, from both services, each where its marker stands."""
    services: list[dict[str, Any]] = [
        {"endpoint": bing_emulator.url},
        {"endpoint": bing_emulator.workiq_url, "token": bing_emulator.token, "time_zone": "UTC"},
    ]
    for settings in services:
        message = ChatBing(**settings).invoke("What is new in Python?")
        (text,) = of("text", message.content_blocks)
        placed = [note for note in text["annotations"] if "start_index" in note]
        assert placed
        for note in placed:
            marker = text["text"][note["start_index"] : note["end_index"]]
            assert str(note["extras"]["number"]) in marker
