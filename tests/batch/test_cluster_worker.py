"""A worker of a cluster: many rows at once over one client, and an end with its gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from bing_llm.batch.cluster_gate import SharedGate
from bing_llm.batch.cluster_rows import answers_of
from bing_llm.batch.cluster_worker import Asker
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError, ServiceError, Unauthorized
from tests.batch.acting import Handle
from tests.batch.asked import Service, client_on
from tests.fakes import Turn, answer
from tests.hurrying import Hurried, hurried


def table(*prompts: str) -> pa.Table:
    """Rows that ask these, as the files have them."""
    records = [f'{{"prompt": "{prompt}", "id": "{prompt}"}}' for prompt in prompts]
    return pa.table({"number": [*range(1, len(records) + 1)], "record": records})


class Worker:
    """One worker before a gate of its own, in a time that passes at once."""

    def __init__(self, say: Callable[[str], Turn] | None = None, *, concurrency: int = 4, attempts: int = 5) -> None:
        self.loop = Hurried()
        self.service = Service() if say is None else Service(say)
        self.made = 0
        self.shared = SharedGate(concurrency, retries=self.loop.retries())
        self.handle = Handle(self.shared)
        self.attempts = attempts

    def client(self) -> BingClient:
        """Its client, counted."""
        self.made += 1
        return client_on(self.loop, self.service, attempts=self.attempts)

    def of(self, *tables: pa.Table, meanwhile: Callable[[], Any] = lambda: None) -> list[list[Any]]:
        """The ids that come of these tables, asked at once; `meanwhile` runs while turns are open."""

        async def run() -> list[list[Any]]:
            asker = Asker(self.client, self.handle)
            asked = [asyncio.create_task(asker(each)) for each in tables]
            await asyncio.sleep(0.1)
            meanwhile()
            try:
                answered = [answers_of(each) for each in await asyncio.gather(*asked)]
            finally:
                await self.shared.close()
                await asyncio.sleep(0.1)
            return [[row["id"] for _, row in rows] for rows in answered]

        return hurried(run(), self.loop)


def test_all_tables_are_asked_over_one_client() -> None:
    """As many turns are open as the gate allows, from whichever tables; each table gives its own rows."""
    worker = Worker(concurrency=4)
    assert worker.of(table("a", "b", "c"), table("d", "e", "f")) == [["a", "b", "c"], ["d", "e", "f"]]
    assert worker.made == 1
    assert worker.service.most == 4
    assert worker.loop.now == pytest.approx(1.1)


def test_a_row_has_the_attempts_of_its_client() -> None:
    """They are the client's own, and a row that has used them up has failed."""
    worker = Worker(lambda text: answer("Fine.") if text == "a" else ServiceError("Down."), attempts=3)
    assert worker.of(table("a", "b")) == [["a", "b"]]
    assert worker.service.texts.count("b") == 3


def test_when_the_gate_closes_open_turns_end_and_others_do_not_begin() -> None:
    """The rows that were not asked give nothing, and neither do tables that come later."""
    worker = Worker(concurrency=2)
    asked = worker.of(table("a", "b", "c"), meanwhile=worker.handle.close.remote)
    assert asked == [["a", "b"]]
    assert worker.service.texts == ["a", "b"]


def test_a_closed_gate_ends_the_wait_for_another_attempt() -> None:
    """Nobody waits half a minute for an attempt that will not be made."""
    worker = Worker(lambda _: ServiceError("Down."))
    worker.loop.call_later(0.6, worker.handle.close.remote)
    assert worker.of(table("a")) == [[]]
    assert worker.loop.now == pytest.approx(0.7, abs=0.01)


def test_a_worker_without_its_gate_stops_at_once() -> None:
    """Open turns are given up, as nobody would take their answers."""
    worker = Worker()
    assert worker.of(table("a", "b"), meanwhile=worker.handle.die) == [[]]
    assert worker.loop.now < 0.5


def test_a_worker_whose_gate_was_never_there_gives_nothing() -> None:
    """It asks nothing either."""
    worker = Worker()
    worker.handle = Handle(None)
    assert worker.of(table("a")) == [[]]
    assert not worker.service.texts


def test_a_client_that_cannot_be_made_ends_the_run() -> None:
    """The reason is what its making raised."""
    loop = Hurried()
    shared = SharedGate(1, retries=loop.retries())

    def fails() -> BingClient:
        raise ConfigurationError("No cookies.")

    async def run() -> None:
        asker = Asker(fails, Handle(shared))
        assert not answers_of(await asker(table("a")))
        await asyncio.sleep(0.1)
        state = await shared.state()
        assert (str(state.stopped), state.ended) == (str(ConfigurationError("No cookies.")), {})

    hurried(run(), loop)


def test_without_a_function_the_environment_makes_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine has its own settings; none are sent."""
    monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
    loop = Hurried()
    shared = SharedGate(1, retries=loop.retries())

    async def run() -> None:
        asker = Asker(None, Handle(shared))
        assert asker._client is not None
        assert asker._client.backend_name == "chathub"
        await asker._client.aclose()

    hurried(run(), loop)


def test_an_error_that_is_no_service_s_comes_out() -> None:
    """A fault of ours is not taken for a failed row."""

    def fails(_text: str) -> Turn:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Worker(fails).of(table("a"))


def test_a_refused_caller_ends_the_run() -> None:
    """The row is left undone, and the gate says why."""
    worker = Worker(lambda _: Unauthorized("Not you."))
    assert worker.of(table("a", "b")) == [[]]
    assert isinstance(worker.shared._gate.stopped, Unauthorized)
