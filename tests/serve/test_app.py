"""The routes of the front."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bing_llm import events as ev
from bing_llm.errors import ConfigurationError, ContentFiltered, ServiceError
from bing_llm.serve.app import MAX_WAITING, application
from bing_llm.serve.errors import BUSY_S
from tests.fakes import FakeBackend, Pause, answer, client_of
from tests.serve.visitor import HELLO, fronting

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


# --- chat completions -------------------------------------------------------------------------------------------------


async def test_a_whole_answer() -> None:
    """Is the service's, in OpenAI's form."""
    backend = FakeBackend(answer("Hi ", "you"))
    async with fronting(backend) as visitor:
        answered = await visitor.chat(temperature=0, seed=7)
    assert (answered.status, answered.headers["content-type"]) == (200, "application/json")
    assert answered.json["choices"][0]["message"]["content"] == "Hi you"
    assert answered.json["model"] == "bing-balanced"
    assert answered.headers["x-bing-llm-ignored"] == "seed, temperature"
    assert answered.headers["x-request-id"].startswith("req_")
    assert [prompt.text for prompt in backend.prompts] == ["Hello"]


async def test_a_stream() -> None:
    """Comes as server-sent events, piece by piece."""
    pause = Pause()
    async with fronting(FakeBackend([ev.TextDelta("Hi "), pause, *answer("Hi ", "you")[1:]])) as visitor:
        body = b'{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
        async with visitor.http.post(f"{visitor.base}/v1/chat/completions", data=body) as response:
            first = await response.content.readany()
            assert b"Hi " in first
            assert b"you" not in first
            pause.go.set()
            rest = await response.content.read()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert b"you" in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    assert "x-bing-llm-ignored" not in response.headers


async def test_no_header_names_what_had_an_effect() -> None:
    """Where nothing was ignored."""
    async with fronting(FakeBackend(answer("Hi"))) as visitor:
        assert "x-bing-llm-ignored" not in (await visitor.chat(stop=["x"], n=1, user="me")).headers


async def test_a_call_that_is_missing_is_asked_for_once_more() -> None:
    """That is the work of the completion."""
    backend = FakeBackend(answer("I would rather not."), answer(CALL))
    async with fronting(backend) as visitor:
        answered = await visitor.chat(tools=[ADD], tool_choice="required")
    (choice,) = answered.json["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "add"
    assert len(backend.prompts) == 2


async def test_a_history_that_is_sent_again_goes_on_in_its_conversation() -> None:
    """Stateless clients send it whole; the service is sent the new messages."""
    backend = FakeBackend(answer("Hi"), answer(CALL), answer("5"))
    async with fronting(backend) as visitor:
        messages: list[Any] = [*HELLO]
        for question in ("Add.", None):
            answered = await visitor.chat(messages, tools=[ADD])
            message = answered.json["choices"][0]["message"]
            kept = {key: value for key, value in message.items() if value and key in {"role", "content", "tool_calls"}}
            messages.append(kept)
            messages.append(
                {"role": "user", "content": question}
                if question
                else {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "5"}
            )
        await visitor.chat(messages, tools=[ADD], stream=True)
    turns = [call for call in backend.calls if call.startswith("turn")]
    assert turns == [f"turn {number} of conversation-1" for number in range(3)]
    assert backend.prompts[2].context is None


async def test_a_prompt_over_the_limit_of_the_model_is_too_long() -> None:
    """In OpenAI's word for it, by which clients know that they have to shorten their history."""
    backend = FakeBackend(prompt_limit=4)
    async with fronting(backend) as visitor:
        answered = await visitor.chat()
    assert (answered.status, answered.json["error"]["code"]) == (400, "context_length_exceeded")
    assert backend.prompts == []


async def test_a_refusal_is_an_answer() -> None:
    """Whose reason is `content_filter`, whole and streamed."""
    async with fronting(FakeBackend(ContentFiltered("No.", service_message="I cannot."), ContentFiltered())) as visitor:
        whole = await visitor.chat()
        streamed = await visitor.chat(stream=True)
    (choice,) = whole.json["choices"]
    assert (whole.status, choice["finish_reason"], choice["message"]["refusal"]) == (200, "content_filter", "I cannot.")
    assert streamed.events[-2]["choices"][0]["finish_reason"] == "content_filter"
    assert streamed.events[-1] == "[DONE]"


# --- responses --------------------------------------------------------------------------------------------------------


async def test_a_response_goes_on_from_an_earlier_one() -> None:
    """In the same conversation, with the new input only; a fork gets a conversation of its own."""
    backend = FakeBackend(answer("Hi"), answer("Fine"), answer("Well"))
    async with fronting(backend) as visitor:
        first = (await visitor.respond("Hello")).json
        second = (await visitor.respond("How are you?", previous_response_id=first["id"], stream=True)).events[-1]
        third = (await visitor.respond("And now?", previous_response_id=first["id"])).json
    assert second["response"]["previous_response_id"] == first["id"]
    assert [call for call in backend.calls if call.startswith("turn")] == [
        "turn 0 of conversation-1",
        "turn 1 of conversation-1",
        "turn 0 of conversation-2",
    ]
    assert [prompt.text for prompt in backend.prompts] == ["Hello", "How are you?", "And now?"]
    assert "Hi" in (backend.prompts[2].context or "")
    assert third["output"][0]["content"][0]["text"] == "Well"


async def test_calls_go_on_from_an_earlier_response() -> None:
    """The output of a call needs no more than its id."""
    flat = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    backend = FakeBackend(answer(CALL), answer("5"))
    async with fronting(backend) as visitor:
        first = (await visitor.respond("Add.", tools=[flat])).json
        output = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "5"}
        await visitor.respond([output], previous_response_id=first["id"], tools=[flat])
    assert [call for call in backend.calls if call.startswith("turn")] == [
        "turn 0 of conversation-1",
        "turn 1 of conversation-1",
    ]
    assert 'name="add"' in backend.prompts[1].text


@pytest.mark.parametrize("store", [False, True])
async def test_an_unknown_earlier_response_is_an_error(*, store: bool) -> None:
    """Also one that was not to be stored."""
    async with fronting(FakeBackend(answer("Hi"), answer("Fine"))) as visitor:
        first = (await visitor.respond(store=store)).json
        second = await visitor.respond(previous_response_id=first["id"])
        unknown = await visitor.respond(previous_response_id="resp_x")
    assert second.status == (200 if store else 400)
    assert (unknown.status, unknown.error["code"]) == (400, "previous_response_not_found")


async def test_a_failed_response_is_not_kept() -> None:
    """It has no output to go on from."""
    async with fronting(FakeBackend([ev.TextDelta("Hi"), ServiceError("Lost.")])) as visitor:
        events = (await visitor.respond(stream=True)).events
        again = await visitor.respond(previous_response_id=events[0]["response"]["id"])
    assert events[-1]["type"] == "response.failed"
    assert again.status == 400


# --- how many at once -------------------------------------------------------------------------------------------------


async def test_requests_wait_for_their_turn() -> None:
    """In order; what is with the service is bounded."""
    pause = Pause()
    backend = FakeBackend([pause, *answer("one")], answer("two"))
    async with fronting(backend, max_concurrency=1) as visitor:
        first = asyncio.create_task(visitor.chat())
        await pause.reached.wait()
        second = asyncio.create_task(visitor.chat())
        await visitor.send("GET", "/v1/models")  # which waits for nothing
        assert len(backend.prompts) == 1
        pause.go.set()
        texts = [each.json["choices"][0]["message"]["content"] for each in await asyncio.gather(first, second)]
    assert texts == ["one", "two"]


async def test_too_many_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent; they may come again soon."""
    monkeypatch.setattr("bing_llm.serve.app.MAX_WAITING", 0)
    pause = Pause()
    async with fronting(FakeBackend([pause, *answer("one")]), max_concurrency=1) as visitor:
        first = asyncio.create_task(visitor.chat())
        await pause.reached.wait()
        refused = await visitor.chat()
        pause.go.set()
        assert (await first).status == 200
    assert MAX_WAITING > 0
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (429, "server_busy", str(BUSY_S))
    assert "x-should-retry" not in refused.headers


async def test_a_limit_below_one_is_refused() -> None:
    """Nothing could ever be asked."""
    async with client_of(FakeBackend()) as client:
        with pytest.raises(ConfigurationError, match="max_concurrency"):
            application(client, max_concurrency=0)


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_health() -> None:
    """Without the key."""
    async with fronting(FakeBackend(), key="a-key-of-the-front") as visitor:
        answered = await visitor.send("GET", "/healthz")
    assert (answered.status, answered.json) == (200, {"status": "ok"})


async def test_the_length_of_a_body_is_bounded() -> None:
    """What is longer is refused before it is read."""
    async with fronting(FakeBackend(), max_body=1000) as visitor:
        answered = await visitor.chat([{"role": "user", "content": "x" * 2000}])
    assert (answered.status, answered.error["code"]) == (413, "request_too_large")
