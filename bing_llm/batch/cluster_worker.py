"""What asks rows on a machine of a cluster: `Asker`, of which each actor of Ray has one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from bing_llm.batch.asking import ask
from bing_llm.batch.cluster_gate import GateLost, RemoteGate
from bing_llm.batch.cluster_rows import answers_table, rows_of
from bing_llm.batch.rows import Row, render_row
from bing_llm.client import BingClient
from bing_llm.errors import BingError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Asker", "MakeClient"]

MakeClient: TypeAlias = Callable[[], BingClient]

_Task: TypeAlias = "asyncio.Task[dict[str, Any] | None]"


class Asker:
    """Asks tables of rows over one client, several of them at once. To be called on one event loop.

    Args:
        make_client: Makes the client; None for a `BingClient()` of this machine's environment. Where it raises a
            `BingError`, the whole run ends.
        actor: The handle of the shared gate.
    """

    def __init__(self, make_client: MakeClient | None, actor: Any) -> None:
        self._name = uuid.uuid4().hex
        self._gate = RemoteGate(actor, self._name)
        self._client: BingClient | None = None
        self._open: set[_Task] = set()
        self._attending: asyncio.Task[None] | None = None
        try:
            client = BingClient() if make_client is None else make_client()
        except BingError as exc:
            actor.refuse.remote(exc)
            return
        self._wait = client.retries.sleep or asyncio.sleep
        retries = msgspec.structs.replace(client.retries, sleep=self._sleep)  # waits end when the gate is closed
        self._client = client.with_options(retries=retries)

    async def __call__(self, table: pa.Table) -> pa.Table:
        """The output rows of those that were asked. None of them where the gate is lost: nobody would take them."""
        rows: list[dict[str, Any]] = []
        if self._client is not None:
            if self._attending is None:
                self._attending = asyncio.create_task(self._attend())
            with suppress(GateLost):
                rows = await self._answers(self._client, table)
        return answers_table(self._name, rows)

    async def _answers(self, client: BingClient, table: pa.Table) -> list[dict[str, Any]]:
        if not await self._gate.begin():
            return []
        tasks = [asyncio.create_task(self._answer(client, row)) for row in rows_of(table)]
        self._open.update(tasks)
        try:
            await asyncio.wait(tasks)
        finally:
            self._open.difference_update(tasks)
        if any(task.cancelled() for task in tasks):
            raise GateLost
        rows = [row for row in [task.result() for task in tasks] if row is not None]
        await self._gate.end(len(rows))
        return rows

    async def _answer(self, client: BingClient, row: Row) -> dict[str, Any] | None:
        outcome = await ask(client, row, self._gate)
        return None if outcome is None else render_row(row, outcome)

    async def _attend(self) -> None:
        try:
            await self._gate.attend()
        except GateLost:
            for task in self._open:
                task.cancel()

    async def _sleep(self, seconds: float) -> None:
        wait = asyncio.ensure_future(self._wait(seconds))
        await asyncio.wait([wait, *([self._attending] if self._attending else [])], return_when="FIRST_COMPLETED")
        wait.cancel()
