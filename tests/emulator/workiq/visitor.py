"""A bare client of the emulator's Work IQ: plain HTTP, with nothing of our own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from bing_llm import events as ev
from bing_llm.emulator import Emulator

PATIENCE_S = 20.0  # reached only when the emulator hangs


def body(text: str = "Hello", **changes: Any) -> dict[str, Any]:
    """The body of a turn with the least that the service wants; `changes` replace fields, None leaves one out."""
    fields = {"message": {"text": text}, "locationHint": {"timeZone": "Europe/Zurich"}, **changes}
    return {name: value for name, value in fields.items() if value is not None}


class Waiting:
    """A brain that says one thing and then waits until it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def answer(self, _question: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Wait."""
        try:
            yield ev.TextDelta("Half an")
            await asyncio.Event().wait()
        finally:
            self.closed.set()


@dataclass(frozen=True)
class Answered:
    """What one call was answered."""

    status: int
    headers: Any
    content: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """The code of a refusal."""
        code: str = self.json["error"]["code"]
        return code

    @property
    def events(self) -> list[Any]:
        """The data of the events, parsed."""
        lines = self.content.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def texts(self) -> list[list[str]]:
        """The texts of the messages of each event."""
        return [[message["text"] for message in event["messages"]] for event in self.events]


class WorkIQVisitor:
    """Talks to one emulator."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self.http = http
        self.base = "/rest"

    def request(self, path: str, sent: Any, **headers: str) -> Any:
        """A POST with the emulator's token, as a context manager; bytes are sent as they are."""
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        usual = {"Authorization": f"Bearer {self._emulator.token}", "Content-Type": "application/json"}
        return self.http.post(
            f"{self._emulator.url}{self.base}{path}",
            data=content,
            headers={**usual, **headers},
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )

    async def post(self, path: str, sent: Any, **headers: str) -> Answered:
        """The whole answer of a POST."""
        async with self.request(path, sent, **headers) as response:
            return Answered(response.status, response.headers, await response.read())

    async def create(self) -> str:
        """The id of a new conversation."""
        answer = await self.post("/conversations", {})
        assert answer.status == 201
        conversation_id: str = answer.json["id"]
        return conversation_id

    async def chat(self, text: str = "Hello", conversation: str = "", **changes: Any) -> Answered:
        """One turn, answered whole; in a new conversation unless one is given."""
        return await self.post(f"/conversations/{conversation or await self.create()}/chat", body(text, **changes))

    async def stream(self, text: str = "Hello", conversation: str = "", **changes: Any) -> Answered:
        """One turn, answered in events, when all have come."""
        conversation = conversation or await self.create()
        return await self.post(f"/conversations/{conversation}/chatOverStream", body(text, **changes))

    async def admitted(self, conversation: str) -> Answered:
        """One turn, asked for until the emulator has noticed that the client of the last one left."""
        while (answer := await self.chat("next", conversation)).status == 409:
            pass
        return answer

    @asynccontextmanager
    async def streaming(self, text: str = "Hello", conversation: str = "") -> AsyncIterator[Stream]:
        """One turn, answered in events, as they come."""
        conversation = conversation or await self.create()
        async with self.request(f"/conversations/{conversation}/chatOverStream", body(text)) as response:
            yield Stream(response)


class Stream:
    """The events of a turn that runs."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> Any:
        """The next event; None at a clean end of the stream."""
        async for line in self.response.content:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        return None

    async def event_with_text(self) -> str:
        """The text of the next event that has one."""
        while True:
            event = await asyncio.wait_for(self.event(), PATIENCE_S)
            if event["messages"]:
                text: str = event["messages"][-1]["text"]
                return text
