"""The guard in conftest.py, run over tests that leak on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_debug = true
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

LEAKS = """
import asyncio, socket, threading

forever = threading.Event()
refs = []

def test_thread():
    threading.Thread(target=forever.wait, daemon=True).start()

async def test_task():
    refs.append(asyncio.create_task(asyncio.Event().wait()))

def test_socket():
    socket.socket().bind(("127.0.0.1", 0))

def test_socket_in_a_cycle():
    held = [socket.socket()]
    held.append(held)

async def test_transport():
    async def hang_up(reader, writer):
        writer.close()
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        await asyncio.open_connection(*server.sockets[0].getsockname())

async def test_lost_exception():
    async def fail():
        raise LookupError("nobody asked")
    asyncio.create_task(fail())
    await asyncio.sleep(0)

def test_exception_in_a_thread():
    def fail():
        raise LookupError("nobody asked")
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
"""

TIDY = """
import asyncio, threading

def test_the_loop_thread_may_stay():
    threading.Thread(target=threading.Event().wait, name="bing-llm-loop", daemon=True).start()

async def test_a_task_may_take_a_few_steps_to_end():
    async def wind_down():
        for _ in range(5):
            await asyncio.sleep(0)
    asyncio.create_task(wind_down())

async def test_a_worker_of_the_loop_ends_with_it():
    assert await asyncio.to_thread(threading.active_count) > 1

async def test_asyncio_runs_in_debug_mode():
    assert asyncio.get_running_loop().get_debug()

def test_settings_are_hidden():
    import os
    assert "BING_COOKIES" not in os.environ
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the inner runs the plugins they do not need: loading those takes seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run_guarded(pytester: pytest.Pytester, tests: str, conftest: str) -> pytest.RunResult:
    """Run tests in a project of their own that has our conftest.py."""
    pytester.makeini(SETTINGS)
    pytester.makeconftest(conftest)
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-p", "pytest_asyncio.plugin")


def test_every_kind_of_leak_fails_the_test_that_leaks(pytester: pytest.Pytester) -> None:
    """A thread, a task, a socket, a transport or an exception left behind makes each of these tests fail."""
    impatient = CONFTEST.replace("GRACE_S = 5.0", "GRACE_S = 0.1")
    result = run_guarded(pytester, LEAKS, impatient)
    found = re.findall(r"^(?:ERROR|FAILED) .*::(test_\w+)", result.stdout.str(), re.MULTILINE)
    assert set(found) == set(re.findall(r"def (test_\w+)", LEAKS))


def test_what_may_stay_fails_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop thread of synchronous calls, a worker of a loop and a task that is ending are no leaks."""
    monkeypatch.setenv("BING_COOKIES", "secret")
    run_guarded(pytester, TIDY, CONFTEST).assert_outcomes(passed=TIDY.count("def test_"))
