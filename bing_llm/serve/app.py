"""The front as an aiohttp application: its routes, and how many requests are with the service at once."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bing_llm.client import BingClient
from bing_llm.completion.continuation import TurnObserver
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completion
from bing_llm.errors import ConfigurationError
from bing_llm.serve.access import Access
from bing_llm.serve.body import header_of, read_body
from bing_llm.serve.chat import ChatRequest
from bing_llm.serve.chat_answers import ChatAnswer
from bing_llm.serve.errors import busy
from bing_llm.serve.exchange import Answer, Exchange, cancelled_without_caller
from bing_llm.serve.middleware import HEALTH, RECORD, SPAN, add_headers, guard, observe
from bing_llm.serve.models import Model, Models
from bing_llm.serve.response_answers import ResponseAnswer
from bing_llm.serve.responses import InputItem, ResponsesRequest
from bing_llm.serve.store import ResponseStore, Stored

IGNORED_HEADER: Final = "x-bing-llm-ignored"
"""Names the fields of the request that had no effect."""

MAX_BODY: Final = 32 * 1024 * 1024
"""Bytes of a request's body: two pictures of 10 MB in base64, and a long history."""

MAX_WAITING: Final = 100
"""How many requests may wait for one of `max_concurrency`; each holds its body, and its caller's patience."""


def application(
    client: BingClient,
    *,
    key: str | None = None,
    host: str = "127.0.0.1",
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    agents: Sequence[str] = (),
    any_model: bool = False,
    max_concurrency: int | None = None,
    max_body: int = MAX_BODY,
) -> web.Application:
    """The front over a client, which you close.

    Run it with `handler_cancellation=True`, as `web.run_app` takes it: then it is noticed at once if a caller leaves,
    otherwise within half a second.

    Args:
        client: What asks the service.
        key: What callers must send as a bearer token; None for nothing, which only works on loopback.
        host: The address that you listen on.
        allowed_hosts: More names by which it may be reached. Any other `Host` is refused, because a web page may let
            its own name lead to this machine.
        allowed_origins: Origins of web pages that may use it, such as `http://localhost:3000`.
        agents: The ids of agents of Work IQ that `GET /v1/models` names; others may be asked, too.
        any_model: Whether an unknown model means that of the client; False answers 404.
        max_concurrency: How many requests may be with the service at once; None for no limit. Up to 100 more wait, in
            order. They are not refused, because who is refused comes back at some time, in no order.
        max_body: The longest body of a request, in bytes.

    Raises:
        ConfigurationError: A setting is not allowed, or other machines may reach it and there is no key.
    """
    access = Access(key, host=host, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins)
    front = Front(client, Models(client, agents=agents, any_model=any_model), max_concurrency)
    app = web.Application(client_max_size=max_body, middlewares=[observe, guard(access), front.admit])
    app[FRONT] = front
    app.add_routes(front.routes())
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_drain)
    app.on_cleanup.append(_close)
    return app


class Front:
    """What the routes share.

    Attributes:
        models: The models.
        draining: Whether it takes no further request, because it is about to end.
    """

    def __init__(self, client: BingClient, models: Models, max_concurrency: int | None) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency is {max_concurrency}; it must be 1 or more, or None.")
        self._client = client
        self.models = models
        self.draining = False
        self._created = int(time.time())
        self._stored = ResponseStore()
        self._permits = None if max_concurrency is None else asyncio.Semaphore(max_concurrency)
        self._most = None if max_concurrency is None else max_concurrency + MAX_WAITING
        self._taken = 0  # requests with the service, or waiting for it
        self._running = 0  # requests of any kind
        self._idle = asyncio.Event()
        self._idle.set()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/responses", self._responses),
            web.get("/v1/models", self._list_models),
            web.get("/v1/models/{model:.+}", self._show_model),
            web.get(HEALTH, self._health),
        ]

    async def idle(self) -> None:
        """Wait until no request runs."""
        await self._idle.wait()

    @property
    def admit(self) -> Middleware:
        """Refuse what comes while the server is about to end; count what runs."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.draining and request.path != HEALTH:
                raise busy("The server is about to end.", status=503)
            self._running += 1
            self._idle.clear()
            try:
                return await handler(request)
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

        return admit

    # --- routes ---------------------------------------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked, ignored = read_body(await request.read(), ChatRequest)
        wanted = asked.to_request()
        async with self.models.use(asked.model) as model:
            answer = ChatAnswer(
                model.name,
                answer_id=f"chatcmpl-{uuid.uuid4().hex}",
                created=int(time.time()),
                include_usage=asked.include_usage,
            )
            return await self._answer(request, model, wanted, answer, stream=bool(asked.stream), ignored=ignored)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked, ignored = read_body(body, ResponsesRequest)
        before = self._stored.get(asked.previous_response_id) if asked.previous_response_id else Stored()
        wanted = asked.to_request(before.items)
        response_id = f"resp_{uuid.uuid4().hex}"

        def keep(output: list[InputItem]) -> None:
            items = (*before.items, *asked.items, *output)
            self._stored.put(response_id, Stored(items, before.size + len(body)))

        async with self.models.use(asked.model) as model:
            answer = ResponseAnswer(
                model.name,
                response_id=response_id,
                created_at=int(time.time()),
                echoed=asked.echo(),
                keep=None if asked.store is False else keep,
            )
            return await self._answer(request, model, wanted, answer, stream=bool(asked.stream), ignored=ignored)

    async def _list_models(self, _request: web.Request) -> web.Response:
        return _json({"object": "list", "data": self.models.entries(self._created)})

    async def _show_model(self, request: web.Request) -> web.Response:
        return _json(self.models.entry(request.match_info["model"], self._created))

    async def _health(self, _request: web.Request) -> web.Response:
        return _json({"status": "draining" if self.draining else "ok"}, status=503 if self.draining else 200)

    # --- an answer ------------------------------------------------------------------------------------------------

    async def _answer(
        self,
        request: web.Request,
        model: Model,
        wanted: Request,
        answer: Answer,
        *,
        stream: bool,
        ignored: list[str],
    ) -> web.StreamResponse:
        record = request[RECORD]
        record.model, record.stream = model.name, stream
        asked = [message.content for message in wanted.messages]
        headers = {IGNORED_HEADER: header_of(ignored)} if ignored else {}
        with cancelled_without_caller(request):
            async with self._permit():
                completion = Completion(model.client, wanted, observer=_observer(request, model, wanted))
                exchange = Exchange(completion, answer, asked=asked, record=record, headers=headers)
                return await exchange.run(request, stream=stream)

    @asynccontextmanager
    async def _permit(self) -> AsyncIterator[None]:
        """Wait for a place at the service.

        Raises:
            ApiError: Too many wait already.
        """
        if self._permits is None:
            yield
            return
        if self._most is not None and self._taken >= self._most:
            raise busy(f"{MAX_WAITING} requests wait for this server already.", status=429)
        self._taken += 1
        try:
            async with self._permits:
                yield
        finally:
            self._taken -= 1


FRONT: Final = web.AppKey("front", Front)


def _observer(request: web.Request, model: Model, wanted: Request) -> TurnObserver | None:
    """What makes the spans of the turns; None for none."""
    return request[SPAN].turns(
        {
            "gen_ai.provider.name": model.client.backend_name,
            "gen_ai.request.model": model.name,
            "gen_ai.response.model": model.name,
            "gen_ai.output.type": "text" if wanted.json_format is None else "json",
        }
    )


async def _drain(app: web.Application) -> None:
    app[FRONT].draining = True


async def _close(app: web.Application) -> None:
    await app[FRONT].models.aclose()


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
