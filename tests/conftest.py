"""What every test gets: an environment without settings, asyncio in debug mode, and a guard against leaks.

Warnings are errors (pyproject.toml): a socket, transport or session that is dropped unclosed fails the test
in whose clean-up the garbage collector finds it. So does an exception that a thread or a finalizer lets go.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

GRACE_S = 5.0
"""How long what was told to end may take to end, in seconds; only a leak waits that long."""

MAY_STAY = ("bing-llm-loop", "asyncio_")
"""How the names of threads begin that may stay: the one that runs the loop of all synchronous calls while the
process lives, and that loop's own workers."""

SETTINGS = (
    *("BING_COOKIES", "BING_LLM_BACKEND", "BING_LLM_ENDPOINT", "WORKIQ_TOKEN"),
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
)

NO_FOLDER = Path(tempfile.gettempdir()) / "bing-llm-has-no-such-folder"

hypothesis.settings.register_profile(
    "bing_llm",
    deadline=None,  # a busy machine is not a fault
    derandomize=True,  # the same commit gets the same verdict every time
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("bing_llm")


def pytest_configure(config: pytest.Config) -> None:
    """Have the debug mode of `asyncio_debug` in the loops that pytest does not make, too."""
    if config.getini("asyncio_debug"):
        os.environ["PYTHONASYNCIODEBUG"] = "1"


def pytest_collection_finish() -> None:
    """Hide the imported modules from the collector: then a collection after each test costs little."""
    _hide_what_stays()


@pytest.fixture(autouse=True, scope="module")
def hidden_after_module() -> Iterator[None]:
    """Hide what a module leaves, too: modules imported on demand, and pytest's reports, which grow with each test."""
    yield
    _hide_what_stays()


def _hide_what_stays() -> None:
    gc.collect()
    gc.freeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give async tests `no_leaked_tasks`, right behind `no_leaks`, so that this one sees the loop closed."""
    if pytest_asyncio.is_async_test(item):
        item.fixturenames.insert(item.fixturenames.index("no_leaks") + 1, "no_leaked_tasks")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for folder in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):  # a login that somebody has kept there
        monkeypatch.setenv(folder, str(NO_FOLDER))


@pytest.fixture(autouse=True)
def no_leaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that leaves a thread, a task or an unclosed object, or of which asyncio complains."""
    threads = set(threading.enumerate())
    yield
    gc.collect()
    started = [thread for thread in threading.enumerate() if thread not in threads]
    leaked = [thread for thread in started if not thread.name.startswith(MAY_STAY)]
    for thread in leaked:
        thread.join(GRACE_S)
    alive = [thread for thread in leaked if thread.is_alive()]
    assert not alive, f"the test left threads behind: {alive}"
    complaints = [
        record.getMessage().partition("source_traceback")[0]
        for when in ("setup", "call", "teardown")
        for record in caplog.get_records(when)
        if record.name == "asyncio" and record.levelno >= logging.ERROR
    ]
    assert not complaints, f"asyncio reported: {complaints}"


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail an async test that leaves a task on its loop."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_S)
    assert not left, f"the test left tasks behind: {left}"
