"""What the tests of batches share: rows in and out, a service that answers each as a function says, a quick loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bing_llm import sync
from bing_llm.batch.engine import Engine, LocalWorker
from bing_llm.batch.rows import Answered, BadRow, Failed, Record, Row, parse_row, render_row, row_key
from bing_llm.client import BingClient
from bing_llm.errors import InvalidRequest, ServiceError
from bing_llm.events import Citation, Reply
from bing_llm.limits import Deadline
from bing_llm.messages import Prompt
from tests.fakes import FakeBackend, FakeChannel, Turn, answer
from tests.hurrying import Hurried


def row(number: int = 1, prompt: str | None = None, **more: Any) -> Row:
    """A row that asks something."""
    if prompt is None and "messages" not in more:
        prompt = f"Question {number}"
    return Row(number=number, id=number, fields={"prompt": prompt}, prompt=prompt, **more)


async def rows(most: int) -> AsyncGenerator[Row, None]:
    """So many of them."""
    for number in range(1, most + 1):
        yield row(number)


async def all_of(engine: Engine, asked: AsyncGenerator[Row, None]) -> list[dict[str, Any]]:
    """What comes of these rows, in the order of their ends."""
    async with aclosing(asked), aclosing(engine.answers(asked)) as answers:
        return [answered async for answered in answers]


class Service(FakeBackend):
    """A service whose turns come from a function of the prompt, and take some time.

    Attributes:
        seconds: How long until a turn is answered.
        slow: The same, for some prompts.
        open: How many turns are open.
        most: How many were, at most, since this was set to 0.
    """

    def __init__(self, say: Callable[[str], Turn] = lambda text: answer(f"Re: {text}"), seconds: float = 0.5) -> None:
        super().__init__()
        self._say = say
        self.seconds = seconds
        self.slow: dict[str, float] = {}
        self.open = 0
        self.most = 0

    @property
    def texts(self) -> list[str]:
        """What each turn asked, in order."""
        return [prompt.text for prompt in self.prompts]

    async def open_turn(self, handle: Any, prompt: Prompt, number: int, deadline: Deadline) -> FakeChannel:
        """The turn of this prompt."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.slow.get(prompt.text, self.seconds))
            self._turns.append(self._say(prompt.text))
            return await super().open_turn(handle, prompt, number, deadline)
        finally:
            self.open -= 1


def client_on(loop: Hurried, backend: FakeBackend, **retries: Any) -> BingClient:
    """A client of this service, by the time of this loop."""
    client = BingClient(backend="chathub", retries=loop.retries(**retries))
    client._backends.opened[client.model] = backend
    return client


def local_engine(client: BingClient, **options: Any) -> Engine:
    """An engine over this client."""
    return Engine(LocalWorker(client), retries=client.retries, **options)


def answered(own: str | int, text: str = "Paris.", **fields: Any) -> dict[str, Any]:
    """A row with an answer that has a source."""
    citations = (Citation(1, "https://a.example/", 'A, "quoted"'),)
    reply = Reply(text=text, conversation_id="c", citations=citations)
    return render_row(_input_row(own, fields), Answered(reply, attempts=2, seconds=1.5))


def failed(own: str | int, **fields: Any) -> dict[str, Any]:
    """A row with an error."""
    return render_row(_input_row(own, fields), Failed(ServiceError("It broke."), attempts=3, seconds=0.25))


def unreadable(line: int) -> dict[str, Any]:
    """A row of a line that could not be read."""
    why = InvalidRequest(f"Line {line} is not a JSON object.")
    return render_row(BadRow(number=line, fields={}, error=why), Failed(why))


def kept_in(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, each of which must be whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [msgspec.json.decode(line) for line in data.split(b"\n")[:-1]]


def ids(path: Path) -> list[str]:
    """The keys of the rows of a JSONL file, in its order."""
    return [row_key(row).removeprefix("id ") for row in kept_in(path)]


def _input_row(own: str | int, fields: dict[str, Any]) -> Any:
    return parse_row(Record(1, {"id": own, "prompt": "The capital of France?", **fields}))


@contextmanager
def quick_loop() -> Iterator[None]:
    """Meanwhile the loop on which emulators and synchronous calls run notes no stacks."""
    before = sync.run(_set_debug(on=False))
    try:
        yield
    finally:
        sync.run(_set_debug(on=before))


async def _set_debug(*, on: bool) -> bool:
    """Returns: What it was."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug()
    loop.set_debug(on)
    return before


class Blocks(Protocol):
    """A source."""

    def blocks(self) -> Iterator[Sequence[Record]]:
        """Its rows."""


def records_of(source: Blocks) -> Generator[Record, None, None]:
    """The rows of a source, one by one. Closing the generator closes the source."""
    blocks = source.blocks()
    try:
        for block in blocks:
            yield from block
    finally:
        assert isinstance(blocks, Generator)
        blocks.close()
