"""What LangChain does with a chat model: chains, batches, events, callbacks, caches, fallbacks, retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnableLambda

from bing_llm import BingClient, ChatHub, Emulated, Retries, WorkIQ
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import ConnectionLost, ServiceError, Throttled
from bing_llm.sync import run
from bing_llm.tools import FencedJson
from langchain_bing import ChatBing
from tests.fakes import FakeBackend, Time, client_of
from tests.integrations.langchain_bing.models import astreamed, model_of, said, streamed, summed
from tests.integrations.turns import call, turn

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Be brief."), MessagesPlaceholder("history", optional=True), ("human", "{question}")]
)
TOOL = {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}


def chats(emulator: Emulator) -> int:
    """How many turns were asked for."""
    return sum(request.kind == "chat" for request in emulator.requests)


# --- chains -----------------------------------------------------------------------------------------------------------


async def test_a_chain_of_prompt_model_and_parser() -> None:
    """Called and streamed, synchronous and not."""

    def chain(backend: FakeBackend) -> Any:
        return PROMPT | model_of(backend, join_deltas=False) | StrOutputParser()

    def backend() -> FakeBackend:
        return FakeBackend(turn("Hello", " there", "."))

    service = backend()
    assert chain(service).invoke({"question": "Hi?"}) == "Hello there."
    assert service.prompts[0].text == "Hi?"
    assert "Be brief." in (service.prompts[0].context or "")
    assert await chain(backend()).ainvoke({"question": "Hi?"}) == "Hello there."
    parts = list(chain(backend()).stream({"question": "Hi?"}))
    assert [part for part in parts if part] == ["Hello", " there", "."]
    aparts = [part async for part in chain(backend()).astream({"question": "Hi?"})]
    assert aparts == parts


def test_a_chain_streams_json_as_it_grows() -> None:
    """LangChain's parser reads what has come of a JSON answer."""
    pieces = ['{"city": ', '"Paris", ', '"country": ', '"France"}']
    chain = model_of(FakeBackend(turn(*pieces)), join_deltas=False) | JsonOutputParser()
    assert list(chain.stream("Capital of France?"))[-1] == {"city": "Paris", "country": "France"}


def test_blocks_flow_through_a_chain_of_text() -> None:
    """A parser of text reads the text of block content."""
    chain = model_of(FakeBackend(turn(ev.Progress("Hm."), "Hello")), output_version="v1") | StrOutputParser()
    assert chain.invoke("Hi?") == "Hello"


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_batches_of_fifty(bing_emulator: Emulator) -> None:
    """Each question gets its own answer, in order, with and without a limit of how many run at once."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    model = ChatBing(endpoint=bing_emulator.url)
    questions: list[Any] = [str(number) for number in range(50)]
    expected = [f"You said {question}" for question in questions]
    batch = await asyncio.to_thread(model.batch, list(questions))
    assert [answer.text for answer in batch] == expected
    assert [answer.text for answer in await model.abatch([*questions])] == expected
    limited = await model.abatch(questions[:8], RunnableConfig(max_concurrency=2))
    assert [answer.text for answer in limited] == expected[:8]
    assert len({answer.response_metadata["conversation_id"] for answer in batch}) == 50


async def test_one_failure_of_a_batch_may_be_returned() -> None:
    """The others are answered."""
    model = ChatBing(client=client_of(FakeBackend(turn("One"), [ServiceError("No.")], turn("Three")), attempts=1))
    results = await model.abatch(["1", "2", "3"], RunnableConfig(max_concurrency=1), return_exceptions=True)
    assert [getattr(result, "text", type(result).__name__) for result in results] == ["One", "ServiceError", "Three"]


# --- events -----------------------------------------------------------------------------------------------------------


async def test_events_have_each_chunk_and_the_whole() -> None:
    """`astream_events`, version 2: the chunks add up to the message of the end."""
    chain = PROMPT | model_of(FakeBackend(turn("Hello", " there")), join_deltas=False) | StrOutputParser()
    events = [event async for event in chain.astream_events({"question": "Hi?"}, version="v2")]
    chunks = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
    (end,) = [event["data"]["output"] for event in events if event["event"] == "on_chat_model_end"]
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hello", " there"]
    assert said(summed(chunks)) == said(end)
    assert {chunk.id for chunk in chunks} == {end.id}


@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_the_newest_events_have_text_and_calls(version: str | None) -> None:
    """`astream_events`, version 3, whose content is always blocks."""
    backend = FakeBackend(turn(ev.Progress("Hm."), "Let me see.\n", call("add", a=1)))
    model: Any = model_of(backend, output_version=version).bind_tools([TOOL])
    stream = await model.astream_events("Hi?", version="v3")
    message = await stream.output
    assert [made["args"] for made in message.tool_calls] == [{"a": 1}]
    kinds = [block["type"] for block in message.content_blocks]
    # With text as content, the last chunk has what the service said besides.
    assert kinds == (["reasoning", "text", "tool_call"] if version else ["text", "tool_call", "reasoning"])
    assert message.response_metadata["finish_reason"] == "tool_calls"


# --- callbacks --------------------------------------------------------------------------------------------------------


class Counting(BaseCallbackHandler):
    """Keeps the tokens that it is given."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.chunks: list[Any] = []
        self.ends = 0

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        """One chunk."""
        del kwargs
        self.tokens.append(token)
        self.chunks.append(chunk)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        """The end."""
        del response, kwargs
        self.ends += 1


class AsyncCounting(AsyncCallbackHandler):
    """Like `Counting`, for handlers that are awaited."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []

    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        """One chunk."""
        del kwargs
        self.tokens.append(token)


async def test_a_callback_hears_of_each_chunk_once() -> None:
    """LangChain tells of them; the model must not do it too."""
    lines = turn("Hello", " there", ".")
    for asked in (streamed, astreamed):
        handler = Counting()
        model = model_of(FakeBackend(lines), join_deltas=False, callbacks=[handler])
        result = asked(model, "Hi?")
        message = await result if asyncio.iscoroutine(result) else result
        assert isinstance(message, AIMessageChunk)
        assert "".join(handler.tokens) == message.text == "Hello there."
        assert handler.tokens == ["Hello", " there", ".", ""]
        assert [chunk.text for chunk in handler.chunks] == handler.tokens
        assert handler.ends == 1


async def test_an_async_callback_hears_of_each_chunk_once() -> None:
    """It is awaited on the caller's loop."""
    handler = AsyncCounting()
    await astreamed(model_of(FakeBackend(turn("a", "b")), join_deltas=False, callbacks=[handler]), "Hi?")
    assert handler.tokens == ["a", "b", ""]


def test_a_callback_hears_of_tokens_of_a_call_only_where_it_streams() -> None:
    """`invoke` gives none; with `streaming=True` it does."""
    for streaming, tokens in ((False, []), (True, ["Hello there", ""])):
        handler = Counting()
        model = model_of(FakeBackend(turn("Hello", " there")), callbacks=[handler], streaming=streaming)
        model.invoke("Hi?")
        assert (handler.tokens, handler.ends) == (tokens, 1)


@pytest.mark.parametrize("disabled", [True, "tool_calling"])
def test_streaming_may_be_switched_off(disabled: Any) -> None:
    """`disable_streaming` gives the whole message as one chunk."""
    model = model_of(FakeBackend(turn("Hello", " there")), join_deltas=False, disable_streaming=disabled)
    chunks = list(model.bind_tools([TOOL]).stream("Hi?"))
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hello there"]


def test_usage_can_be_added_up() -> None:
    """LangChain's own counter finds the estimate, by the model's name."""
    with get_usage_metadata_callback() as counter:
        model_of(FakeBackend(turn("Hello there")), estimate_usage=True).invoke("Hi?")
        model_of(FakeBackend(turn("Hello there"))).invoke("Hi?")
    assert counter.usage_metadata.keys() == {"bing-balanced"}
    assert counter.usage_metadata["bing-balanced"]["output_tokens"] == 3


# --- caches and limits ------------------------------------------------------------------------------------------------


def test_a_cached_answer_asks_nothing(bing_emulator: Emulator) -> None:
    """The same question is answered from the cache; another, or another setting, is not."""
    bing_emulator.brain = Scripted(lambda question: [f"You said {question.text}"])
    cache = InMemoryCache()
    model = ChatBing(endpoint=bing_emulator.url, cache=cache)
    first, again = model.invoke("One"), model.invoke("One")
    assert {**said(again), "usage": None} == said(first)  # LangChain notes there that it cost nothing
    assert chats(bing_emulator) == 1
    model.invoke("Two")
    ChatBing(endpoint=bing_emulator.url, cache=cache, model="bing-precise").invoke("One")
    model.bind_tools([TOOL]).invoke("One")
    assert chats(bing_emulator) == 4
    ChatBing(endpoint=bing_emulator.url, cache=cache).invoke("One")
    assert chats(bing_emulator) == 4


def test_a_cache_tells_services_and_callers_apart() -> None:
    """No answer of one service, or to one account, is given for another; equal services share theirs."""
    here = "http://127.0.0.1:9"
    client = BingClient(endpoint=here)
    models = [
        ChatBing(service=Emulated()),
        ChatBing(service=Emulated(search=False)),
        ChatBing(service=ChatHub(endpoint=here)),
        ChatBing(service=WorkIQ(token="one-token", endpoint=here, time_zone="UTC")),
        ChatBing(backend="workiq", token="another-token", endpoint=here, time_zone="UTC"),
        ChatBing(client=BingClient(endpoint="http://127.0.0.1:10")),
    ]
    keys = [model._get_llm_string() for model in models]
    assert len(set(keys)) == len(models)
    assert ChatBing(service=Emulated())._get_llm_string() == keys[0]
    assert ChatBing(client=client)._get_llm_string() == ChatBing(client=client)._get_llm_string()
    assert not any("-token" in key for key in keys)


class Silent(FencedJson):
    """A wording of which Python thinks that it is nothing."""

    def __len__(self) -> int:
        return 0


def test_a_cache_tells_wordings_apart() -> None:
    """Also one from another that was thrown away, whose place in memory it may have."""
    model = ChatBing(service=Emulated())
    keys = [model.model_copy(update={"tool_prompt": Silent()})._get_llm_string() for _ in range(20)]
    assert len({model._get_llm_string(), *keys}) == 21
    mine = model.model_copy(update={"tool_prompt": Silent()})
    assert mine._get_llm_string() == mine.model_copy()._get_llm_string()
    assert mine._tool_prompt is mine.tool_prompt


class Limiter(BaseRateLimiter):
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Let it pass."""
        self.acquired += 1
        return blocking

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Let it pass."""
        return self.acquire(blocking=blocking)


async def test_a_rate_limiter_is_asked_once_a_call() -> None:
    """Not once a chunk, and not once more by us."""
    limiter = Limiter()
    model = model_of(FakeBackend(*[turn("Hello", " there")] * 4), rate_limiter=limiter)
    model.invoke("Hi?")
    await model.ainvoke("Hi?")
    assert limiter.acquired == 2
    streamed(model, "Hi?")
    await astreamed(model, "Hi?")
    assert limiter.acquired == 4


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_client", [False, True])
def test_a_field_may_be_configured_by_call(own_client: bool, bing_emulator: Emulator) -> None:  # noqa: FBT001
    """LangChain makes a model of the fields of the first; with a client of your own too."""
    settings: dict[str, Any] = {"endpoint": bing_emulator.url}
    if own_client:
        settings = {"client": client_of(FakeBackend(*[turn("Hello, who am I?")] * 2))}
    model = ChatBing(**settings).configurable_fields(model=ConfigurableField("model"), stop=ConfigurableField("stop"))
    assert model.invoke("Hello, who are you?").response_metadata["model_name"] == "bing-balanced"
    config = RunnableConfig(configurable={"model": "bing-creative", "stop": [" "]})
    answer = model.invoke("Hello, who are you?", config)
    assert answer.response_metadata["model_name"] == "bing-creative"
    assert " " not in answer.text


def test_alternatives_may_be_configured() -> None:
    """One model or another, by call."""
    one, other = (model_of(FakeBackend(turn(text))) for text in ("One", "Other"))
    model = one.configurable_alternatives(ConfigurableField("which"), default_key="one", other=other)
    assert model.invoke("Hi?").text == "One"
    assert model.invoke("Hi?", RunnableConfig(configurable={"which": "other"})).text == "Other"


# --- fallbacks and retries --------------------------------------------------------------------------------------------


async def test_a_fallback_answers_where_the_model_fails() -> None:
    """By the class of the error, called and streamed."""
    for asked in ("invoke", "stream"):
        failing = ChatBing(client=client_of(FakeBackend([Throttled("Later.")]), attempts=1))
        model = failing.with_fallbacks([model_of(FakeBackend(turn("Hello")))], exceptions_to_handle=(Throttled,))
        answer = await model.ainvoke("Hi?") if asked == "invoke" else await astreamed(model, "Hi?")
        assert answer.text == "Hello"


@pytest.mark.parametrize("bound", [False, True])
def test_retries_do_not_multiply(bound: bool, bing_emulator: Emulator) -> None:  # noqa: FBT001
    """LangChain's budget is the whole budget: the model's own would multiply it."""
    bing_emulator.brain = Scripted(lambda _question: [ServiceError()])
    model: Any = ChatBing(endpoint=bing_emulator.url, max_retries=3)
    model = model.bind_tools([TOOL]) if bound else model
    with pytest.raises(ServiceError):
        model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("Hi?")
    assert chats(bing_emulator) == 2


def test_retries_of_a_client_of_ones_own_do_not_multiply(bing_emulator: Emulator) -> None:
    """They are switched off for this model, and stay the client's for others."""
    bing_emulator.brain = Scripted(lambda _question: [ServiceError()])
    client = BingClient(endpoint=bing_emulator.url, retries=Retries(attempts=3, first_wait=0))
    model = ChatBing(client=client)
    with pytest.raises(ServiceError):
        model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("Hi?")
    assert (chats(bing_emulator), client.retries.attempts) == (2, 3)
    run(client.aclose())


def test_a_chain_is_retried_on_its_model() -> None:
    """The form that the guide gives: three attempts are three turns; around the whole chain two budgets multiply."""
    prompt = ChatPromptTemplate([("human", "{x}")])
    for around, turns in ((False, 3), (True, 6)):
        backend = FakeBackend(*[ServiceError("Busy.")] * 9)
        model = ChatBing(client=client_of(backend, Time(), attempts=2))
        options: dict[str, Any] = {"stop_after_attempt": 3, "wait_exponential_jitter": False}
        chain = (prompt | model).with_retry(**options) if around else prompt | model.with_retry(**options)
        with pytest.raises(ServiceError):
            chain.invoke({"x": "Hi?"})
        assert len(backend.prompts) == turns


def test_a_model_may_be_chosen_at_run_time() -> None:
    """A recipe chooses the model at run time, over one client: the list of `init_chat_model` is closed."""
    backend = FakeBackend(turn("One"), turn("Two"))
    model = ChatBing(client=client_of(backend)).configurable_fields(model=ConfigurableField("model"))
    assert model.invoke("Hi?", {"configurable": {"model": "bing-precise"}}).text == "One"
    assert model.invoke("Hi?").text == "Two"
    assert backend.models[0] == "bing-precise"
    assert "close" not in backend.calls


def test_a_retry_answers_at_last(bing_emulator: Emulator) -> None:
    """LangChain's retry makes a second attempt, which answers."""
    bing_emulator.brain = Scripted([[ServiceError()], ["Hello"]])
    model = ChatBing(endpoint=bing_emulator.url)
    retried = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert retried.invoke("Hi?").text == "Hello"


def test_the_model_retries_by_itself_otherwise(bing_emulator: Emulator) -> None:
    """`max_retries` counts those after the first attempt."""
    bing_emulator.brain = Scripted(lambda _question: [ServiceError()])
    with pytest.raises(ServiceError):
        ChatBing(endpoint=bing_emulator.url, max_retries=1).invoke("Hi?")
    assert chats(bing_emulator) == 2


def test_text_that_had_come_is_given_to_a_fallback_no_second_time() -> None:
    """A stream that broke after text raises: what was given cannot be taken back."""
    failing = model_of(FakeBackend([ev.TextDelta("Hel"), ConnectionLost("It ended.", partial_text="Hel")]))
    model = failing.with_fallbacks([model_of(FakeBackend(turn("Hello")))])
    with pytest.raises(ConnectionLost):
        streamed(model, "Hi?")


# --- concurrency ------------------------------------------------------------------------------------------------------


async def test_a_model_is_asked_in_many_tasks_at_once(bing_emulator: Emulator) -> None:
    """Streams of one model run side by side, each in a conversation of its own."""
    bing_emulator.brain = Scripted(lambda question: ["You ", "said ", question.text])
    model = ChatBing(endpoint=bing_emulator.url)
    answers = await asyncio.gather(*(astreamed(model, str(number)) for number in range(10)))
    assert [answer.text for answer in answers] == [f"You said {number}" for number in range(10)]


async def test_a_runnable_may_call_the_model_inside_of_its_own_call() -> None:
    """A synchronous step of an asynchronous chain runs in a thread, and asks there."""
    model = model_of(FakeBackend(turn("inner"), turn("outer")))
    chain: Any = RunnableLambda(lambda text: model.invoke(str(text)).text) | model
    assert (await chain.ainvoke("Hi?")).text == "outer"
