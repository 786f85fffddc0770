"""The emulator's A2A over HTTP, with nothing of our own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Agent, Cut, Emulator, Fault, HttpAnswer, PastTurn, Question, Scripted
from tests.backends.serving import GRACE_S
from tests.emulator.workiq.visitor import PATIENCE_S, Answered, Waiting


class A2AVisitor:
    """Talks to the A2A of one emulator."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.http = http

    def headers(self, **changes: str | None) -> dict[str, str]:
        """What each request has; None leaves one out."""
        usual = {"Authorization": f"Bearer {self.emulator.token}", "A2A-Version": "1.0"}
        renamed = {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in {**usual, **renamed}.items() if value is not None}

    async def card(self, path: str = "", **headers: str | None) -> Answered:
        """The card at this path."""
        url = f"{self.emulator.a2a_url}{path}.well-known/agent-card.json"
        async with self.http.get(url, headers=self.headers(**headers)) as answered:
            return Answered(answered.status, answered.headers, await answered.read())

    def request(self, sent: Any, path: str = "", **headers: str | None) -> Any:
        """One POST, as a context manager; bytes are sent as they are."""
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return self.http.post(
            f"{self.emulator.a2a_url}{path}",
            data=content,
            headers=self.headers(**headers),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )

    async def post(self, sent: Any, path: str = "", **headers: str | None) -> Answered:
        """What one POST is answered."""
        async with self.request(sent, path, **headers) as answered:
            return Answered(answered.status, answered.headers, await answered.read())

    async def listen(self, sent: Any, given: list[Any], act: Callable[[Any], object] = lambda result: result) -> None:
        """Add the results of a stream as they come, and act on each."""
        async with self.request(sent) as answered:
            async for line in answered.content:
                if line.startswith(b"data: "):
                    given.append(json.loads(line.removeprefix(b"data: "))["result"])
                    act(given[-1])

    async def results(self, sent: Any, path: str = "") -> list[Any]:
        """The results of a stream."""
        return [event["result"] for event in (await self.post(sent, path)).events]


def call(method: str, request_id: Any = "r1", **params: Any) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def message(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """The least that a message has."""
    return {"role": "ROLE_USER", "messageId": "m1", "parts": [{"text": text}], **fields}


def stream(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """A turn that is streamed."""
    return call("SendStreamingMessage", message=message(text, **fields))


@pytest.fixture
async def a2a(emulator: Emulator) -> AsyncIterator[A2AVisitor]:
    """Talks to the A2A of `emulator`."""
    async with aiohttp.ClientSession() as http:
        yield A2AVisitor(emulator, http)


def error_of(answered: Answered) -> tuple[int, str]:
    """The code and the message of a JSON-RPC error."""
    assert answered.status == 200
    error = answered.json["error"]
    return error["code"], error["message"]


def text_of(result: Any) -> str:
    """The text of an artifact update, or of a task."""
    artifacts = [result["artifactUpdate"]["artifact"]] if "artifactUpdate" in result else result["artifacts"]
    return "".join(part["text"] for artifact in artifacts for part in artifact["parts"])


# --- cards ------------------------------------------------------------------------------------------------------------


async def test_copilot_has_its_documented_card(a2a: A2AVisitor) -> None:
    """With the URL that it is asked at, without a slash at the end."""
    card = (await a2a.card()).json
    base = a2a.emulator.a2a_url.rstrip("/")
    assert card["name"] == "Microsoft Copilot"
    assert card["supportedInterfaces"] == [{"url": base, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    assert card["capabilities"] == {"streaming": True, "pushNotifications": False}


async def test_each_agent_has_a_card(a2a: A2AVisitor) -> None:
    """In one form or the other; an unknown agent has none."""
    for agent_id, agent in a2a.emulator.agents.items():
        card = (await a2a.card(f"{agent_id}/")).json
        url = card["url"] if agent.old_card else card["supportedInterfaces"][0]["url"]
        assert url == f"{a2a.emulator.a2a_url}{agent_id}/"
        assert card["capabilities"]["streaming"] is agent.streaming
    assert (await a2a.card("P_nobody/")).status == 404
    assert (await a2a.post(stream(), "P_nobody/")).status == 404


async def test_agents_may_be_given() -> None:
    """With ids that a path must not have as they are."""
    odd = "a/b ?#ä"
    agents = {odd: Agent(name="Odd", skills={"s": "x"}, url="https://elsewhere.example")}
    async with Emulator(agents=agents) as emulator, aiohttp.ClientSession() as http:
        assert [*emulator.agents] == [odd]
        card = (await A2AVisitor(emulator, http).card("a%2Fb%20%3F%23%C3%A4/")).json
        assert card["supportedInterfaces"][0]["url"] == "https://elsewhere.example"
        assert [skill["name"] for skill in card["skills"]] == ["s"]


async def test_a_token_is_wanted(a2a: A2AVisitor) -> None:
    """For cards and for calls."""
    for token in (None, "Bearer wrong", f"Basic {a2a.emulator.token}"):
        assert (await a2a.card(Authorization=token)).status == 401
        assert (await a2a.post(stream(), Authorization=token)).status == 401


# --- turns ------------------------------------------------------------------------------------------------------------


async def test_a_turn_is_a_task(a2a: A2AVisitor) -> None:
    """The task as it was taken, the answer as it grows, and the state that proves the end."""
    a2a.emulator.brain = Scripted([[ev.Progress("Hm"), "One", " two"]])
    first, said, one, two, last = await a2a.results(stream())
    task = first["task"]
    assert task["status"]["state"] == "TASK_STATE_SUBMITTED"
    assert (said["statusUpdate"]["status"]["state"], text_of(one), text_of(two)) == (
        "TASK_STATE_WORKING",
        "One",
        "One two",
    )
    assert said["statusUpdate"]["status"]["message"]["parts"] == [{"text": "Hm"}]
    assert not two["artifactUpdate"]["append"]
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    for result in (said, one, two, last):
        [update] = result.values()
        assert (update["taskId"], update["contextId"]) == (task["id"], task["contextId"])


async def test_an_agent_may_append(a2a: A2AVisitor) -> None:
    """Then each update is what is new."""
    a2a.emulator.brain = Scripted([["One", " two", ev.TextRevised("Three")]])
    _, one, two, three, _ = await a2a.results(stream(), "P_writer.emulator/")
    updates = [(text_of(each), each["artifactUpdate"]["append"]) for each in (one, two, three)]
    assert updates == [("One", False), (" two", True), ("Three", False)]


async def test_a_turn_may_be_answered_whole(a2a: A2AVisitor) -> None:
    """By an agent that does not stream, which refuses to; and by one that does."""
    for path in ("", "P_clerk.emulator/"):
        answered = await a2a.post(call("SendMessage", message=message("Hi")), path)
        task = answered.json["result"]["task"]
        assert text_of(task) == "You said: Hi"
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert error_of(await a2a.post(stream(), "P_clerk.emulator/"))[0] == -32004


async def test_a_context_goes_on(a2a: A2AVisitor) -> None:
    """A brain sees what was said in it, and which agent is asked."""
    asked: list[Question] = []

    def say(question: Question) -> list[str]:
        asked.append(question)
        return ["Yes"]

    a2a.emulator.brain = Scripted(say)
    path = "P_researcher.emulator/"
    first = await a2a.results(stream("[user](#message)\nOne\n\n[user](#message)\nTwo"), path)
    context = first[0]["task"]["contextId"]
    await a2a.results(stream("Three", contextId=context), path)
    assert [(each.text, each.context, each.number, each.agent) for each in asked] == [
        ("Two", "[user](#message)\nOne\n\n", 0, "P_researcher.emulator"),
        ("Three", "", 1, "P_researcher.emulator"),
    ]
    assert asked[1].history == (PastTurn("Two", "Yes", "[user](#message)\nOne\n\n"),)
    assert asked[1].conversation_id == context
    assert (await a2a.post(stream(contextId="unknown"), path)).status == 404


async def test_an_agent_may_ask(a2a: A2AVisitor) -> None:
    """The next message goes on with the task, if it is one that waits for it."""
    asks = ev.TurnCompleted(ev.Reply(metadata={"state": "TASK_STATE_INPUT_REQUIRED", "question": "Which?"}))
    a2a.emulator.brain = Scripted([["Draft", asks], ["Done"]])
    *_, last = await a2a.results(stream())
    update = last["statusUpdate"]
    assert update["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert update["status"]["message"]["parts"] == [{"text": "Which?"}]
    place = {"contextId": update["contextId"], "taskId": update["taskId"]}
    first, *_ = await a2a.results(stream("This", **place))
    assert first["task"]["id"] == update["taskId"]
    assert text_of(first["task"]) == "Draft"
    task = (await a2a.post(call("GetTask", id=update["taskId"]))).json["result"]
    assert [part["text"] for each in task["artifacts"] for part in each["parts"]] == ["Draft", "Done"]
    assert error_of(await a2a.post(stream("Again", **place)))[0] == -32004
    assert error_of(await a2a.post(stream("Again", taskId="unknown")))[0] == -32001


FOUND = ev.SearchResults((ev.SearchResult("A", "https://a.example/x y"),))


@pytest.mark.parametrize("path", ["", "P_writer.emulator/"])
async def test_a_text_cites_by_links(a2a: A2AVisitor, path: str) -> None:
    """It cites as live answers do if the sources are known by then; half a marker waits for the rest."""
    a2a.emulator.brain = Scripted([[FOUND, "Yes[", "^1^]", "."]])
    results = await a2a.results(stream(), path)
    texts = [text_of(each) for each in results if "artifactUpdate" in each]
    link = f"[1]({texts[1][texts[1].index('(') + 1 : texts[1].index(')')]})"
    assert link.startswith("[1](https://a.example/x%20y#")
    assert texts == (["Yes", link, "."] if path else ["Yes", f"Yes{link}", f"Yes{link}."])


async def test_a_text_cites_as_in_the_documents_where_that_is_asked_for() -> None:
    """By notes, as it does if its sources come after them."""
    cited = ev.TurnCompleted(ev.Reply(citations=(ev.Citation(1, "https://a.example", "A"),)))
    brain = Scripted([[FOUND, "Yes[^1^]"], ["Yes[^1^]", cited]])
    async with Emulator(brain, shapes="documented") as emulator, aiohttp.ClientSession() as http:
        for _ in range(2):
            *_, one, _ = await A2AVisitor(emulator, http).results(stream())
            assert text_of(one) == "Yes[^1^]"


async def test_the_last_status_has_the_sources(a2a: A2AVisitor) -> None:
    """With values in other capitals than over REST."""
    cited = ev.TurnCompleted(ev.Reply(citations=(ev.Citation(1, "https://a.example", "A"),)))
    a2a.emulator.brain = Scripted([["Yes[^1^]", cited]])
    *_, last = await a2a.results(stream())
    [attribution] = last["statusUpdate"]["status"]["message"]["metadata"]["attributions"]
    assert attribution["attributionType"] == "Citation"
    assert (attribution["providerDisplayName"], attribution["seeMoreWebUrl"]) == ("A", "https://a.example")


@pytest.mark.parametrize(
    ("output", "state"),
    [
        (errors.ServiceError(service_message="No"), "FAILED"),
        (errors.ContentFiltered(service_message="No"), "REJECTED"),
        (errors.ConversationEnded(service_message="No"), "REJECTED"),
        (errors.Unauthorized(service_message="No"), "AUTH_REQUIRED"),
        (ev.TextRevoked("No"), "COMPLETED"),
    ],
)
async def test_a_task_says_how_it_failed(a2a: A2AVisitor, output: Any, state: str) -> None:
    """After it began; an answer that is taken back is empty at the end."""
    a2a.emulator.brain = Scripted([["Some", output]])
    *_, before, last = await a2a.results(stream())
    status = last["statusUpdate"]["status"]
    assert (status["state"], status["message"]["parts"]) == (f"TASK_STATE_{state}", [{"text": "No"}])
    assert text_of(before) == ("" if state == "COMPLETED" else "Some")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequest(), 200, -32602),
        (errors.InvalidRequest(value="400"), 400, None),
        (errors.InvalidRequest(value="-32005"), 200, -32005),
        (errors.ServiceError(), 200, -32603),
        (errors.ServiceError(value="503"), 503, None),
        (errors.SessionExpired(), 404, None),
        (errors.SessionExpired(value="-32001"), 200, -32001),
        (errors.TurnLimitReached(), 200, -32602),
        (errors.PromptTooLong(), 413, None),
        (errors.ConversationBusy(), 409, None),
        (errors.Throttled(retry_after=7), 429, None),
        (errors.Unauthorized(), 401, None),
    ],
)
async def test_a_turn_that_has_not_begun_is_refused(
    a2a: A2AVisitor, error: errors.BingError, status: int, code: int | None
) -> None:
    """By a status, or by a JSON-RPC error; no task is made."""
    a2a.emulator.brain = Scripted([[error]])
    answered = await a2a.post(stream())
    assert answered.status == status
    if code is not None:
        assert error_of(answered)[0] == code
        assert answered.json["id"] == "r1"


async def test_the_limits_of_the_emulator_hold() -> None:
    """Of turns, and of what a turn may hold."""
    async with Emulator(turn_limit=1, context_limit=100) as emulator, aiohttp.ClientSession() as http:
        a2a = A2AVisitor(emulator, http)
        assert (await a2a.post(stream("x" * 101))).status == 413
        [first, *_] = await a2a.results(stream("Hi"))
        assert error_of(await a2a.post(stream("Hi", contextId=first["task"]["contextId"])))[0] == -32602


# --- tasks ------------------------------------------------------------------------------------------------------------


async def test_a_task_runs_on_without_its_connection(a2a: A2AVisitor) -> None:
    """Another connection may take it up: the first result is the task as it is."""
    a2a.emulator.faults = [Fault(Cut(), "mid", after=1)]
    gate = asyncio.Event()

    class Slow:
        async def answer(self, _question: Question) -> AsyncIterator[ev.Event]:
            yield ev.TextDelta("One")
            await gate.wait()
            yield ev.TextDelta(" two")

    a2a.emulator.brain = Slow()
    given: list[Any] = []
    with pytest.raises(aiohttp.ClientError):
        await a2a.listen(stream(), given)
    task_id = given[0]["task"]["id"]
    running = (await a2a.post(call("GetTask", id=task_id))).json["result"]
    assert (running["status"]["state"], text_of(running)) == ("TASK_STATE_WORKING", "One")
    given.clear()
    await a2a.listen(call("SubscribeToTask", id=task_id), given, lambda _: gate.set())
    first, two, last = given
    assert (text_of(first["task"]), text_of(two)) == ("One", "One two")
    assert last["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert error_of(await a2a.post(call("SubscribeToTask", id=task_id)))[0] == -32004


async def test_a_task_can_be_canceled(a2a: A2AVisitor) -> None:
    """Its brain is closed, and its stream ends with that state."""
    a2a.emulator.brain = brain = Waiting()
    async with a2a.request(stream()) as answered:
        results: list[Any] = []
        async for line in answered.content:
            if line.startswith(b"data: "):
                results.append(json.loads(line[6:])["result"])
                if len(results) == 2:
                    canceled = await a2a.post(call("CancelTask", id=results[0]["task"]["id"]))
                    assert canceled.json["result"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert results[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    await asyncio.wait_for(brain.closed.wait(), GRACE_S)
    assert error_of(await a2a.post(call("CancelTask", id=results[0]["task"]["id"])))[0] == -32002


async def test_an_unknown_task_is_refused(a2a: A2AVisitor) -> None:
    """Also one of another agent."""
    [first, *_] = await a2a.results(stream())
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        assert error_of(await a2a.post(call(method, id="unknown")))[0] == -32001
        assert error_of(await a2a.post(call(method, id=first["task"]["id"]), "P_writer.emulator/"))[0] == -32001


async def test_faults_hit_the_calls_about_a_task(a2a: A2AVisitor) -> None:
    """And the card, and the request of a turn."""
    a2a.emulator.faults = [
        Fault(errors.InvalidRequest(), "subscription"),
        Fault(HttpAnswer(503), "task"),
        Fault(errors.ServiceError(), "creation"),
        Fault(HttpAnswer(502), "request"),
    ]
    assert error_of(await a2a.post(call("SubscribeToTask", id="x")))[0] == -32602
    assert (await a2a.post(call("GetTask", id="x"))).status == 503
    assert (await a2a.card()).status == 500
    assert (await a2a.post(stream())).status == 502
    assert a2a.emulator.faults == []


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["message/send", "message/stream", "tasks/get", "SendStreamingMessage"])
async def test_version_0_3_is_told_that_1_0_is_spoken(a2a: A2AVisitor, method: str) -> None:
    """By its names, and without the header."""
    answered = await a2a.post(call(method, message=message()), A2A_Version=None)
    code, said = error_of(answered)
    assert code == -32601
    assert "A2A 1.0 is spoken here" in said
    assert answered.json["id"] == "r1"


@pytest.mark.parametrize(("version", "code"), [("0.3", -32009), ("2.0", -32009), ("", -32009), ("1.0.1", None)])
async def test_the_header_names_the_version(a2a: A2AVisitor, version: str, code: int | None) -> None:
    """Major and minor; the patch does not matter."""
    answered = await a2a.post(call("SendMessage", message=message()), A2A_Version=version)
    if code is None:
        assert "result" in answered.json
    else:
        assert error_of(answered)[0] == code
        assert "1.0 is spoken here" in error_of(answered)[1]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        ([], -32600),
        ({"jsonrpc": "2.0", "method": "GetTask"}, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "GetTask"}, -32600),
        (call("ListTasks"), -32601),
        (call("GetTask"), -32602),
        (call("GetTask", id=7), -32602),
        (call("SendMessage"), -32602),
        (call("SendMessage", message={**message(), "role": "user"}), -32602),
        (call("SendMessage", message={**message(), "messageId": ""}), -32602),
        (call("SendMessage", message={**message(), "parts": []}), -32602),
        (call("SendMessage", message={**message(), "parts": [{"text": "a", "url": "b"}]}), -32602),
        (call("SendMessage", message={**message(), "parts": [{"kind": "text"}]}), -32602),
        (call("SendMessage", message={**message(), "parts": [{"url": "https://x.example"}]}), -32602),
        (call("SendMessage", message=message(metadata={"Location": {"timeZone": "W. Europe Standard Time"}})), -32602),
        (call("SendMessage", message=message(metadata={"Location": {"timeZoneOffset": "1"}})), -32602),
    ],
)
async def test_what_is_not_valid_is_refused(a2a: A2AVisitor, sent: Any, code: int) -> None:
    """The code of the error is the one that the specification names."""
    assert error_of(await a2a.post(sent))[0] == code


async def test_requests_are_noted(a2a: A2AVisitor) -> None:
    """For assertions: what was asked for, and what was said."""
    a2a.emulator.clear()
    await a2a.card()
    [first, *_] = await a2a.results(stream("Hi", contextId=""))
    await a2a.post(call("GetTask", id=first["task"]["id"]))
    await a2a.post(call("CancelTask", id=first["task"]["id"]))
    await a2a.post(stream(""))
    noted = [(each.kind, each.path, each.text) for each in a2a.emulator.requests]
    assert noted == [
        ("card", "/a2a/.well-known/agent-card.json", ""),
        ("chat", "/a2a/", "Hi"),
        ("task", "/a2a/", ""),
        ("stop", "/a2a/", ""),
        ("chat", "/a2a/", ""),
    ]


async def test_it_ends_with_what_runs() -> None:
    """An emulator that is closed leaves no task, whoever listens."""
    brain = Waiting()
    async with aiohttp.ClientSession() as http:
        async with Emulator(brain) as emulator:
            answered = await A2AVisitor(emulator, http).request(stream())
            await answered.content.readline()
        await asyncio.wait_for(brain.closed.wait(), GRACE_S)
        answered.close()
