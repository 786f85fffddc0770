"""The chat model: what is asked, what comes back, and that every way of asking gives the same."""

from __future__ import annotations

import asyncio
import base64
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from bing_llm import events as ev
from bing_llm.client import BingClient
from bing_llm.completion.request import read_toolbox
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionLost,
    ContentFiltered,
    InvalidRequest,
    PromptTooLong,
    ServiceError,
    Throttled,
)
from bing_llm.limits import Timeouts
from bing_llm.services import Emulated
from bing_llm.tools.prompt import render_instructions
from langchain_bing import ChatBing
from langchain_bing.schemas import as_openai_tool
from tests.fakes import FakeBackend, Line, client_of
from tests.integrations.langchain_bing.models import astreamed, model_of, said, streamed
from tests.integrations.turns import call, turn

PAGE = ev.SearchResult("A page", "https://example.com/a", ("A line.",))
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOURCES = (ev.Citation(1, "https://example.com/a", "A page"), ev.Citation(2, "https://example.com/b"))


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def mul(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TURNS: dict[str, list[Line]] = {
    "plain": turn("Hello", " there", ".", conversation_id="c", message_id="m"),
    "nothing": turn(),
    "cited": turn(
        ev.Progress("Thinking"),
        ev.SearchStarted("weather"),
        ev.SearchResults((PAGE,)),
        "It ",
        "rains.[^1^]",
        ev.Suggestions(("And tomorrow?",)),
        ev.Quota(1, 30),
        citations=SOURCES,
    ),
    "reasoning": turn(ev.Progress("One"), ev.Progress("Two"), "Three.", ev.Progress("Four"), "Five."),
    "picture": turn("Here:", ev.ImageRequested("a cloud"), ev.ImageCreated("https://example.com/p.png")),
    "rewritten and taken up again": turn("Hello wor", ev.TextRevised("Help"), ev.TextRevised("Hello world"), "!"),
    "revoked": turn("Once upon", ev.TextRevoked("I cannot.")),
    "revoked and ended": turn("Once upon", ev.TextRevoked("I cannot.", ended=True)),
    "restarted": turn(ev.SearchStarted("lost"), ev.Restarted("It broke."), ev.SearchStarted("kept"), "Text."),
    "search in the final frame alone": turn(
        "Text.", searches=(ev.Search("late", (PAGE,)),), images=("https://x.test/p",)
    ),
}
REWRITTEN = turn("Hello", ev.TextRevised("Help"), "!")


async def four(turns: list[Line], prompt: Any = "Hello", version: str | None = None, **more: Any) -> list[AIMessage]:
    """The messages of `invoke`, `ainvoke`, `stream` and `astream`; each has a service of its own."""
    tools = more.pop("tools", None)

    def fresh() -> Any:
        model = model_of(FakeBackend(turns, turns), output_version=version, **more)  # one is for who asks once more
        return model if tools is None else model.bind_tools(tools)

    return [
        fresh().invoke(prompt),
        await fresh().ainvoke(prompt),
        streamed(fresh(), prompt),
        await astreamed(fresh(), prompt),
    ]


def check_equal(messages: list[AIMessage]) -> dict[str, Any]:
    """What they all say."""
    first, *others = map(said, messages)
    for other in others:
        assert other == first
    return first


# --- every way of asking gives the same -------------------------------------------------------------------------------


@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("name", TURNS)
async def test_all_ways_give_the_same(name: str, version: str | None, estimate: bool) -> None:  # noqa: FBT001
    """Called and streamed, synchronous and not: content, metadata and usage are identical."""
    check_equal(await four(TURNS[name], version=version, estimate_usage=estimate))


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize(
    "text",
    [
        ["Let me see.\n", call("add", a=1, b=2)],
        [call("add", a=1, b=2), "\n", call("mul", a=3, b=4)],
        [call("add", a=1, b=2), call("add", a=1, b=2), call("mul", a=3, b=4)],
        ['<tool_call>\n{"name": "add", "arguments": {"a": 1'],
        ["No call is needed."],
    ],
)
async def test_all_ways_give_the_same_calls(text: list[str], version: str | None) -> None:
    """One to three calls, an invalid one, and none."""
    equal = check_equal(await four(turn(*text), version=version, tools=[add, mul]))
    written = "".join(text)
    assert len(equal["calls"]) == written.count("</tool_call>")
    assert len(equal["invalid"]) == written.count("<tool_call>") - written.count("</tool_call>")
    assert equal["metadata"]["finish_reason"] == ("tool_calls" if equal["calls"] or equal["invalid"] else "stop")
    assert all(reason in str(equal["content"]) for reason in equal["metadata"].get("tool_parse_errors", ()))
    assert len({made["id"] for made in equal["calls"]}) == len(equal["calls"])


@pytest.mark.parametrize("version", [None, "v1"])
async def test_all_ways_cut_alike(version: str | None) -> None:
    """A stop sequence across pieces, and a longest answer."""
    stopped = check_equal(await four(turn("One, tw", "o, three"), version=version, stop=["two"]))
    assert (stopped["blocks"][0]["text"], stopped["metadata"]["finish_reason"]) == ("One, ", "stop")
    short = check_equal(await four(turn("One, tw", "o, three"), version=version, max_tokens=2))
    assert (short["blocks"][0]["text"], short["metadata"]["finish_reason"]) == ("One, two", "length")


@pytest.mark.parametrize("version", [None, "v1"])
async def test_after_a_rewrite_a_stream_keeps_what_it_gave(version: str | None) -> None:
    """What was given cannot be recalled: a call returns the final text, a stream has it in the metadata."""
    invoked, ainvoked, stream, astream = await four(REWRITTEN, version=version)
    assert said(invoked) == said(ainvoked)
    assert said(stream) == said(astream)
    assert invoked.text == "Help!"
    assert "final_text" not in invoked.response_metadata
    assert stream.text == "Hello"
    assert stream.response_metadata["final_text"] == "Help!"
    same = {key: value for key, value in stream.response_metadata.items() if key != "final_text"}
    assert same == invoked.response_metadata


async def test_a_rewrite_may_bring_or_take_a_call() -> None:
    """`invoke` reads the final text for calls, and no other."""
    brought = turn("Let me", ev.TextRevised(call("add", a=1, b=2)))
    invoked, _, stream, _ = await four(brought, tools=[add])
    assert [made["args"] for made in invoked.tool_calls] == [{"a": 1, "b": 2}]
    assert invoked.response_metadata["finish_reason"] == "tool_calls"
    assert (stream.text, stream.tool_calls) == ("Let me", [])
    taken = turn(call("add", a=1, b=2), ev.TextRevised("No."))
    assert (await four(taken, tools=[add]))[0].tool_calls == []


def test_streaming_models_stream_in_invoke_too() -> None:
    """With `streaming=True` LangChain joins the chunks itself, to the same message."""
    one = model_of(FakeBackend(TURNS["cited"])).invoke("Hello")
    other = model_of(FakeBackend(TURNS["cited"]), streaming=True).invoke("Hello")
    assert said(one) == said(other)
    assert type(one) is type(other) is AIMessage


async def test_pieces_stream_as_they_come() -> None:
    """Without joining each delta is a chunk; with it what waits is one, and the text is the same."""
    pieces = [f"{number} " for number in range(20)]
    single = [chunk.text async for chunk in model_of(FakeBackend(turn(*pieces)), join_deltas=False).astream("Hello")]
    joined = [chunk.text async for chunk in model_of(FakeBackend(turn(*pieces))).astream("Hello")]
    assert [text for text in single if text] == pieces
    assert len(joined) < len(single)
    assert "".join(joined) == "".join(single)


# --- what is asked ----------------------------------------------------------------------------------------------------


def asked(*messages: Any, backend: FakeBackend | None = None, **options: Any) -> Any:
    """The prompt that a history makes."""
    service = backend or FakeBackend(turn("Hi"))
    model_of(service).invoke(list(messages), **options)
    return service.prompts[-1]


def test_the_last_message_is_asked_and_the_others_are_context() -> None:
    """A whole history goes with one turn."""
    prompt = asked(SystemMessage("Be brief."), HumanMessage("One."), AIMessage("Two."), HumanMessage("Three."))
    assert prompt.text == "Three."
    for earlier in ("[system](#", "Be brief.", "[user](#", "One.", "[assistant](#", "Two."):
        assert earlier in prompt.context


def test_a_string_and_a_prompt_value_are_messages_too() -> None:
    """LangChain makes messages of them."""
    service = FakeBackend(turn("Hi"))
    model_of(service).invoke("Hello")
    assert (service.prompts[0].text, service.prompts[0].context) == ("Hello", None)


def test_results_of_tools_are_asked() -> None:
    """The model goes on from them."""
    history = [
        HumanMessage("What is 1+2?"),
        AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "x"}]),
        ToolMessage("3", tool_call_id="x"),
    ]
    assert '<tool_result name="add"' in asked(*history).text


def test_a_picture_goes_with_the_turn() -> None:
    """A picture is sent as data, beside the text."""
    prompt = asked(HumanMessage(["What is this?", {"type": "image", "base64": PICTURE, "mime_type": "image/png"}]))
    assert [picture.data for picture in prompt.images] == [base64.b64decode(PICTURE)]


def test_tools_are_sent_around_the_message() -> None:
    """The service knows no tools, so the text says what they are."""
    backend = FakeBackend(turn("Hi"))
    model_of(backend).bind_tools([add]).invoke("Hello")
    instructions = render_instructions(read_toolbox([as_openai_tool(add)], None, parallel=None))
    assert backend.prompts[0].text == f"{instructions.prefix}\n\nHello\n\n{instructions.reminder}"


def test_no_tools_are_sent_where_none_may_be_used() -> None:
    """`tool_choice="none"`: a reply that looks like a call is text."""
    backend = FakeBackend(turn(call("add", a=1, b=2)))
    message = model_of(backend).bind_tools([add], tool_choice="none").invoke("Hello")
    assert backend.prompts[0].text == "Hello"
    assert (message.text, message.tool_calls) == (call("add", a=1, b=2), [])


@pytest.mark.parametrize("way", ["field", "bind", "call"])
def test_stop_sequences_add_up(way: str) -> None:
    """Those of the model, of `bind` and of a call."""
    model: Any = model_of(FakeBackend(turn("a b c d e")), stop=["e", "d"] if way == "field" else ["e"])
    options = {"stop": ["d"]} if way == "call" else {}
    model = model.bind(stop=["d"]) if way == "bind" else model
    assert model.invoke("Hello", **options).text == "a b c "


@pytest.mark.parametrize("stop", ["END", ["END"], ()])
def test_a_stop_sequence_may_be_one_text(stop: Any) -> None:
    """A stop sequence may be a string, like OpenAI's `stop`."""
    expected = "Hello " if stop else "Hello END there"
    assert model_of(FakeBackend(turn("Hello END there")), stop=stop).invoke("Hello").text == expected
    assert model_of(FakeBackend(turn("Hello END there"))).invoke("Hello", stop=stop).text == expected


def test_the_service_is_asked_to_stop_at_a_stop_sequence() -> None:
    """What is not wanted is not generated to its end."""
    backend = FakeBackend(turn("One. ", "STOP", " Two.", " Three."))
    model = model_of(backend, stop=["STOP"], join_deltas=False)
    assert model.invoke("Hello").text == "One. "
    assert (backend.channels[0].stops, backend.open_channels) == (1, 0)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_longest_answer_of_nothing_is_refused(limit: int) -> None:
    """It must be at least one token; nothing is sent."""
    backend = FakeBackend(turn("Hi"))
    with pytest.raises(InvalidRequest, match="it must be a whole number from 1 on"):
        model_of(backend).invoke("Hello", max_tokens=limit)
    assert backend.calls == []


def test_a_model_may_be_chosen_for_a_call() -> None:
    """The metadata says which it was."""
    backend = FakeBackend(turn("Hi"), turn("Hi"))
    model = model_of(backend)
    assert model.invoke("Hello", model="bing-precise").response_metadata["model_name"] == "bing-precise"
    assert model.invoke("Hello").response_metadata["model_name"] == "bing-balanced"
    assert backend.models == ["bing-precise", None]


def test_an_unknown_model_is_refused() -> None:
    """When it is made, and when it is named in a call; the error lists those that there are."""
    with pytest.raises(ConfigurationError, match="bing-creative"):
        ChatBing(model="gpt-9", backend="emulator")
    with pytest.raises(ConfigurationError, match="bing-creative"):
        model_of(FakeBackend()).invoke("Hello", model="gpt-9")


def test_no_message_is_refused() -> None:
    """There is nothing to answer."""
    with pytest.raises(InvalidRequest, match="There are no messages"):
        model_of(FakeBackend()).invoke([])


# --- a call that does not come ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["any", "add"])
async def test_a_required_call_that_does_not_come_is_asked_for_once_more(choice: str) -> None:
    """In the conversation that knows the first answer, which nobody sees."""
    backend = FakeBackend(turn("I would rather not."), turn(call("add", a=1, b=2)))
    message = await model_of(backend).bind_tools([add, mul], tool_choice=choice).ainvoke("Hello!")
    assert [made["name"] for made in message.tool_calls] == ["add"]
    assert message.text == ""
    assert "no tool call" in backend.prompts[1].text
    assert backend.calls == ["create", "turn 0 of conversation-1", "turn 1 of conversation-1"]


@pytest.mark.parametrize("version", [None, "v1"])
async def test_after_the_second_answer_it_is_enough(version: str | None) -> None:
    """The text is given as it is, and the log says why; no third turn."""
    backend = FakeBackend(turn("No."), turn("No!"))
    model = model_of(backend, output_version=version).bind_tools([add], tool_choice="any")
    message = await astreamed(model, "Hello!")
    assert (message.text, message.tool_calls) == ("No!", [])
    assert len(backend.prompts) == 2
    assert message.response_metadata["finish_reason"] == "stop"


async def test_a_required_call_streams_without_the_text_that_was_wrong() -> None:
    """Text is held back until a call comes."""
    backend = FakeBackend(turn("I would rather not."), turn(call("add", a=1, b=2)))
    message = await astreamed(model_of(backend).bind_tools([add], tool_choice="any"), "Hello!")
    assert (message.text, [made["name"] for made in message.tool_calls]) == ("", ["add"])


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_client_of_your_own_is_used_and_stays_open() -> None:
    """It brings its model and its connections; to close the model does not close it."""
    backend = FakeBackend(turn("Hi"), turn("Hi"))
    client = client_of(backend)
    with ChatBing(client=client) as model:
        assert model.model == client.model
        model.invoke("Hello")
    assert "close" not in backend.calls
    assert ChatBing(client=client).invoke("Hello").text == "Hi"


@pytest.mark.parametrize(
    "setting",
    [
        {"backend": "emulator"},
        {"endpoint": "http://127.0.0.1:1"},
        {"cookies": "a=b"},
        {"api_key": "a=b"},
        {"search": False},
        {"locale": "de-DE"},
        {"timeout": 3.0},
    ],
)
def test_settings_of_the_client_beside_a_client_are_refused(setting: dict[str, Any]) -> None:
    """Which of them would count? The error names the setting."""
    [name] = setting
    with pytest.raises(ConfigurationError, match=rf"client is given, and so is {name}"):
        ChatBing(client=client_of(FakeBackend()), **setting)


def test_a_model_may_be_named_beside_a_client() -> None:
    """It costs nothing: the connections are shared."""
    model = ChatBing(client=client_of(FakeBackend(turn("Hi"))), model="bing-creative")
    assert model.invoke("Hello").response_metadata["model_name"] == "bing-creative"


def test_settings_reach_the_client() -> None:
    """The time of a turn, and retries as LangChain counts them: those after the first attempt."""
    model = ChatBing(backend="emulator", timeout=7.0, max_retries=0, search=False, locale="de-DE")
    client = model._connection
    assert client.service == Emulated(search=False, locale="de-DE")
    assert (client.timeouts.turn, model._retries.attempts) == (7.0, 1)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, bing_emulator: Emulator) -> None:
    """The model reads the environment variables that `BingClient` reads."""
    bing_emulator.brain = Scripted([["Hi"]])
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    monkeypatch.setenv("BING_COOKIES", "_U=from-the-environment")
    assert ChatBing().invoke("Hello").text == "Hi"
    assert "_U=from-the-environment" in bing_emulator.requests[0].headers["cookie"]


def test_cookies_may_be_a_mapping(bing_emulator: Emulator) -> None:
    """Cookies may be a mapping, as those of `BingClient` may."""
    ChatBing(endpoint=bing_emulator.url, cookies={"_U": "one", "MUID": "two"}).invoke("Hello")  # type: ignore[arg-type]
    assert bing_emulator.requests[0].headers["cookie"] == "_U=one; MUID=two"


@pytest.mark.parametrize(
    "settings", [{"endpoint": "ftp://x"}, {"backend": "nope"}, {}, {"locale": "", "backend": "emulator"}]
)
def test_wrong_settings_are_refused_when_the_model_is_made(settings: dict[str, Any]) -> None:
    """Not by the first call."""
    with pytest.raises(ConfigurationError):
        ChatBing(**settings)


def test_what_has_no_meaning_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in a process: agents pass the same options with each call."""
    monkeypatch.setattr(ChatBing.names, "_warned_of", set())
    with pytest.warns(UserWarning, match="ChatBing does not use .*'temperature'"):
        model = model_of(FakeBackend(*[turn("Hi")] * 3), temperature=0.5)
    with pytest.warns(UserWarning, match="ChatBing does not use .*'top_p'"):
        model.invoke("Hello", top_p=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.invoke("Hello", top_p=1, temperature=0.1)
        model_of(FakeBackend(), temperature=0.7)


def test_an_unknown_setting_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would be silently without effect, and one of another provider has none."""
    monkeypatch.setattr(ChatBing.names, "_warned_of", set())
    with pytest.warns(UserWarning, match="ChatBing does not use .*'tempreature'"):
        ChatBing(backend="emulator", tempreature=1, api_key="_U=x")  # type: ignore[call-arg]


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_shares_the_connections_unless_its_settings_differ() -> None:
    """LangChain copies models for each configured call."""
    model = ChatBing(backend="emulator")
    assert model.model_copy()._connection is model._connection
    assert model.__deepcopy__()._connection is model._connection
    assert model.model_copy(update={"model": "bing-precise", "max_retries": 0})._connection is model._connection
    assert model.model_copy(update={"search": False})._connection is not model._connection


def test_settings_may_be_changed_later(bing_emulator: Emulator) -> None:
    """The next call uses them: a setting that is shown is the one that counts."""
    model = ChatBing(endpoint=bing_emulator.url)
    model.invoke("Hello")
    model.locale = "de-DE"
    model.cookies = "_U=later"  # type: ignore[assignment]
    model.invoke("Hello")
    first, *_, last = bing_emulator.requests
    assert (first.headers["accept-language"], last.headers["accept-language"]) == ("en-US", "de-DE")
    assert last.headers["cookie"] == "_U=later"
    assert "later" not in repr(model)


@pytest.mark.parametrize("cookies", [[{"name": "_U", "value": "sesame"}], ("_U=sesame",), 5, "sesame\n"])
def test_cookies_of_a_wrong_form_are_not_shown(cookies: Any) -> None:
    """By the error of the constructor, of an assignment and of a copy."""
    model = ChatBing(backend="emulator")
    for make in (
        lambda: ChatBing(backend="emulator", cookies=cookies),
        lambda: setattr(model, "cookies", cookies),
        lambda: model.model_copy(update={"cookies": cookies}),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("name", ["search", "base_url", "model_name", "locale", "max_retries", "cookies"])
def test_a_setting_is_not_an_option_of_a_call(name: str) -> None:
    """It would be dropped in silence; the error says what to do."""
    model: Any = model_of(FakeBackend(turn("Hi")))
    with pytest.raises(ConfigurationError, match=rf"ChatBing\({name}="):
        model.invoke("Hello", **{name: 1})


@pytest.mark.parametrize("name", ["proxy", "option_sets", "allow_insecure", "timeouts"])
def test_a_setting_of_the_client_alone_is_refused(name: str) -> None:
    """It is not dropped with a warning: an unused proxy is a serious mistake."""
    with pytest.raises(ConfigurationError, match=rf"client=BingClient\({name}="):
        ChatBing(backend="emulator", **{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"stop": [1]}, {"max_tokens": "3"}, {"max_tokens": 1.5}])
def test_options_of_a_wrong_type_are_refused(options: dict[str, Any]) -> None:
    """By a sentence that names them."""
    with pytest.raises(InvalidRequest, match=next(iter(options))):
        model_of(FakeBackend(turn("Hi"))).invoke("Hello", **options)


def test_a_copy_uses_its_own_settings() -> None:
    """A copy does so with a client, without one, and for fields that are not settings of the client."""
    backend = FakeBackend(turn("Hi there"), turn("Hi there"))
    model = model_of(backend)
    precise = model.model_copy(update={"model": "bing-precise", "stop": ["there"]})
    message = precise.invoke("Hello")
    assert (message.text, message.response_metadata["model_name"]) == ("Hi ", "bing-precise")
    assert model.invoke("Hello").text == "Hi there"


def test_a_changed_field_counts(bing_emulator: Emulator) -> None:
    """An assignment is a setting as any other."""
    model = ChatBing(endpoint=bing_emulator.url)
    model.model = "bing-creative"
    model.stop = ["am"]
    message = model.invoke("Hello, who are you?")
    assert message.response_metadata["model_name"] == "bing-creative"
    assert "am" not in message.text


# --- loops and threads ------------------------------------------------------------------------------------------------


async def test_a_synchronous_call_works_in_a_running_loop(bing_emulator: Emulator) -> None:
    """A synchronous call may be made in a notebook, or in a synchronous tool of an asynchronous agent."""
    bing_emulator.brain = Scripted([["Hi"], ["Hi"]])
    model = ChatBing(endpoint=bing_emulator.url)
    assert model.invoke("Hello").text == "Hi"
    assert "".join(chunk.text for chunk in model.stream("Hello")) == "Hi"


def test_one_model_serves_several_loops_and_threads(bing_emulator: Emulator) -> None:
    """Synchronous in some threads, asynchronous in others, each with a loop of its own."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    model = ChatBing(endpoint=bing_emulator.url)

    def ask(number: int) -> str:
        return model.invoke(str(number)).text if number % 2 else asyncio.run(model.ainvoke(str(number))).text

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(12))) == [f"You said {number}" for number in range(12)]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ContentFiltered("No.", service_message="Sorry."), "ModelRefusalError"),
        (PromptTooLong("Too long."), "ContextOverflowError"),
        (Throttled("Later."), "ModelRateLimitError"),
        (ServiceError("Broken."), "ModelAPIError"),
    ],
)
async def test_a_failure_is_langchains_too(way: str, error: Any, name: str) -> None:
    """In every way of asking, with the service's own words."""
    from langchain_core import exceptions  # noqa: PLC0415

    model = ChatBing(client=client_of(FakeBackend([error]), attempts=1))
    with pytest.raises(BingError, match=error.message) as caught:
        await ask_by(way, model)
    assert isinstance(caught.value, type(error))
    assert isinstance(caught.value, getattr(exceptions, name, Exception))
    assert caught.value.service_message == error.service_message


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_what_had_come_is_in_the_error(way: str) -> None:
    """A connection that ends in the middle of an answer."""
    model = model_of(FakeBackend([ev.TextDelta("Hel"), ConnectionLost("It ended.", partial_text="Hel")]))
    with pytest.raises(ConnectionLost) as caught:
        await ask_by(way, model)
    assert caught.value.partial_text == "Hel"


async def ask_by(way: str, model: ChatBing) -> None:
    """Ask in one of the four ways, to the end."""
    match way:
        case "invoke":
            model.invoke("Hello")
        case "ainvoke":
            await model.ainvoke("Hello")
        case "stream":
            streamed(model, "Hello")
        case _:
            await astreamed(model, "Hello")


# --- tokens and tracing -----------------------------------------------------------------------------------------------


def test_messages_are_counted_as_they_are_sent() -> None:
    """With the text about the tools, and by a counter of your own where there is one."""
    model = ChatBing(backend="emulator")
    history = [SystemMessage("Be brief."), HumanMessage("Hello, you")]
    plain = model.get_num_tokens_from_messages(history)
    assert plain >= model.get_num_tokens("Be brief.") + model.get_num_tokens("Hello, you")
    assert model.get_num_tokens_from_messages(history, tools=[add]) > plain + model.get_num_tokens("Add two numbers.")
    words = ChatBing(backend="emulator", custom_get_token_ids=lambda text: [0] * len(text.split()))
    assert words.get_num_tokens("one two three") == len(words.get_token_ids("one two three")) == 3


def test_traces_say_what_was_asked() -> None:
    """Provider, model, limits and stop sequences; a call's own come first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ChatBing(backend="emulator", max_tokens=5, stop=["a"], temperature=0.5)
    assert model._get_ls_params() == {
        "ls_provider": "bing",
        "ls_model_name": "bing-balanced",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 5,
        "ls_stop": ["a"],
    }
    own = model._get_ls_params(stop=["b"], model="bing-precise", max_tokens=7, temperature=0.1)
    assert (own["ls_model_name"], own["ls_max_tokens"], own["ls_stop"]) == ("bing-precise", 7, ["a", "b"])
    assert ChatBing(backend="emulator")._get_ls_params().keys() == {"ls_provider", "ls_model_name", "ls_model_type"}


def test_summarization_can_trust_the_provider() -> None:
    """It uses usage only where the message's provider is the model's."""
    message = model_of(FakeBackend(turn("Hi"))).invoke("Hello")
    assert message.response_metadata["model_provider"] == ChatBing(backend="emulator")._get_ls_params()["ls_provider"]
    assert message.usage_metadata is None


def test_a_client_that_was_closed_says_so() -> None:
    """A closed model takes no further call."""
    model = ChatBing(backend="emulator")
    model.close()
    model.close()
    with pytest.raises(ConfigurationError, match="closed"):
        model.invoke("Hello")


async def test_a_model_closes_what_it_opened(bing_emulator: Emulator) -> None:
    """By `async with`; the sockets of the loop are closed with it."""
    async with ChatBing(endpoint=bing_emulator.url) as model:
        await model.ainvoke("Hello")
    with pytest.raises(ConfigurationError, match="closed"):
        await model.ainvoke("Hello")


def test_the_type_of_a_client_is_checked() -> None:
    """Something else would fail at the first call."""
    with pytest.raises(ValueError, match="BingClient"):
        ChatBing(client=BingClient)  # type: ignore[arg-type]


async def test_the_time_of_one_call_may_be_given() -> None:
    """In seconds, for the whole turn, in every way of asking; the model keeps its own."""
    backend = FakeBackend(*[turn("Hi")] * 6)
    model: Any = ChatBing(client=client_of(backend))
    model.invoke("Hello", timeout=2)
    await model.ainvoke("Hello", timeout=2)
    list(model.stream("Hello", timeout=2))
    _ = [chunk async for chunk in model.astream("Hello", timeout=2)]
    model.bind(timeout=2).invoke("Hello")
    assert {deadline._seconds for deadline in backend.deadlines} == {2}
    model.invoke("Hello")
    assert backend.deadlines[-1]._seconds == Timeouts().turn
    with pytest.raises(ConfigurationError, match=r"timeouts\.turn is 0 seconds"):
        model.invoke("Hello", timeout=0)


def test_only_allowed_tools_may_be_called() -> None:
    """OpenAI's choice of several tools, through `bind_tools`."""
    choice: dict[str, Any] = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "mul"}],
    }
    backend = FakeBackend(turn("No."), turn(call("mul", a=1, b=2)))
    bound = model_of(backend).bind_tools([add, mul], tool_choice=choice)
    assert [made["name"] for made in bound.invoke("Hi").tool_calls] == ["mul"]
    assert '"add"' not in backend.prompts[0].text
    with pytest.raises(ValueError, match="the bound tools are: add"):
        model_of(backend).bind_tools([add], tool_choice=choice)
