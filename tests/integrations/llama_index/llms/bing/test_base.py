"""`Bing`: eight ways of asking, one meaning; its settings, and its tools."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool

from bing_llm import BingClient
from bing_llm import events as ev
from bing_llm.errors import BingError, ConfigurationError, ConnectionLost, InvalidRequest, PromptTooLong
from bing_llm.services import ChatHub, Emulated
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend, Line, client_of
from tests.integrations.llama_index.llms.bing.models import (
    CHATS,
    WAYS,
    asked,
    last_of,
    llm_of,
    responses_of,
    said,
    text_of,
    user,
)
from tests.integrations.llama_index_version import DUMPS_IN_SILENCE
from tests.integrations.turns import call, turn


@pytest.fixture(autouse=True)
def nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning was given yet, as in a new process."""
    monkeypatch.setattr(Bing.names, "_warned_of", set())


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def search(query: str) -> str:
    """Search."""
    return query


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(search)]
CITATION = ev.Citation(number=1, url="https://example.com", title="Example")

# --- eight ways, one meaning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_gives_the_same_answer(way: str) -> None:
    """Every way gives the same text and the same metadata."""
    lines: list[Line] = [ev.Progress("Reading"), "Hello ", "Ada."]  # type: ignore[list-item]
    answer = turn(*lines, citations=(CITATION,), suggestions=("More?",), conversation_id="c1")
    last = await last_of(llm_of(FakeBackend(answer)), way)
    assert text_of(last) == "Hello Ada."
    assert last.raw["conversation_id"] == "c1"
    assert last.additional_kwargs["suggestions"] == ["More?"]
    expected = await last_of(llm_of(FakeBackend(answer)), "chat" if "chat" in way else "complete")
    assert said(last) == said(expected)


@pytest.mark.parametrize("way", [way for way in WAYS if "stream" in way])
async def test_deltas_add_up(way: str) -> None:
    """To the text that each response holds so far."""
    text = ""
    for response in await responses_of(llm_of(FakeBackend(turn(*"abc")), join_deltas=False), way):
        text += response.delta
        assert text_of(response) == text
    assert text == "abc"


@pytest.mark.parametrize("way", CHATS)
async def test_a_history_is_sent(way: str) -> None:
    """The last message as the prompt, the rest as context; the caller's list and messages stay as they are."""
    backend = FakeBackend(turn("Fine."))
    history = [ChatMessage("Be kind.", role=MessageRole.SYSTEM), user("Hi"), ChatMessage("Hello.", role="assistant")]
    messages = [*history, user("How are you?")]
    before = [message.model_dump() for message in messages]
    await last_of(llm_of(backend), way, messages)
    (prompt,) = backend.prompts
    assert prompt.text == "How are you?"
    assert prompt.context == "[system](#message)\nBe kind.\n\n[user](#message)\nHi\n\n[assistant](#message)\nHello.\n\n"
    assert [message.model_dump() for message in messages] == before
    assert messages[:-1] == history


@pytest.mark.parametrize("way", [way for way in WAYS if "complete" in way])
async def test_a_completion_is_one_message(way: str) -> None:
    """By `completion_to_prompt`, unless it was applied already."""
    backend = FakeBackend(turn("a"), turn("b"))
    llm = llm_of(backend, completion_to_prompt=lambda prompt: f"<{prompt}>")
    await last_of(llm, way, "Hello")
    await last_of(llm, way, "Hello", formatted=True)
    assert [prompt.text for prompt in backend.prompts] == ["<Hello>", "Hello"]
    assert [prompt.context for prompt in backend.prompts] == [None, None]


@pytest.mark.parametrize("way", WAYS)
async def test_a_rewritten_answer_is_what_holds(way: str) -> None:
    """Deltas stay as they were streamed; the last response has the text that the service had at last."""
    lines: list[Any] = ["Helo", ev.TextRevised("Goodbye")]
    responses = await responses_of(llm_of(FakeBackend(turn(*lines, revised=True))), way)
    assert text_of(responses[-1]) == "Goodbye"
    if "stream" in way:
        assert "".join(response.delta for response in responses) == "Helo"
        assert responses[-1].raw["final_text"] == "Goodbye"


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("end", ["rewritten", "withdrawn"])
async def test_a_call_that_was_taken_back_is_not_made(end: str, way: str) -> None:
    """Agents act on the last message alone."""
    last = ev.TextRevised("I must not.") if end == "rewritten" else ev.TextRevoked("Let us talk of something else.")
    more = {"revised": True} if end == "rewritten" else {"revoked": True, "finish_reason": "content_filter"}
    backend = FakeBackend(turn("I add.\n", call("add", a=2, b=3), last, **more))
    llm = llm_of(backend, join_deltas=False)
    response = await last_of(llm, way, "Add.", tools=TOOLS)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    assert "tool_calls" not in response.message.additional_kwargs


@pytest.mark.parametrize("way", WAYS)
async def test_a_failure_is_one_of_ours(way: str) -> None:
    """And no RuntimeError, which LlamaIndex would take for a nested event loop."""
    backend = FakeBackend([ev.TextDelta("One"), ConnectionLost("It broke.", partial_text="One")])
    with pytest.raises(ConnectionLost) as failed:
        await responses_of(llm_of(backend), way)
    assert not isinstance(failed.value, RuntimeError)
    assert failed.value.partial_text == "One"


@pytest.mark.parametrize("way", CHATS)
@pytest.mark.parametrize("messages", [[], [user("")], [ChatMessage(role="user")]], ids=["none", "empty", "no content"])
async def test_nothing_to_answer_is_refused(messages: list[ChatMessage], way: str) -> None:
    """Before anything is sent."""
    backend = FakeBackend()
    with pytest.raises(InvalidRequest):
        await getattr_call(llm_of(backend), way, messages)
    assert backend.prompts == []


async def getattr_call(llm: Bing, way: str, messages: list[ChatMessage]) -> None:
    """Ask, and read all."""
    answer = getattr(llm, way)(messages)
    if way.startswith("a"):
        answer = await answer
        if "stream" in way:
            assert [each async for each in answer]
    elif "stream" in way:
        assert list(answer)


def test_a_prompt_that_is_too_long_is_refused() -> None:
    """Where it cannot be moved to the context either: the rules for tools have to stay."""
    backend = FakeBackend()
    backend.prompt_limit = 10
    with pytest.raises((InvalidRequest, PromptTooLong)):
        llm_of(backend).chat(asked(), tools=TOOLS)


# --- options of a call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["call", "model"])
async def test_an_answer_ends_at_a_stop_sequence(where: str, way: str) -> None:
    """Before a stop sequence, and at a length of 4 characters a token; by the model's settings or a call's options."""
    for options, text, reason in (({"stop": ["d"]}, "a b c ", "stop"), ({"max_tokens": 1}, "a b ", "length")):
        settings, given = (options, {}) if where == "model" else ({}, options)
        last = await last_of(llm_of(FakeBackend(turn("a ", "b ", "c ", "d ")), **settings), way, **given)
        assert (text_of(last), last.raw["finish_reason"]) == (text, reason)


def test_stop_may_be_one_text() -> None:
    """Those of the model and those of the call count."""
    llm = llm_of(FakeBackend(turn("a b c"), turn("a b c")), stop="c")
    assert llm.stop == ["c"]
    assert llm.chat(asked()).message.content == "a b "
    assert llm.chat(asked(), stop="b").message.content == "a "


def test_a_call_may_name_another_model() -> None:
    """Over the same connections; the LLM's own stays."""
    with Bing(backend="emulator") as llm:
        replies = [llm.chat(asked(), **options).raw for options in ({"model": "bing-precise"}, {})]
    assert [raw and raw["model"] for raw in replies] == ["bing-precise", "bing-balanced"]


@pytest.mark.filterwarnings("error" if DUMPS_IN_SILENCE else "ignore:Pydantic serializer warnings")
def test_a_setting_is_read_however_it_was_given() -> None:
    """By assignment and in a copy too, which pydantic does not check."""
    llm = llm_of(FakeBackend(turn("Ned END"), turn("Ned END")))
    llm.stop = "END"  # type: ignore[assignment]
    assert llm.chat(asked()).message.content == "Ned "
    assert llm.model_copy(update={"stop": "END"}).chat(asked()).message.content == "Ned "


def test_an_option_that_means_nothing_here_is_reported_once() -> None:
    """Agents and programs pass many."""
    llm = llm_of(FakeBackend(turn("a"), turn("b")))
    with pytest.warns(UserWarning, match="Bing does not use 'top_p'"):
        llm.chat(asked(), top_p=1)
    llm.chat(asked(), top_p=1)


def test_a_setting_is_not_an_option_of_a_call() -> None:
    """It would be dropped in silence."""
    with pytest.raises(ConfigurationError, match="search is a setting of the model"):
        llm_of(FakeBackend()).chat(asked(), search=False)


@pytest.mark.parametrize(
    "options", [{"stop": [1]}, {"stop": 3}, {"max_tokens": "3"}, {"tools": [7]}, {"response_format": 7}]
)
def test_an_option_that_cannot_be_served_is_refused(options: dict[str, Any]) -> None:
    """Before anything is sent."""
    backend = FakeBackend()
    with pytest.raises((InvalidRequest, ValueError)):
        llm_of(backend).chat(asked(), **options)
    assert backend.prompts == []


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", CHATS)
async def test_tools_are_sent_and_calls_are_read(way: str) -> None:
    """By whatever way; a call comes in one piece."""
    backend = FakeBackend(turn("Let me see.\n", *call("add", a=2, b=3)))
    prepared = llm_of(backend)._prepare_chat_with_tools(TOOLS, user_msg="What is 2 + 3?")
    responses = await responses_of(llm_of(backend), way, prepared.pop("messages"), **prepared)
    assert "add(a: integer, b: integer)" in backend.prompts[0].text
    calls = [response.message.additional_kwargs.get("tool_calls", []) for response in responses]
    assert {len(made) for made in calls} <= {0, 1}
    (selection,) = llm_of(backend).get_tool_calls_from_response(responses[-1])
    assert (selection.tool_name, selection.tool_kwargs) == ("add", {"a": 2, "b": 3})
    assert responses[-1].message.content.strip() == "Let me see."
    assert responses[-1].raw["finish_reason"] == "tool_calls"


def test_a_history_with_calls_and_results_is_sent() -> None:
    """The result names its tool, by the id of its call."""
    backend = FakeBackend(turn("5"))
    block = ToolCallBlock(tool_call_id="x1", tool_name="add", tool_kwargs={"a": 2, "b": 3})
    history = [
        user("What is 2 + 3?"),
        ChatMessage(role="assistant", blocks=[block]),
        ChatMessage("5", role="tool", additional_kwargs={"tool_call_id": "x1"}),
    ]
    llm_of(backend).chat_with_tools(TOOLS, chat_history=history)
    (prompt,) = backend.prompts
    assert '<tool_result name="add">\n5\n</tool_result>' in prompt.text
    assert '{"name": "add", "arguments": {"a": 2, "b": 3}}' in (prompt.context or "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "auto"),
        ({"tool_required": True}, "required"),
        ({"tool_choice": "add"}, "add"),
        ({"tool_choice": "none", "tool_required": True}, "none"),
    ],
)
def test_a_choice_is_said_in_one_word(options: dict[str, Any], expected: str) -> None:
    """LlamaIndex says it in two; an explicit choice wins."""
    prepared = llm_of(FakeBackend())._prepare_chat_with_tools(TOOLS, user_msg="Hi", **options)
    assert prepared["tool_choice"] == expected


def test_what_is_prepared_leaves_the_history_alone() -> None:
    """The user's message comes after the history; it may be text, a message or nothing."""
    llm = llm_of(FakeBackend())
    history = asked("Hi")
    for given in ("Add.", user("Add.")):
        messages = llm._prepare_chat_with_tools(TOOLS, user_msg=given, chat_history=history)["messages"]
        assert [message.content for message in messages] == ["Hi", "Add."]
    assert llm._prepare_chat_with_tools(TOOLS, chat_history=history)["messages"] == history == asked("Hi")
    assert llm._prepare_chat_with_tools([], user_msg="Hi", more=1) == {
        "messages": asked("Hi"),
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "more": 1,
    }


def test_a_required_call_is_asked_for_once_more() -> None:
    """In a turn of its own."""
    backend = FakeBackend(turn("It is 5."), turn(*call("add", a=2, b=3)))
    answer = llm_of(backend).chat_with_tools(TOOLS, user_msg="What is 2 + 3?", tool_required=True)
    assert len(backend.prompts) == 2
    assert answer.message.additional_kwargs["tool_calls"][0]["function"]["name"] == "add"
    assert answer.raw is not None
    assert answer.raw["turns"] == 2


@pytest.mark.parametrize("parallel", [False, True])
def test_one_call_unless_more_are_allowed(parallel: bool) -> None:  # noqa: FBT001
    """`predict_and_call` takes a second one for a fault."""
    backend = FakeBackend(turn(call("add", a=1, b=2), "\n", call("add", a=3, b=4)))
    answer = llm_of(backend).predict_and_call(TOOLS, "Add.", allow_parallel_tool_calls=parallel)
    assert [source.raw_output for source in answer.sources] == ([3, 7] if parallel else [3])


def test_a_call_that_cannot_be_read_is_asked_for_once_more() -> None:
    """And if it comes no better, no tool runs; the error says why."""
    broken = '<tool_call>\n{"name": "add", "arguments": {"a": \n</tool_call>'
    backend = FakeBackend(turn(broken), turn(broken))
    with pytest.raises(ValueError, match="without a tool call that can be made"):
        llm_of(backend).predict_and_call(TOOLS, "Add.")
    assert len(backend.prompts) == 2


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", CHATS)
async def test_a_picture_goes_with_its_turn(way: str) -> None:
    """A picture is sent with its turn."""
    backend = FakeBackend(turn("A moon."))
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), ImageBlock(image=b"\x89PNG\r\n\x1a\nx")])
    await last_of(llm_of(backend), way, [message])
    (prompt,) = backend.prompts
    assert prompt.text == "What is it?\n[image]"
    assert [image.data for image in prompt.images] == [b"\x89PNG\r\n\x1a\nx"]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_prompt_is_a_text() -> None:
    """The error says what it was."""
    with pytest.raises(InvalidRequest, match="The prompt is a NoneType; it must be a str"):
        llm_of(FakeBackend()).complete(None)


def test_one_setting_is_not_given_twice() -> None:
    """`api_key` means `cookies` here."""
    with pytest.raises(ConfigurationError, match="cookies and api_key are both given"):
        Bing(endpoint="http://127.0.0.1:1", cookies="a=b", api_key="c=d")  # type: ignore[arg-type]


def test_it_is_an_llm_of_both_kinds() -> None:
    """By its class and by its metadata."""
    assert issubclass(Bing, CustomLLM)
    assert issubclass(Bing, FunctionCallingLLM)
    assert Bing.class_name() == "bing_llm"


def test_metadata_say_what_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(socket, "socket", refuse)
    metadata = Bing(backend="emulator").metadata
    assert (metadata.model_name, metadata.context_window, metadata.num_output) == ("bing-balanced", 5500, 256)
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    other = Bing(backend="emulator", model="bing-precise", max_tokens=500, context_window=100).metadata
    assert (other.model_name, other.context_window, other.num_output) == ("bing-precise", 100, 25)


def test_settings_reach_the_client() -> None:
    """Each of them."""
    llm = Bing(
        endpoint="https://chat.example.com",
        model="bing-precise",
        cookies={"_U": "secret"},  # type: ignore[arg-type]
        search=False,
        locale="de-DE",
        timeout=5,
    )
    client = llm._connection
    assert isinstance(client.service, ChatHub)
    assert (client.backend_name, client.model, client.timeouts.turn) == ("chathub", "bing-precise", 5)
    assert (client.service.search, client.service.locale, client.service.cookies) == (False, "de-DE", "_U=secret")


def test_a_changed_setting_counts() -> None:
    """From the next call on."""
    llm = Bing(backend="emulator")
    before = llm._connection
    assert llm._connection is before
    llm.search = False
    assert llm._connection.service == Emulated(search=False)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"model": "gpt-4"}, "gpt-4"),
        ({"timeout": 0}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"proxy": "http://127.0.0.1:1"}, r"client=BingClient\(proxy="),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], problem: str) -> None:
    """When the LLM is made."""
    with pytest.raises((BingError, ValueError), match=problem):
        Bing(backend="emulator", **settings)


def test_no_backend_is_chosen_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator only where it is asked for."""
    for name in ("BING_LLM_BACKEND", "BING_LLM_ENDPOINT", "BING_COOKIES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="No backend is chosen"):
        Bing()


def test_what_means_nothing_here_is_reported() -> None:
    """`temperature` is a field, so that code for other LLMs runs."""
    with pytest.warns(UserWarning, match="'temperature'"):
        assert Bing(backend="emulator", temperature=0.5).temperature == 0.5
    with pytest.warns(UserWarning, match="'modle'"):
        Bing(backend="emulator", modle="x")  # type: ignore[call-arg]


def test_what_stands_beside_a_client_is_refused() -> None:
    """It would be dropped in silence; a model may be named."""
    client = client_of(FakeBackend())
    assert Bing(client=client, model=client.model).model == client.model
    with pytest.raises(ConfigurationError, match="client is given, and so is locale"):
        Bing(client=client, locale="de-DE")


@pytest.mark.parametrize(("max_retries", "attempts"), [(None, 3), (0, 1), (1, 2)])
def test_the_number_of_retries(max_retries: int | None, attempts: int) -> None:
    """The client's, or one's own."""
    backend = FakeBackend(*[ConnectionLost("It broke.")] * 5)
    client = client_of(backend, attempts=3)
    with pytest.raises(ConnectionLost):
        Bing(client=client, max_retries=max_retries).chat(asked())
    assert len(backend.prompts) == attempts


# --- life -------------------------------------------------------------------------------------------------------------


async def test_it_closes_what_it_opened() -> None:
    """Twice if need be; then it takes no call."""
    llm = Bing(backend="emulator")
    async with llm:
        assert (await llm.acomplete("Hello")).text
    await llm.aclose()
    with pytest.raises(ConfigurationError):
        await llm.acomplete("Hello")


def test_it_closes_what_it_opened_in_sync_code_too() -> None:
    """A client that it opened is closed with it."""
    with Bing(backend="emulator") as llm:
        assert llm.complete("Hello").text
    with pytest.raises(ConfigurationError):
        llm.complete("Hello")


async def test_a_client_of_your_own_stays_open() -> None:
    """We close only what we opened."""
    async with BingClient(backend="emulator") as client:
        async with Bing(client=client) as llm:
            assert (await llm.acomplete("Hello")).text
        assert (await client.ask("Hello")).text


async def test_a_call_may_have_a_time_limit_of_its_own() -> None:
    """`timeout` is an option of each call; other settings of the model are refused, and unknown options warned of."""
    backend = FakeBackend(turn("Hi"), turn("Hi"))
    llm = llm_of(backend)
    assert (await llm.acomplete("Hello", timeout=3)).text == "Hi"
    with pytest.raises(ConfigurationError, match=r"turn"):
        await llm.acomplete("Hello", timeout=-1)
    with pytest.raises(ConfigurationError, match=r"endpoint is a setting of the model"):
        llm.complete("Hello", endpoint="http://127.0.0.1:1")
