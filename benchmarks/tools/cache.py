"""A cache before an OpenAI-compatible server: the same sampling for everybody, each prompt asked once, turns counted.

The replies are kept in a folder, by the hash of what was asked; so a wording that is measured again costs nothing, and
a run that was interrupted goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

SAMPLING = {"temperature": 0, "seed": 1, "max_tokens": 400}
"""For every request. A small model that repeats itself would otherwise go on until its context is full."""

PIECE = 16
"""Characters of a streamed delta: tags of calls are split, as a service would split them."""

SILENCE_S = 1800.0
"""How long the model may take: on a busy machine of two cores it reads some ten tokens a second."""


class Cache:
    """Passes chat completions on, one at a time.

    Args:
        url: The base of the server's API, such as `http://127.0.0.1:8089/v1`.
        folder: Where replies are kept.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.turns = 0
        self.characters = 0
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._folder = folder
        self._one_at_a_time = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on loopback; the base URL of its API."""
        self._folder.mkdir(parents=True, exist_ok=True)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        _, port = self._runner.addresses[0][:2]
        return f"http://127.0.0.1:{port}/v1"

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked: dict[str, Any] = msgspec.json.decode(await request.read())
        streamed = bool(asked.pop("stream", False))
        asked.pop("stream_options", None)
        asked = asked | SAMPLING
        self.turns += 1
        self.characters += len(json.dumps(asked["messages"])) + len(json.dumps(asked.get("tools", "")))
        async with self._one_at_a_time:
            answer = await self._answer(asked)
        return await _stream(request, answer) if streamed else web.json_response(answer)

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(asked, sort_keys=True).encode()
        kept = self._folder / f"{hashlib.sha256(body).hexdigest()}.json"
        if not kept.exists():
            timeout = aiohttp.ClientTimeout(total=SILENCE_S)
            async with aiohttp.ClientSession(timeout=timeout) as http, http.post(self._url, data=body) as response:
                response.raise_for_status()
                answer = await response.json()
            kept.write_text(json.dumps({"asked": asked, "answer": answer}, ensure_ascii=False, indent=1), "utf-8")
        answered: dict[str, Any] = json.loads(kept.read_text("utf-8"))["answer"]
        return answered


async def _stream(request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    text = answer["choices"][0]["message"].get("content") or ""
    for at in range(0, len(text), PIECE):
        chunk = {"choices": [{"index": 0, "delta": {"content": text[at : at + PIECE]}}]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response
