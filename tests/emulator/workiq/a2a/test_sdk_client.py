"""The client of the official a2a-sdk against the emulator's A2A."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import A2AError, TaskNotFoundError, UnsupportedOperationError, VersionNotSupportedError

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator import Emulator, Scripted
from tests.emulator.workiq.visitor import Waiting

pytestmark = pytest.mark.system


@pytest.fixture
async def http(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    """Connections with the emulator's token."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {emulator.token}"}) as opened:
        yield opened


async def client_of(http: httpx.AsyncClient, base: str, *, streaming: bool = True) -> Client:
    """The SDK's client for the agent whose card is there."""
    card = await A2ACardResolver(http, base).get_agent_card()
    return ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


def request(text: str, **place: Any) -> SendMessageRequest:
    """A turn."""
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER, **place))


async def ask(client: Client, text: str, **place: Any) -> list[StreamResponse]:
    """What a turn is answered."""
    return [response async for response in client.send_message(request(text, **place))]


def text_of(responses: list[StreamResponse]) -> str:
    """The text of the last version of the answer."""
    texts = ["".join(part.text for part in each.artifact_update.artifact.parts) for each in responses]
    return next(text for text in reversed(texts) if text)


@pytest.mark.parametrize("path", ["", "P_researcher.emulator/", "P_writer.emulator/"])
async def test_a_turn(emulator: Emulator, http: httpx.AsyncClient, path: str) -> None:
    """Streamed, with a context that goes on."""
    emulator.brain = Scripted(lambda question: [ev.Progress("Looking"), "You said: ", question.text])
    client = await client_of(http, emulator.a2a_url + path)
    first = await ask(client, "Hi")
    assert first[0].task.status.state == TaskState.TASK_STATE_SUBMITTED
    assert first[1].status_update.status.message.parts[0].text == "Looking"
    appends = path == "P_writer.emulator/"
    assert text_of(first) == ("Hi" if appends else "You said: Hi")
    assert [each.artifact_update.append for each in first[2:4]] == [False, appends]
    assert first[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    context = first[0].task.context_id
    second = await ask(client, "There", context_id=context)
    assert second[0].task.context_id == context


async def test_a_turn_that_is_not_streamed(emulator: Emulator, http: httpx.AsyncClient) -> None:
    """Answered with the whole task."""
    client = await client_of(http, emulator.a2a_url, streaming=False)
    assert emulator.requests[0].kind == "card"
    [response] = await ask(client, "Hi")
    assert response.task.status.state == TaskState.TASK_STATE_COMPLETED
    assert response.task.artifacts[0].parts[0].text == "You said: Hi"


async def test_tasks(emulator: Emulator, http: httpx.AsyncClient) -> None:
    """They are shown, subscribed to and canceled."""
    client = await client_of(http, emulator.a2a_url)
    done = (await ask(client, "Hi"))[0].task.id
    assert (await client.get_task(GetTaskRequest(id=done))).artifacts[0].parts[0].text == "You said: Hi"
    with pytest.raises(UnsupportedOperationError):
        [each async for each in client.subscribe(SubscribeToTaskRequest(id=done))]
    with pytest.raises(TaskNotFoundError):
        await client.get_task(GetTaskRequest(id="unknown"))
    emulator.brain = Waiting()
    states: list[Any] = []
    async for response in client.send_message(request("Wait")):
        if response.HasField("artifact_update"):
            task_id = response.artifact_update.task_id
            async for seen in client.subscribe(SubscribeToTaskRequest(id=task_id)):
                if seen.HasField("task"):
                    assert seen.task.artifacts[0].parts[0].text == "Half an"
                    await client.cancel_task(CancelTaskRequest(id=task_id))
                else:
                    states.append(seen.status_update.status.state)
        elif response.HasField("status_update"):
            states.append(response.status_update.status.state)
    assert states == [TaskState.TASK_STATE_CANCELED] * 2


async def test_an_agent_that_asks(emulator: Emulator, http: httpx.AsyncClient) -> None:
    """The next message goes on with its task."""
    asks = ev.TurnCompleted(ev.Reply(metadata={"state": "TASK_STATE_INPUT_REQUIRED", "question": "Which?"}))
    emulator.brain = Scripted([["Draft", asks], ["Done"]])
    client = await client_of(http, emulator.a2a_url)
    update = (await ask(client, "Write"))[-1].status_update
    assert update.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    said: Message = update.status.message
    assert said.parts[0].text == "Which?"
    rest = await ask(client, "This", context_id=update.context_id, task_id=update.task_id)
    assert rest[0].task.id == update.task_id
    assert text_of(rest) == "Done"


async def test_an_error_is_one_of_the_sdks(emulator: Emulator, http: httpx.AsyncClient) -> None:
    """By its code; one that comes later is a state."""
    client = await client_of(http, emulator.a2a_url)
    emulator.brain = Scripted([[errors.InvalidRequest(service_message="Bad")], ["Some", errors.ServiceError()]])
    with pytest.raises(A2AError, match="Bad"):
        await ask(client, "Hi")
    assert (await ask(client, "Hi"))[-1].status_update.status.state == TaskState.TASK_STATE_FAILED


async def test_version_0_3_is_refused(emulator: Emulator, http: httpx.AsyncClient) -> None:
    """The SDK's own client of that version is told which one is spoken here."""
    client = await client_of(http, f"{emulator.a2a_url}P_clerk.emulator/")  # a card without a version is one of 0.3
    with pytest.raises(VersionNotSupportedError, match=r"1\.0 is spoken here"):
        await ask(client, "Hi")
