"""Agents over real connections: the official SDK's server answers, and a server that sends what a test wrote down."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest

from bing_llm import errors
from bing_llm.backends.workiq.a2a.answer import AgentConversation
from bing_llm.client import BingClient
from bing_llm.images import Image
from bing_llm.limits import Retries, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import WorkIQ
from tests.backends.serving import Answer, Server, reply, silent
from tests.backends.workiq.a2a.agents import (
    AGENT,
    CARD_PATH,
    SECRET,
    Slept,
    agent_at,
    ask,
    backend_at,
    card,
    in_time,
    methods,
    streamed,
    whole,
)
from tests.backends.workiq.a2a.wire import (
    CONTEXT,
    DONE,
    artifact,
    bare_task,
    message,
    piece,
    response,
    rpc_error,
    task,
    update,
)

# --- cards and requests -----------------------------------------------------------------------------------------------


async def test_a_card_is_asked_for_once() -> None:
    """However many turns begin at the same time; each request has the token and the version."""
    async with agent_at(streamed(task(), piece("Hi"), DONE)) as (server, backend):
        replies = await asyncio.gather(*[ask(backend) for _ in range(5)])
        assert [each.text for each in replies] == ["Hi"] * 5
        assert [request.target for request in server.requests].count(CARD_PATH) == 1
        assert len(server.requests) == 6
        for request in server.requests:
            assert request.headers["authorization"] == f"Bearer {SECRET}"
            assert request.headers["a2a-version"] == "1.0"
        assert (await backend.agent_card(in_time())).name == "Agent"
        assert (await backend.with_model("copilot").agent_card(in_time())).name == "Agent"
        assert len(server.requests) == 6


async def test_an_unknown_agent_is_named() -> None:
    """Its card is a 404; nothing is sent after that."""
    async with Server(reply(b"", 404)) as server, backend_at(server.url("/a2a/")) as backend:
        with pytest.raises(errors.InvalidRequest, match=re.escape(repr(AGENT))):
            await ask(backend)
        assert [request.target for request in server.requests] == [CARD_PATH]


async def test_copilot_needs_no_card() -> None:
    """Where none is shown, it is asked where it is documented."""
    routes: dict[str, Answer] = {"/a2a/": streamed(task(), piece("Hi"), DONE)}
    async with Server(reply(b"", 404), routes=routes) as server, backend_at(server.url("/rest"), None) as backend:
        assert (await ask(backend)).text == "Hi"
        assert [request.target for request in server.requests] == ["/a2a/.well-known/agent-card.json", "/a2a/"]


async def test_the_token_stays_at_its_origin() -> None:
    """A card that names another one is refused before anything is sent there."""
    async with Server(streamed(DONE)) as other, Server() as server, backend_at(server.url("/a2a/")) as backend:
        server._script = (whole(card(other)),)
        with pytest.raises(errors.ProtocolError, match="token is not sent") as caught:
            await ask(backend)
        assert other.requests == []
        assert SECRET not in f"{caught.value}{vars(caught.value)}"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, errors.Unauthorized), (403, errors.Unauthorized), (429, errors.Throttled), (503, errors.ServiceError)],
)
async def test_statuses_are_those_of_rest(status: int, error: type[errors.BingError]) -> None:
    """Of the card, and of a turn."""
    async with Server(reply(b"", status)) as server, backend_at(server.url("/a2a/")) as backend:
        with pytest.raises(error):
            await ask(backend)
    async with agent_at(reply(b"", status)) as (_, backend):
        with pytest.raises(error):
            await ask(backend)


@pytest.mark.parametrize(("status", "of_card"), [(302, True), (302, False), (404, False)])
async def test_the_hint_about_the_place_is_that_of_this_protocol(status: int, *, of_card: bool) -> None:
    """A2A has another path than REST, and an agent."""
    moved = reply(b"", status, headers={"Location": "http://127.0.0.1:1/"})
    async with Server(moved) as bare, agent_at(moved) as (_, backend), backend_at(bare.url("/a2a/")) as other:
        with pytest.raises(errors.BingError) as caught:
            await ask(other if of_card else backend)
        assert "/a2a/" in str(caught.value.hint)
        assert "/rest" not in str(caught.value.hint)


async def test_a_context_that_is_gone_has_expired() -> None:
    """HTTP 404 means that only for one that was used before."""
    async with agent_at(reply(b"", 404)) as (_, backend):
        with pytest.raises(errors.SessionExpired):
            await ask(backend, await backend.open_conversation(CONTEXT, in_time()))
        with pytest.raises(errors.InvalidRequest):
            await ask(backend)


async def test_a_conversation_goes_on_by_its_context() -> None:
    """And by the task of an agent that asked."""
    asks = streamed(task(), update("INPUT_REQUIRED", "Which?"))
    async with agent_at(asks, streamed(task(), piece("Hi"), DONE)) as (server, backend):
        handle = await backend.create_conversation(in_time())
        assert handle.id == ""
        for text in ("One", "Two", "Three"):
            await ask(backend, handle, text)
        assert handle.id == CONTEXT
        sent = [json.loads(each.body)["params"]["message"] for each in server.requests[1:]]
        assert [(each.get("contextId"), each.get("taskId")) for each in sent] == [
            (None, None),
            (CONTEXT, "t1"),
            (CONTEXT, None),
        ]


@pytest.mark.parametrize("over_stream", [True, False])
async def test_an_agent_that_does_not_stream_is_asked_for_the_whole(*, over_stream: bool) -> None:
    """By its card, or by the setting."""
    answer = whole(response({"task": bare_task("COMPLETED", artifact("Hi"))}))
    async with agent_at(answer, streaming=not over_stream, over_stream=over_stream) as (server, backend):
        assert (await ask(backend)).text == "Hi"
        assert methods(server) == ["SendMessage"]
    async with agent_at(whole(response({"message": message("Hi")})), streaming=False) as (server, backend):
        assert (await ask(backend)).text == "Hi"


async def test_a_json_rpc_error_may_answer_a_stream() -> None:
    """With status 200, as JSON; the token is taken out of its words."""
    async with agent_at(whole(rpc_error(-32602, f"Bad {SECRET}"))) as (server, backend):
        with pytest.raises(errors.InvalidRequest, match="Bad") as caught:
            await ask(backend)
        assert SECRET not in f"{caught.value}{vars(caught.value)}"
        assert len(methods(server)) == 1


async def test_only_text_is_taken() -> None:
    """A picture, and an empty prompt, are refused before anything is sent."""
    async with agent_at() as (server, backend):
        for prompt in (Prompt(" "), Prompt("Hi", images=(Image(url="https://x.example/y.png"),))):
            with pytest.raises(errors.InvalidRequest):
                backend.check_prompt(prompt)
        with pytest.raises(errors.InvalidRequest):
            await backend.list_conversations(in_time())
        with pytest.raises(errors.InvalidRequest):
            await backend.delete_conversation(AgentConversation("c1"), in_time())
        assert server.requests == []


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_slow_answer_is_asked_for_once(*, streaming: bool) -> None:
    """A turn is paid for when it is sent, so no limit makes the client send it again by itself."""
    async with agent_at(silent, streaming=streaming) as (server, _):
        service = WorkIQ(endpoint=server.url("/a2a/"), agent=AGENT, token=SECRET, time_zone="UTC")
        retries = Retries(sleep=Slept())
        async with BingClient(service, timeouts=Timeouts(answer=0.05), retries=retries) as client:
            with pytest.raises(errors.TimedOut) as caught:
                await client.ask("Ask")
        assert caught.value.may_be_charged
        assert len(methods(server)) == 1
        paying = msgspec.structs.replace(retries, attempts=3, resend_metered=True)
        async with BingClient(service, timeouts=Timeouts(answer=0.05), retries=paying) as client:
            with pytest.raises(errors.TimedOut):
                await client.ask("Ask")
        assert len(methods(server)) == 1 + 3
