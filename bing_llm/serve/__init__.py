"""An OpenAI-compatible front: `POST /v1/chat/completions` and `/v1/responses`, over a client of any service.

    from aiohttp import web
    from bing_llm import BingClient
    from bing_llm.serve import application

    web.run_app(application(BingClient(backend="emulator")), host="127.0.0.1", port=8080, handler_cancellation=True)

`bing-llm serve` runs the same. It is a thin front: histories, tools, JSON answers, stop sequences, lengths and repairs
are the work of `bing_llm.completion`. `docs/serve.md` is its guide.

Needs the extra `serve`, which checks calls and answers against their JSON schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm._lazy import lazy_exports

if TYPE_CHECKING:
    from bing_llm.serve.app import application
    from bing_llm.serve.server import Server

__all__ = ["Server", "application"]

_OWNERS = {"Server": "server", "application": "app"}

__getattr__, __dir__ = lazy_exports(__name__, _OWNERS)
