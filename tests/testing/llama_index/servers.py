"""A small model on a socket of this machine, which speaks as OpenAI's chat completions do, and as Ollama does.

So that the suite tests the real adapters of others, of which each knows one of these.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from aiohttp import web

from bing_llm.sync import run
from tests.testing.llama_index.reference import ARGUMENTS

JSON = dict[str, Any]
GO_ON = "continue with the current request"  # what LlamaIndex's handoff tells the next agent to do


class Asked(msgspec.Struct):
    """What a server was asked, whatever its wire says.

    Attributes:
        messages: The role and the text of each message.
        tools: The names of the tools.
        required: Whether one of them must be called.
        parallel: Whether more than one call may be made.
        schema: The JSON schema of the answer, if one is wanted.
    """

    messages: list[tuple[str, str]]
    tools: list[str]
    required: bool = False
    parallel: bool = True
    schema: JSON | None = None


class Answer(msgspec.Struct):
    """Text, or calls: the name of a tool and its arguments."""

    text: str = ""
    calls: list[tuple[str, JSON]] = []


class Server:
    """The model: calls where a tool fits, fills the schemas that it knows, answers from results, or says some words.

    Attributes:
        url: Where it is.
        sent: All that it was sent, as one text a request.
        script: What it says instead, one a turn.
        failing: Whether each request fails.
    """

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """A model that was asked nothing, and follows its rules."""
        self.sent: list[str] = []
        self.script: list[str] = []
        self.failing = False
        self._ids = itertools.count()

    def answer(self, asked: Asked) -> Answer:
        """What the model says."""
        if self.script:
            return Answer(self.script.pop(0))
        role, last = asked.messages[-1]
        if asked.schema is not None:
            [known] = [arguments for arguments in ARGUMENTS.values() if _fits(arguments[0][1], asked.schema)]
            return Answer(json.dumps(known[0][1]))
        answered = role == "tool" and GO_ON not in last
        text = "" if answered else next((text for role, text in reversed(asked.messages) if role == "user"), "")
        found = [(name, kwargs) for name in asked.tools for word, kwargs in ARGUMENTS.get(name, ()) if word in text]
        if not found and asked.required:
            found = [(asked.tools[0], ARGUMENTS[asked.tools[0]][0][1])]
        if found:
            return Answer(calls=found if asked.parallel else found[:1])
        if "Action Input" in asked.messages[0][1]:
            return Answer(_react(asked.messages))
        if "JSON object" in last:
            return Answer(json.dumps(ARGUMENTS["City"][0][1]))
        return Answer(f"The tool says: {last}" if answered else "It is blue for a reason of its own.")

    # --- OpenAI -------------------------------------------------------------------------------------------------------

    async def openai(self, request: web.Request) -> web.StreamResponse:
        """A chat completion, whole or as server-sent events."""
        body = await self._body(request)
        choice = body.get("tool_choice")
        if choice is not None and not body.get("tools"):
            raise web.HTTPBadRequest(text='{"error": {"message": "tool_choice is only allowed with tools."}}')
        asked = Asked(
            messages=[(message["role"], _text_of(message.get("content"))) for message in body["messages"]],
            tools=[tool["function"]["name"] for tool in body.get("tools") or ()],
            required=choice == "required" or isinstance(choice, dict),
            parallel=body.get("parallel_tool_calls", True),
        )
        answer = self.answer(asked)
        calls = [
            {
                "index": index,
                "id": f"call_{next(self._ids)}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(kwargs)},
            }
            for index, (name, kwargs) in enumerate(answer.calls)
        ]
        head = {"id": "chatcmpl-1", "created": 0, "model": body["model"]}
        reason = "tool_calls" if calls else "stop"
        if not body.get("stream"):
            message = {"role": "assistant", "content": answer.text or None, "tool_calls": calls or None}
            choices = [{"index": 0, "message": message, "finish_reason": reason}]
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            return web.json_response({**head, "object": "chat.completion", "choices": choices, "usage": usage})
        pieces: list[JSON] = [{"content": word} for word in _words(answer.text)]
        pieces += [{"tool_calls": calls}] if calls else []
        lines: list[JSON] = [
            {"index": 0, "delta": {"role": "assistant", **piece}, "finish_reason": None}
            for piece in (*pieces, {"content": ""})
        ]
        lines[-1]["finish_reason"] = reason
        chunks = ({**head, "object": "chat.completion.chunk", "choices": [line]} for line in lines)
        events = [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
        return await _streamed(request, "text/event-stream", events)

    # --- Ollama -------------------------------------------------------------------------------------------------------

    async def ollama(self, request: web.Request) -> web.StreamResponse:
        """A chat, whole or as lines of JSON."""
        body = await self._body(request)
        schema = body.get("format")
        asked = Asked(
            messages=[(message["role"], message.get("content") or "") for message in body["messages"]],
            tools=[tool["function"]["name"] for tool in body.get("tools") or ()],
            schema=schema if isinstance(schema, dict) else None,
        )
        answer = self.answer(asked)
        head = {"model": body["model"], "created_at": "2026-11-30T00:00:00Z"}
        calls = [{"function": {"name": name, "arguments": kwargs}} for name, kwargs in answer.calls]
        end = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 3}
        if not body.get("stream", True):
            message = {"role": "assistant", "content": answer.text, **({"tool_calls": calls} if calls else {})}
            return web.json_response({**head, "message": message, **end})
        pieces: list[JSON] = [{"content": word} for word in _words(answer.text)]
        pieces += [{"content": "", "tool_calls": calls}] if calls else []
        lines = [
            *({**head, "message": {"role": "assistant", **piece}, "done": False} for piece in pieces),
            {**head, "message": {"role": "assistant", "content": ""}, **end},
        ]
        return await _streamed(request, "application/x-ndjson", [f"{json.dumps(line)}\n" for line in lines])

    async def _body(self, request: web.Request) -> JSON:
        if self.failing:
            raise web.HTTPBadRequest(text='{"error": {"message": "This model cannot answer."}}')
        body: JSON = await request.json()
        self.sent.append(json.dumps(body["messages"], ensure_ascii=False))
        return body


def _text_of(content: str | Sequence[Mapping[str, Any]] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or ())


def _fits(known: JSON, schema: JSON) -> bool:
    return set(known) <= set(schema["properties"])


def _react(messages: Sequence[tuple[str, str]]) -> str:
    """What ReActAgent reads: the action first, then the answer from its observation."""
    observation = next((text for _role, text in messages if text.startswith("Observation: ")), None)
    if observation is None:
        return f"Thought: I need a tool.\nAction: add\nAction Input: {json.dumps(ARGUMENTS['add'][0][1])}"
    return f"Thought: I can answer.\nAnswer: The tool says: {observation.removeprefix('Observation: ')}"


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


async def _streamed(request: web.Request, kind: str, lines: Sequence[str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    for line in lines:
        await response.write(line.encode())
    await response.write_eof()
    return response


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine, for the time of the block."""
    server = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.openai)
    app.router.add_post("/api/chat", server.ollama)
    runner = web.AppRunner(app, shutdown_timeout=1)  # seconds; a stream that a test left has nobody to end it

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    run(start())
    try:
        yield server
    finally:
        run(runner.cleanup())
