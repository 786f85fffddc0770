"""The engine of many machines, before and without a Ray; what it does with one is in test_cluster_of_two.py."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bing_llm.batch.cluster import RayEngine
from bing_llm.batch.rows import Row
from bing_llm.errors import ConfigurationError
from tests.batch.asked import row, rows


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray cannot be imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


def engine(folder: Path | None = None) -> RayEngine:
    """An engine that has not begun."""
    return RayEngine("local", concurrency=4, folder=folder)


async def all_of(engine: RayEngine, asked: AsyncGenerator[Row, None]) -> list[dict[str, Any]]:
    """What comes of these rows."""
    async with aclosing(asked), aclosing(engine.answers(asked)) as answers:
        return [answered async for answered in answers]


def files_in(folder: Path) -> list[Path]:
    """What is left there."""
    return [*folder.iterdir()]


async def test_without_rows_there_is_no_ray(tmp_path: Path) -> None:
    """A run that is complete already starts nothing."""
    assert not await all_of(engine(tmp_path / "rows"), rows(0))
    assert not files_in(tmp_path)


async def test_without_ray_nothing_is_asked(tmp_path: Path) -> None:
    """The error names the extra, and the working folder is gone."""
    with pytest.raises(ConfigurationError, match=r"bing-llm\[ray\]"):
        await all_of(engine(tmp_path / "rows"), rows(3))
    assert not files_in(tmp_path)


def test_the_client_protocol_is_refused() -> None:
    """Ray Data does not work over it."""
    with pytest.raises(ConfigurationError, match="ray://"):
        RayEngine("ray://head:10001", concurrency=4)


async def test_a_stop_does_not_wait_for_further_rows(tmp_path: Path) -> None:
    """Where the input is somebody who types, the next row may never come."""
    stopped = engine(tmp_path / "rows")

    async def endless() -> AsyncGenerator[Row, None]:
        yield row(1)
        stopped.stop()
        await asyncio.Event().wait()

    assert not await all_of(stopped, endless())
    assert not files_in(tmp_path)
    assert stopped.stopped is None
    assert stopped.waiting == ""


async def test_rows_that_cannot_be_read_end_it(tmp_path: Path) -> None:
    """What the input raises comes out."""

    async def broken() -> AsyncGenerator[Row, None]:
        yield row(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await all_of(engine(tmp_path / "rows"), broken())
    assert not files_in(tmp_path)


async def test_to_cancel_it_cancels_the_reading(tmp_path: Path) -> None:
    """Nothing is left behind, be it a file or a task."""

    async def endless() -> AsyncGenerator[Row, None]:
        yield row(1)
        await asyncio.Event().wait()

    asked = asyncio.create_task(all_of(engine(tmp_path / "rows"), endless()))
    for _ in range(5):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not files_in(tmp_path)
