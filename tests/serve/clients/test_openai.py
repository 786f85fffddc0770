"""OpenAI's own SDK as a client of the front: sync, async, streams, tools, parsed answers, responses, errors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from bing_llm import events as ev
from bing_llm.emulator import Cut, Emulator, Fault, HttpAnswer, Scripted
from bing_llm.errors import ContentFiltered, Throttled
from tests.serve.clients.conftest import KEY
from tests.serve.clients.running import ATTEMPTS, client_of, running

pytestmark = pytest.mark.system

MODEL = "bing-balanced"
NEWS: Any = [{"role": "user", "content": "What is new in Python?"}]
SUM: Any = [{"role": "user", "content": "What is 6 * 7?"}]
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


ADA: Any = [{"role": "user", "content": 'Her name is "Ada" and her age is 36.'}]


class Add(BaseModel):
    """Add two numbers."""

    a: int
    b: int


ADD = openai.pydantic_function_tool(Add, name="add")
FLAT: Any = {"type": "function", **ADD["function"]}
QUESTION: Any = [{"role": "user", "content": "What is 2 + 3? Use add."}]


@pytest.fixture
def ai(base_url: str) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=base_url, api_key=KEY) as client:
        yield client


@pytest.fixture
async def aai(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The asynchronous client."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY) as client:
        yield client


# --- chat completions -------------------------------------------------------------------------------------------------


def test_an_answer(ai: openai.OpenAI) -> None:
    """With all its parameters: those without effect are named."""
    raw = ai.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be brief."}, *SUM],
        temperature=0,
        seed=7,
        logprobs=True,
        n=1,
        user="ada",
        max_completion_tokens=100,
        stop=["END"],
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "42"
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", MODEL)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.model_extra == {"estimated": True}
    assert raw.headers["x-bing-llm-ignored"] == "logprobs, seed, temperature"
    assert answer._request_id == raw.headers["x-request-id"]


async def test_an_answer_async(aai: openai.AsyncOpenAI) -> None:
    """The same."""
    answer = await aai.chat.completions.create(model=MODEL, messages=SUM)
    assert answer.choices[0].message.content == "42"


def test_a_stream(ai: openai.OpenAI) -> None:
    """Text, reasoning, each citation once with its place, and the usage."""
    chunks = list(
        ai.chat.completions.create(model=MODEL, messages=NEWS, stream=True, stream_options={"include_usage": True})
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    extra = [delta.model_extra or {} for delta in deltas]
    (annotations,) = [each["annotations"] for each in extra if "annotations" in each]
    cited = [each["url_citation"] for each in annotations]
    assert [text[each["start_index"] : each["end_index"]] for each in cited] == ["[^1^]", "[^2^]"]
    assert cited[0]["url"] == "https://www.example.com/news"
    reasoning = "".join(each.get("reasoning_content", "") for each in extra)
    assert reasoning.startswith("Searching: What is new in Python?\n")
    assert "Generating answers for you..." in reasoning
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.model_extra == {"estimated": True}


async def test_a_stream_async(aai: openai.AsyncOpenAI) -> None:
    """By the SDK's own accumulator, which gives the whole answer in the end."""
    async with aai.chat.completions.stream(model=MODEL, messages=NEWS) as stream:
        kinds = {event.type async for event in stream}
        answer = await stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    message = answer.choices[0].message
    assert message.annotations is not None
    assert [each.url_citation.title for each in message.annotations] == ["Example News", "Example Overview"]


def test_tools(ai: openai.OpenAI) -> None:
    """A call, its result, and the answer; also streamed, and as the SDK parses it."""
    first = ai.chat.completions.create(model=MODEL, messages=QUESTION, tools=[ADD])
    (call,) = first.choices[0].message.tool_calls or []
    assert first.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("add", '{"a": 2, "b": 3}')
    history: Any = [
        *QUESTION,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "5"},
    ]
    second = ai.chat.completions.create(model=MODEL, messages=history, tools=[ADD])
    assert second.choices[0].message.content == "add gave back: 5"
    parsed = ai.chat.completions.parse(model=MODEL, messages=QUESTION, tools=[ADD])
    (parsed_call,) = parsed.choices[0].message.tool_calls or []
    assert parsed_call.function.parsed_arguments == Add(a=2, b=3)
    with ai.chat.completions.stream(model=MODEL, messages=QUESTION, tools=[ADD]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [Add(a=2, b=3)]


def test_objects(ai: openai.OpenAI) -> None:
    """By a schema, and any."""
    parsed = ai.chat.completions.parse(model=MODEL, messages=ADA, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ada", age=36)
    with ai.chat.completions.stream(model=MODEL, messages=ADA, response_format=Person) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Person(name="Ada", age=36)


def test_pictures(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """Are sent to the service."""
    content: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert any("images" in request.path for request in bing_emulator.requests)


def test_a_chat_is_one_conversation(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """Although its whole history is sent each time."""
    history = [*SUM]
    for _ in range(3):
        message = ai.chat.completions.create(model=MODEL, messages=history).choices[0].message
        history += [{"role": "assistant", "content": message.content}, *SUM]
    assert sum(request.path.endswith("/create") for request in bing_emulator.requests) == 1


def test_models(ai: openai.OpenAI) -> None:
    """Those of the service."""
    assert [model.id for model in ai.models.list()] == ["bing-creative", "bing-balanced", "bing-precise"]
    assert ai.models.retrieve("bing-precise").owned_by == "chathub"


# --- responses --------------------------------------------------------------------------------------------------------


def test_a_response(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """And the next ones, in the same conversation."""
    first = ai.responses.create(model=MODEL, input="What is 6 * 7?")
    second = ai.responses.create(model=MODEL, input="What is 2 + 3?", previous_response_id=first.id)
    assert (first.output_text, second.output_text, second.previous_response_id) == ("42", "5", first.id)
    assert sum(request.path.endswith("/create") for request in bing_emulator.requests) == 1
    with pytest.raises(openai.BadRequestError) as caught:
        ai.responses.create(model=MODEL, input="Hello", previous_response_id="resp_x")
    assert caught.value.code == "previous_response_not_found"


async def test_a_streamed_response(aai: openai.AsyncOpenAI) -> None:
    """By the SDK's own accumulator; its items are those of the whole one."""
    async with aai.responses.stream(model=MODEL, input="What is new in Python?") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [item.type for item in final.output] == ["web_search_call", "reasoning", "message"]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text
    whole = await aai.responses.create(model=MODEL, input="What is new in Python?")
    assert whole.output_text == text
    message: Any = whole.output[-1]
    places = [(each.start_index, each.end_index) for each in message.content[0].annotations]
    assert [text[start:end] for start, end in places] == ["[^1^]", "[^2^]"]


def test_tools_of_responses(ai: openai.OpenAI) -> None:
    """A call, its output, and the answer."""
    first = ai.responses.create(model=MODEL, input="What is 2 + 3? Use add.", tools=[FLAT])
    (call,) = first.output
    assert call.type == "function_call"
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "5"}]
    second = ai.responses.create(model=MODEL, input=output, previous_response_id=first.id, tools=[FLAT])
    assert second.output_text == "add gave back: 5"


def test_objects_of_responses(ai: openai.OpenAI) -> None:
    """As the SDK parses them, whole and streamed."""
    asked = ADA[0]["content"]
    assert ai.responses.parse(model=MODEL, input=asked, text_format=Person).output_parsed == Person(name="Ada", age=36)
    with ai.responses.stream(model=MODEL, input=asked, text_format=Person) as stream:
        assert stream.get_final_response().output_parsed == Person(name="Ada", age=36)


# --- errors -----------------------------------------------------------------------------------------------------------


def turns_of(emulator: Emulator) -> int:
    """How many times a turn was begun at the service."""
    return sum(request.path.endswith(("/create", "/conversations")) for request in emulator.requests)


@pytest.mark.parametrize("stream", [False, True])
def test_retries_do_not_multiply(ai: openai.OpenAI, bing_emulator: Emulator, *, stream: bool) -> None:
    """The SDK tries twice again by default; the service sees no more than the client's own budget."""
    bing_emulator.faults = [Fault(HttpAnswer(503), "creation") for _ in range(ATTEMPTS)]
    with pytest.raises(openai.InternalServerError) as caught:
        ai.chat.completions.create(model=MODEL, messages=SUM, stream=stream)
    assert caught.value.status_code == 503
    assert turns_of(bing_emulator) == ATTEMPTS


def test_an_error_that_passes_is_not_seen(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """The front's client tries again."""
    bing_emulator.faults = [Fault(HttpAnswer(503), "creation")]
    assert ai.chat.completions.create(model=MODEL, messages=SUM).choices[0].message.content == "42"


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_paid_is_not_sent_twice(bing_emulator: Emulator, *, stream: bool) -> None:
    """Work IQ meters its turns: one that was sent, and then lost, is the caller's to judge."""
    bing_emulator.faults = [Fault(Cut(), "request")]
    client = client_of(bing_emulator, "workiq")
    with running(client) as url, openai.OpenAI(base_url=url, api_key="none") as ai:
        with pytest.raises(openai.InternalServerError):
            ai.chat.completions.create(model="copilot", messages=SUM, stream=stream)
        sent = [request for request in bing_emulator.requests if "chat" in request.path.lower()]
        assert len(sent) == 1
        assert ai.chat.completions.create(model="copilot", messages=SUM).choices[0].message.content == "42"


def test_throttling_is_a_rate_limit(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """With the time to wait; a quota that is counted in hours is asked once."""
    bing_emulator.faults = [Fault(Throttled(), "creation")]
    with pytest.raises(openai.RateLimitError) as caught:
        ai.chat.completions.create(model=MODEL, messages=SUM)
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert turns_of(bing_emulator) == 1


def test_a_refusal_is_a_content_filter(ai: openai.OpenAI, bing_emulator: Emulator) -> None:
    """By which the SDK's `parse` fails, too."""
    bing_emulator.brain = Scripted(lambda _: [ContentFiltered(service_message="I cannot.")])
    (choice,) = ai.chat.completions.create(model=MODEL, messages=SUM).choices
    assert choice.finish_reason == "content_filter"
    assert choice.message.refusal
    with pytest.raises(openai.ContentFilterFinishReasonError):
        ai.chat.completions.parse(model=MODEL, messages=ADA, response_format=Person)


def chat_texts(ai: openai.OpenAI) -> Iterator[str]:
    """The pieces of a streamed answer."""
    for chunk in ai.chat.completions.create(model=MODEL, messages=SUM, stream=True):
        yield chunk.choices[0].delta.content or ""


def response_texts(ai: openai.OpenAI) -> Iterator[str]:
    """The pieces of a streamed response."""
    for event in ai.responses.create(model=MODEL, input="Hello", stream=True):
        if event.type == "response.output_text.delta":
            yield event.delta


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_error_after_text_is_raised(ai: openai.OpenAI, bing_emulator: Emulator, api: str) -> None:
    """By the stream, after the text; the turn is not sent again."""
    bing_emulator.brain = Scripted(lambda _: ["Hello ", "you ", "there."])
    bing_emulator.faults = [Fault(Cut(), "mid", after=2)]
    seen: list[str] = []
    with pytest.raises(openai.APIError, match="connection"):
        seen.extend(chat_texts(ai) if api == "chat" else response_texts(ai))
    assert "".join(seen).startswith("Hello ")
    assert turns_of(bing_emulator) == 1


def test_errors_of_the_caller(ai: openai.OpenAI, base_url: str) -> None:
    """Are those of OpenAI's classes."""
    with pytest.raises(openai.NotFoundError) as unknown:
        ai.chat.completions.create(model="gpt-4o", messages=SUM)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as many:
        ai.chat.completions.create(model=MODEL, messages=SUM, n=2)
    assert many.value.param == "n"
    with pytest.raises(openai.BadRequestError) as sound:
        ai.chat.completions.create(
            model=MODEL,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
                }
            ],
        )
    assert "input_audio" in str(sound.value)
    with (
        openai.OpenAI(base_url=base_url, api_key="wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.models.list()
    assert refused.value.code == "invalid_api_key"


def test_a_prompt_that_is_too_long(ai: openai.OpenAI) -> None:
    """By the code that frameworks look for."""
    long: Any = [{"role": "user", "content": "word " * 10_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        ai.chat.completions.create(model=MODEL, messages=long)
    assert caught.value.code == "context_length_exceeded"


async def test_leaving_a_stream_ends_the_turn(aai: openai.AsyncOpenAI, bing_emulator: Emulator) -> None:
    """At the service, which is asked the next one in a conversation of its own."""
    bing_emulator.brain = Scripted(lambda _: [ev.TextDelta(f"{number} ") for number in range(5)])
    stream = await aai.chat.completions.create(model=MODEL, messages=SUM, stream=True)
    async for _ in stream:
        break
    await stream.close()
    answer = await aai.chat.completions.create(model=MODEL, messages=SUM)
    assert answer.choices[0].message.content == "0 1 2 3 4 "
