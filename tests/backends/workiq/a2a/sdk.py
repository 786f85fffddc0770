"""The server of the official a2a-sdk, with an agent that follows a script: the counterpart of our client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import uvicorn
from a2a.helpers import new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import Event, EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Message,
    SubscribeToTaskRequest,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette

AGENT = "P_4c7a.example agent/1"
"""An id with characters that a path must not have as they are."""


class Work:
    """What a script uses to answer one message.

    Attributes:
        text: What the user said.
        context: The request, with the task that it goes on with.
        updater: Sends what the agent does.
    """

    def __init__(self, context: RequestContext, queue: EventQueue) -> None:
        self.context = context
        self.queue = queue
        self.text = context.get_user_input()
        assert context.task_id is not None
        assert context.context_id is not None
        self.updater = TaskUpdater(queue, context.task_id, context.context_id)

    async def submit(self) -> None:
        """Make the task known."""
        status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
        await self.queue.enqueue_event(Task(id=self.context.task_id, context_id=self.context.context_id, status=status))

    def words(self, text: str) -> Message:
        """A message of the agent."""
        return new_text_message(text, context_id=self.context.context_id, task_id=self.context.task_id)

    async def say(self, text: str, artifact: str = "a1", *, append: bool = False) -> None:
        """More of an artifact, or a new one."""
        await self.updater.add_artifact([new_text_part(text)], artifact_id=artifact, name="Answer", append=append)


Script: TypeAlias = Callable[[Work], Awaitable[None]]


class Agent(AgentExecutor):
    """Follows the script.

    Attributes:
        canceled: Set when a task was canceled.
        subscribed: Set when a connection took up a task again.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.canceled = asyncio.Event()
        self.subscribed = asyncio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message."""
        await self.script(Work(context, event_queue))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """End the task early."""
        self.canceled.set()
        await Work(context, event_queue).updater.cancel()


class Handler(DefaultRequestHandler):
    """The SDK's own, which also notes each subscription."""

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Take up a task."""
        assert isinstance(self.agent_executor, Agent)
        self.agent_executor.subscribed.set()
        async for event in super().on_subscribe_to_task(params, context):
            yield event


def card_of(url: str, *, streaming: bool = True) -> AgentCard:
    """The card of the agent."""
    return AgentCard(
        name="Example agent",
        description="Answers from a script.",
        version="2.1.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=streaming),
        default_input_modes=["text"],
        default_output_modes=["text"],
        skills=[AgentSkill(id="s1", name="Answer", description="Answers.", tags=["test"], examples=["Ask me"])],
    )


@asynccontextmanager
async def serving(script: Script, *, streaming: bool = True) -> AsyncIterator[tuple[str, Agent]]:
    """The SDK's server with this agent; gives the base URL, and the agent."""
    listening = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}/a2a"
    agent = Agent(script)
    card = card_of(f"{base}/rpc", streaming=streaming)
    handler = Handler(agent_executor=agent, task_store=InMemoryTaskStore(), agent_card=card)
    routes = [
        *create_agent_card_routes(card, card_url="/a2a/.well-known/agent-card.json"),
        *create_agent_card_routes(card, card_url="/a2a/{agent:path}/.well-known/agent-card.json"),
        *create_jsonrpc_routes(handler, "/a2a/rpc"),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    running = asyncio.create_task(server._serve([listening]))
    try:
        yield f"{base}/", agent
    finally:
        server.should_exit = True
        await running
        listening.close()
        await handler.aclose()
        for task in asyncio.all_tasks():
            if task.get_coro().__qualname__ == "_shutdown_watcher":  # type: ignore[union-attr]  # of a coroutine
                task.cancel()  # sse-starlette leaves one on each loop, for ever
