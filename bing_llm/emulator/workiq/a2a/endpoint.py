"""The emulator's A2A: cards, and JSON-RPC calls over HTTP (docs/protocol/a2a.md, sections 1 and 4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

import msgspec
from aiohttp import web

from bing_llm import errors
from bing_llm.emulator import http_faults
from bing_llm.emulator.brains.base import Question
from bing_llm.emulator.conversations import Conversation, signature_fits
from bing_llm.emulator.fault_plan import Step as FaultStep
from bing_llm.emulator.faults import WIRE_FAULTS, Late
from bing_llm.emulator.received import Kind, Received, received_of
from bing_llm.emulator.request_log import log_frame
from bing_llm.emulator.state import State
from bing_llm.emulator.wire import new_id
from bing_llm.emulator.workiq import shapes as workiq_shapes
from bing_llm.emulator.workiq.a2a import shapes
from bing_llm.emulator.workiq.a2a.agents import COPILOT, Agent, card_of, path_of
from bing_llm.emulator.workiq.a2a.requests import (
    NO_TASK,
    NOT_CANCELABLE,
    UNSUPPORTED,
    Call,
    RpcError,
    Sent,
    read_call,
    read_message,
    read_task_id,
)
from bing_llm.emulator.workiq.a2a.shapes import ResultWriter
from bing_llm.emulator.workiq.a2a.tasks import TERMINAL, Ended, First, Step, Task, Tasks
from bing_llm.emulator.workiq.a2a.turn import TurnSteps
from bing_llm.emulator.workiq.requests import ChatBody
from bing_llm.emulator.workiq.transport import Play, RunningTurn, answer_in_events, answer_whole
from bing_llm.emulator.workiq.turn import Outgoing

_WELL_KNOWN = ".well-known/agent-card.json"

_KINDS: Mapping[str, Kind] = {
    "SendMessage": "chat",
    "SendStreamingMessage": "chat",
    "SubscribeToTask": "subscription",
    "GetTask": "task",
    "CancelTask": "stop",
}
_FAULT_STEPS: Mapping[str, FaultStep] = {"SubscribeToTask": "subscription", "GetTask": "task"}


class A2A:
    """The handlers.

    Args:
        state: The emulator's.
        agents: The agents by their ids; Copilot itself has none.
    """

    def __init__(self, state: State, agents: Mapping[str, Agent]) -> None:
        self._state = state
        self._agents = agents
        self._tasks = Tasks()
        self._running: set[RunningTurn] = set()

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is. Copilot is asked with and without a slash at the end; both are documented."""
        return [
            web.get(f"/a2a/{_WELL_KNOWN}", self.card),
            web.get(f"/a2a/{{agent}}/{_WELL_KNOWN}", self.card),
            *(web.post(path, self.call) for path in ("/a2a", "/a2a/", "/a2a/{agent}", "/a2a/{agent}/")),
        ]

    def abort(self) -> None:
        """Break all connections, and end all tasks."""
        for turn in self._running:
            turn.abort()
        self._tasks.abandon()

    # --- cards ------------------------------------------------------------------------------------------------------

    async def card(self, request: web.Request) -> web.StreamResponse:
        """What an agent says of itself."""
        received = self._receive(request, "card", b"")
        try:
            agent_id, agent = self._authorize(request)
            what = self._state.plan.fault_at("a2a", "creation", received.hit)
            if isinstance(what, errors.BingError):
                raise what
        except errors.ProtocolError:
            return workiq_shapes.json_response(workiq_shapes.TORN.encode())
        except errors.BingError as refusal:
            received.fail(refusal)
            return workiq_shapes.error_response(refusal, request, self._state.clock)

        def answer() -> web.Response:
            url = f"{request.scheme}://{request.host}{path_of(agent_id)}"
            return workiq_shapes.json_response(card_of(agent, url))

        if isinstance(what, WIRE_FAULTS):
            return await http_faults.play(what, self._state, request, answer)
        return answer()

    def _authorize(self, request: web.Request) -> tuple[str | None, Agent]:
        """The agent that is asked, if the token is right and there is such an agent."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not signature_fits(self._state.token, token):
            raise errors.Unauthorized
        agent_id = request.match_info.get("agent")
        if agent_id is None:
            return None, COPILOT
        agent = self._agents.get(agent_id)
        if agent is None:
            raise errors.SessionExpired(service_message=f"There is no agent '{agent_id}'.")  # status 404
        return agent_id, agent

    # --- calls ------------------------------------------------------------------------------------------------------

    async def call(self, request: web.Request) -> web.StreamResponse:
        """One JSON-RPC call."""
        raw = await request.read()
        request_id: object = None
        try:
            agent_id, agent = self._authorize(request)
            call = read_call(raw, request.headers.get("A2A-Version"))
            request_id = call.id
            return await self._answer(request, raw, call, agent_id, agent)
        except RpcError as refusal:
            received_of(request).fail(refusal.message)
            refused = refusal.request_id if request_id is None else request_id
            return workiq_shapes.json_response(shapes.error(refused, refusal.code, refusal.message))
        except errors.BingError as failure:
            received_of(request).fail(failure)
            return shapes.refusal(failure, request_id, request, self._state.clock)

    async def _answer(
        self, request: web.Request, raw: bytes, call: Call, agent_id: str | None, agent: Agent
    ) -> web.StreamResponse:
        if call.method in {"SendMessage", "SendStreamingMessage"}:
            return await self._take_turn(request, raw, call, agent_id, agent)
        received = self._receive(request, _KINDS[call.method], raw)
        step = _FAULT_STEPS.get(call.method)
        what = None if step is None else self._state.plan.fault_at("a2a", step, received.hit)
        if isinstance(what, errors.BingError):
            raise what
        if isinstance(what, WIRE_FAULTS):
            return await http_faults.play(what, self._state, request, web.Response)
        task = self._find(call, read_task_id(call), agent_id)
        received.conversation_id = task.context_id
        writer = ResultWriter(task, appends=agent.appends, clock=self._state.clock)
        if call.method == "SubscribeToTask":
            if not (agent.streaming and task.is_running):
                raise RpcError(UNSUPPORTED, "This task cannot be subscribed to.")
            followed = self._followed(task, writer, call, received, is_first=False)
            return await self._play(request, call, followed, answer_in_events)
        if call.method == "CancelTask":
            if task.state in TERMINAL:
                raise RpcError(NOT_CANCELABLE, "The task has ended.")
            await task.cancel()
        return workiq_shapes.json_response(shapes.response(call.id, writer.task()))

    def _find(self, call: Call, task_id: str, agent_id: str | None) -> Task:
        task = self._tasks.find(task_id)
        if task is None or task.agent_id != agent_id:
            raise RpcError(NO_TASK, f"There is no task '{task_id}'.", call.id)
        return task

    # --- turns ------------------------------------------------------------------------------------------------------

    async def _take_turn(
        self, request: web.Request, raw: bytes, call: Call, agent_id: str | None, agent: Agent
    ) -> web.StreamResponse:
        streaming = call.method == "SendStreamingMessage"
        try:
            sent = read_message(call)
        except RpcError:
            self._receive(request, "chat", raw)
            raise
        received = self._receive(request, "chat", raw, chat=sent.chat, conversation_id=sent.context_id)
        what = self._state.plan.fault_at("a2a", "request", received.hit)
        if isinstance(what, Late):
            await http_faults.wait(self._state, request, what.seconds)
        elif isinstance(what, WIRE_FAULTS):
            return await http_faults.play(what, self._state, request, web.Response)
        if streaming and not agent.streaming:
            raise RpcError(UNSUPPORTED, "This agent does not stream.")
        if sent.chat.characters > self._state.context_limit:
            raise errors.PromptTooLong
        conversation, task = self._place(sent, call, agent_id)
        received.conversation_id, received.turn = conversation.id, len(conversation.turns) + 1
        question = Question(
            text=sent.chat.message.text,
            context=sent.chat.context,
            history=tuple(conversation.turns),
            conversation_id=conversation.id,
            number=len(conversation.turns),
            agent=agent_id or "",
        )
        running = TurnSteps(self._state, conversation, question, received).steps()
        writer = ResultWriter(task, appends=agent.appends, clock=self._state.clock)
        outgoing = self._begun(call, task, running, writer, received)
        return await self._play(request, call, outgoing, answer_in_events if streaming else answer_whole)

    def _place(self, sent: Sent, call: Call, agent_id: str | None) -> tuple[Conversation, Task]:
        """The conversation and the task that a message belongs to: those that it names, or new ones."""
        conversations = self._state.a2a_conversations
        if sent.task_id:
            task = self._find(call, sent.task_id, agent_id)
            if task.is_running or task.state in TERMINAL:
                raise RpcError(UNSUPPORTED, "The task does not wait for a message.")
        else:
            task = Task(sent.context_id or new_id(), agent_id)
        conversation = conversations.find(task.context_id)
        if conversation is None:
            if sent.context_id:
                raise errors.SessionExpired(service_message=conversations.expired_text(sent.context_id))
            conversation = conversations.add(task.context_id)
        if len(conversation.turns) >= conversation.turn_limit:
            raise errors.TurnLimitReached
        return conversation, task

    async def _begun(
        self, call: Call, task: Task, running: AsyncGenerator[First, None], writer: ResultWriter, received: Received
    ) -> AsyncGenerator[Outgoing, None]:
        """What answers a turn: what hits it before its task is named, then the task."""
        first: Step | None = None
        try:
            while first is None:
                step = await anext(running, None)
                if step is None:
                    return
                if isinstance(step, (errors.BingError, *WIRE_FAULTS)):
                    yield step
                else:
                    first = step
        finally:
            if first is None:  # else it is the task's to close
                await running.aclose()
        task.begin(first, running)
        self._tasks.add(task)
        async with aclosing(self._followed(task, writer, call, received, is_first=True)) as followed:
            async for outgoing in followed:
                yield outgoing

    async def _followed(
        self, task: Task, writer: ResultWriter, call: Call, received: Received, *, is_first: bool
    ) -> AsyncGenerator[Outgoing, None]:
        """The task, and what follows; of a call that is answered whole, the task at its end.

        A fault of the wire hits the connection that the message came by, which is the first.
        """
        streaming = call.method != "SendMessage"
        opening = writer.opening()
        async with aclosing(task.follow(task.place)) as steps:
            if streaming:
                yield shapes.response(call.id, opening)
            async for step in steps:
                if isinstance(step, WIRE_FAULTS):
                    if is_first:
                        yield step
                    continue
                received.answered = isinstance(step, Ended)
                if streaming:
                    for result in writer.write(step):
                        yield shapes.response(call.id, result)
        if not streaming:
            yield shapes.response(call.id, {"task": writer.task()})

    async def _play(
        self, request: web.Request, call: Call, outgoing: AsyncGenerator[Outgoing, None], play: Play
    ) -> web.StreamResponse:
        turn = RunningTurn(request, play(request, outgoing, partial(self._refused, request, call), self._state))
        self._running.add(turn)
        try:
            return await turn.run()
        finally:
            self._running.discard(turn)

    def _refused(self, request: web.Request, call: Call, failure: errors.BingError) -> web.Response:
        received_of(request).fail(failure)
        return shapes.refusal(failure, call.id, request, self._state.clock)

    def _receive(
        self, request: web.Request, kind: Kind, raw: bytes, *, chat: ChatBody | None = None, conversation_id: str = ""
    ) -> Received:
        body = _decoded(raw)
        received = self._state.receive(request, kind, body=body, conversation_id=conversation_id, chat_body=chat)
        log_frame(self._state, received, "received", raw)
        return received


def _decoded(raw: bytes) -> object:
    """The JSON of a body; None if it is not JSON."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
