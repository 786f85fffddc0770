"""The emulator: a server on this machine that speaks the ChatHub and Work IQ."""

from __future__ import annotations

import os
import secrets
import socket as sockets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

from aiohttp import web

from bing_llm._guard import cannot_listen
from bing_llm.emulator.brains.base import Brain
from bing_llm.emulator.brains.rules import Obedient
from bing_llm.emulator.chathub.rest import Rest
from bing_llm.emulator.chathub.session import Session
from bing_llm.emulator.control import Control
from bing_llm.emulator.conversations import Conversations
from bing_llm.emulator.fault_plan import Fault, FaultPlan, Faults
from bing_llm.emulator.faults import WIRE_FAULTS
from bing_llm.emulator.guard import Guard
from bing_llm.emulator.http_faults import play
from bing_llm.emulator.received import Received, received_of
from bing_llm.emulator.request_log import recorder, server_log
from bing_llm.emulator.script import Script
from bing_llm.emulator.state import State
from bing_llm.emulator.workiq.a2a.agents import AGENTS, Agent
from bing_llm.emulator.workiq.a2a.endpoint import A2A
from bing_llm.emulator.workiq.rest import WorkIQ
from bing_llm.errors import ConfigurationError
from bing_llm.limits import DEFAULT_LIMITS
from bing_llm.sync import run

TURN_LIMIT = 30  # of the last recordings (02)
LIFETIME_S = 21_600.0  # 6 hours, as the service says when it refuses an expired conversation (04)
CONTEXT_LIMIT = 32_000  # about 8,000 tokens, where the socket was seen to close (docs/protocol/chathub.md, section b)
PING_INTERVAL_S = 15.0  # the default of SignalR servers
_CLOSE_TIMEOUT_S = 2.0  # for the client's close frame; it is on this machine
_SHUTDOWN_TIMEOUT_S = 5.0  # for HTTP calls that still run; sockets and turns are broken first


class Emulator:
    """A ChatHub and Work IQ server for tests and trials; `async with Emulator() as emulator` starts and stops it.

    In synchronous code, `with Emulator() as emulator` runs it on the background loop of `bing_llm.sync`.

    Attributes:
        requests: What it was sent, in order: the last 1,000, so that one that runs for long does not grow with them.
        token: The bearer token that Work IQ takes; another one from the next request on, when it is set.

    Args:
        brain: Where its answers come from; None for `Obedient`.
        host: The address to listen on. Loopback, because its signatures do not protect it.
        port: The port to listen on; 0 takes a free one.
        turn_limit: Turns of each conversation.
        lifetime: How long a conversation lives after its last turn, in seconds.
        context_limit: The longest prompt and context together, in characters; on a longer one the socket closes, and
            Work IQ answers with status 413.
        ping_interval: How long nothing is sent before a ping, in seconds. Work IQ has none but
            in a `Silence` with pings.
        signatures: Where the creation puts its signatures: `headers` as since October 2023, or one in the `body` as
            before.
        faults: What goes wrong, and where. A list of `Fault` is used up in its order, as the steps of its faults come
            by: `[Fault(HttpAnswer(503), "creation"), Fault(Cut(), "mid", turn=2, after=3)]` answers the first creation
            with 503, and breaks the connection of the second turn after three pieces of its answer. Or a function that
            is given each `FaultPoint` and returns what goes wrong there, None for nothing: for faults by chance.
        token: The bearer token that Work IQ takes; None makes a random one.
        allowed_hosts: Names by which it may be reached, besides those of loopback and `host`. Any other `Host` is
            refused, because a web page may let its own name lead to this machine.
        allowed_origins: Origins of web pages that may use it, besides those of the services themselves.
        shapes: How Work IQ cites: as in live answers, by links in the text and a map of references, or as in
            the documents, by markers `[^n^]` and a list of attributions (docs/protocol/workiq.md, sections 12 and 5).
            Over A2A, the attributions are there in both cases.
        agents: The agents of Work IQ by their ids, which A2A serves; None for three that differ in how they answer.
        clock: The time, in seconds since 1970.

    Raises:
        ConfigurationError: A limit is not above zero, the token is empty, a host or an origin is not one, or `faults`
            is neither a list of `Fault` nor a function.
    """

    def __init__(
        self,
        brain: Brain | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        turn_limit: int = TURN_LIMIT,
        lifetime: float = LIFETIME_S,
        context_limit: int = CONTEXT_LIMIT,
        ping_interval: float = PING_INTERVAL_S,
        signatures: Literal["headers", "body"] = "headers",
        faults: Faults = (),
        token: str | None = None,
        allowed_hosts: Sequence[str] = (),
        allowed_origins: Sequence[str] = (),
        shapes: Literal["observed", "documented"] = "observed",
        agents: Mapping[str, Agent] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = {
            "turn_limit": turn_limit,
            "lifetime": lifetime,
            "context_limit": context_limit,
            "ping_interval": ping_interval,
        }
        for name, value in limits.items():
            if not value > 0:
                raise ConfigurationError(f"{name} is {value}; it must be above 0.")
        if shapes not in {"observed", "documented"}:
            raise ConfigurationError(f"shapes is {shapes!r}; it must be observed or documented.")
        if token is not None and not token:
            raise ConfigurationError("token is empty.", hint="Pass the token that clients must send.")
        self._guard = Guard(host, allowed_hosts, allowed_origins)
        self._host = host
        self._port = port
        own_brain = Obedient() if brain is None else brain
        self._state = State(
            brain=own_brain,
            own_brain=own_brain,
            conversations=Conversations(turn_limit=turn_limit, lifetime=lifetime, clock=clock),
            workiq_conversations=Conversations(turn_limit=turn_limit, lifetime=lifetime, clock=clock),
            a2a_conversations=Conversations(turn_limit=turn_limit, lifetime=lifetime, clock=clock),
            clock=clock,
            turn_limit=turn_limit,
            lifetime=lifetime,
            context_limit=context_limit,
            ping_interval=ping_interval,
            signed_in_body=signatures == "body",
            plan=FaultPlan(faults),
            token=secrets.token_urlsafe(24) if token is None else token,
            documented=shapes == "documented",
        )
        self._workiq = WorkIQ(self._state)
        self._agents = AGENTS if agents is None else agents
        self._a2a = A2A(self._state, self._agents)
        self._sessions: set[Session] = set()
        self._runner: web.AppRunner | None = None
        self._pid = 0
        self._address: tuple[str, int] | None = None

    def __repr__(self) -> str:
        where = "not started" if self._address is None else self.url
        return f"Emulator({where}, brain={type(self.brain).__name__})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        run(self.start())
        return self

    def __exit__(self, *exc_info: object) -> None:
        run(self.aclose())

    @property
    def url(self) -> str:
        """The base URL, for `BingClient(backend="chathub", endpoint=...)`.

        Raises:
            ConfigurationError: It is not running.
        """
        if self._address is None:
            raise ConfigurationError("The emulator is not running.", hint="Use `async with Emulator() as emulator`.")
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def workiq_url(self) -> str:
        """The base URL of Work IQ, for `BingClient(backend="workiq", endpoint=..., token=emulator.token)`.

        Raises:
            ConfigurationError: It is not running.
        """
        return f"{self.url}/rest"

    @property
    def a2a_url(self) -> str:
        """The base URL of Work IQ over A2A, for `BingClient(agent=..., endpoint=..., token=emulator.token)`.

        `workiq_url` does as well: a client finds one beside the other.

        Raises:
            ConfigurationError: It is not running.
        """
        return f"{self.url}/a2a/"

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by their ids; Copilot itself has none."""
        return self._agents

    @property
    def token(self) -> str:
        """The bearer token that Work IQ takes."""
        return self._state.token

    @token.setter
    def token(self, token: str) -> None:
        self._state.token = token

    @property
    def brain(self) -> Brain:
        """The source of the answers. It may be replaced at any time, and the next turn uses the new one."""
        return self._state.brain

    @brain.setter
    def brain(self, brain: Brain) -> None:
        self._state.brain = brain

    @property
    def faults(self) -> list[Fault]:
        """The faults of the plan that have not hit yet; empty if the plan is a function. Set it to replace the plan.

        Raises:
            ConfigurationError: What is set is not a list of faults or a function.
        """
        return self._state.plan.left

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._state.plan = FaultPlan(faults)

    @property
    def requests(self) -> list[Received]:
        """What it was sent, in order: the last 1,000 requests."""
        return self._state.requests

    def play(self, script: Script) -> None:
        """Answer by a script from the next turn on: it replaces the brain and the plan of faults.

        A script without answers brings back the brain that the emulator was made with.

        Raises:
            ValueError: The script was made in Python, and is not right; the text says where.
        """
        self._state.play(script)

    def clear(self) -> None:
        """Forget what it was sent. Conversations stay."""
        self._state.requests.clear()

    async def start(self, listening: sockets.socket | None = None) -> None:
        """Start listening.

        Args:
            listening: A socket that listens already, instead of `host` and `port`; it is closed with the emulator.

        Raises:
            ConfigurationError: It is running, or the address cannot be listened on.
        """
        if self._runner is not None:
            raise ConfigurationError("The emulator is running already.", hint="Close it before it is started again.")
        app = web.Application(
            client_max_size=DEFAULT_LIMITS.frame_bytes, middlewares=[recorder(self._state), self._guard.middleware]
        )
        app.add_routes(
            [
                *Control(self._state).routes(),
                *Rest(self._state).routes(),
                *self._workiq.routes(),
                *self._a2a.routes(),
                web.get("/sydney/ChatHub", self._chat),
            ]
        )
        app.on_shutdown.append(self._break_connections)
        runner = web.AppRunner(app, access_log=None, logger=server_log, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            if listening is None:
                await web.TCPSite(runner, self._host, self._port).start()
            else:
                await web.SockSite(runner, listening).start()
        except OSError as exc:
            await runner.cleanup()
            raise cannot_listen("emulator", self._host, self._port, exc) from exc
        self._runner = runner
        self._state.closing = False
        self._pid = os.getpid()
        self._address = runner.addresses[0][:2]

    async def aclose(self) -> None:
        """Stop listening and break what is open, running turns included. May be called twice."""
        runner, self._runner, self._address = self._runner, None, None
        # After a fork the child holds the parent's sockets: closing them properly would make the parent deaf.
        if runner is not None and self._pid == os.getpid():
            await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        received = received_of(request)
        received.kind = "socket"
        what = self._state.plan.fault_at("chathub", "upgrade", received.hit)
        if isinstance(what, WIRE_FAULTS):
            return await play(what, self._state, request, web.Response)
        socket = web.WebSocketResponse(
            decode_text=False,
            compress=False,  # frames are small, and a compressed one may be sent out of order
            max_msg_size=DEFAULT_LIMITS.frame_bytes,
            timeout=_CLOSE_TIMEOUT_S,
        )
        try:
            await socket.prepare(request)
        except ConnectionResetError:  # the client has left already
            return web.Response()  # which nobody reads; a socket that is not prepared cannot be ended
        session = Session(self._state, socket, request)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
        return socket

    async def _break_connections(self, _app: web.Application) -> None:
        self._state.closing = True
        for session in self._sessions:
            session.abort()
        self._workiq.abort()
        self._a2a.abort()
        for transport in self._state.held:
            transport.abort()
