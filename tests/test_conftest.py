"""The guard in conftest.py, run over tests that leak on purpose."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.children import LIMIT_S

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

"""

NOTHING_INHERITED = """
import os, signal, subprocess, sys

IGNORED = "import signal; print([s.name for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN])"

def test_no_setting_is_seen():
    names = {"BING_COOKIES", "WORKIQ_TOKEN", "https_proxy", "LANG", "PYTHONDONTWRITEBYTECODE", "LANGSMITH_TRACING"}
    names |= {"CI"}
    assert not names & set(os.environ)

def test_a_key_press_interrupts():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())

def test_children_ignore_no_signal():
    done = subprocess.run([sys.executable, "-c", IGNORED], stdout=subprocess.PIPE, text=True, timeout=30)
    assert set(eval(done.stdout)) <= {"SIGPIPE", "SIGXFSZ"}, "those that Python itself ignores"

def test_a_file_has_the_usual_mode(tmp_path):
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
"""

HANGS = """
import asyncio, threading, time
import pytest

async def wait_for_nothing():
    await asyncio.Event().wait()

@pytest.mark.timeout(0.5)
def test_hangs_in_plain_code():
    time.sleep(600)

@pytest.mark.timeout(0.5)
async def test_hangs_in_a_task():
    await asyncio.create_task(wait_for_nothing())

@pytest.mark.timeout(0.5)
def test_hangs_for_a_thread():
    done = threading.Event()
    def wait_in_a_thread():
        done.wait(2)
    thread = threading.Thread(target=wait_in_a_thread)
    thread.start()
    thread.join()

def test_fails():
    assert 1 + 1 == 3

def test_passes():
    pass
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the inner runs the plugins they do not need: loading those takes seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run_guarded(pytester: pytest.Pytester, tests: str, conftest: str, *plugins: str) -> pytest.RunResult:
    """Run tests in a project of their own that has our conftest.py."""
    pytester.makeini(SETTINGS)
    pytester.makeconftest(conftest)
    pytester.makepyfile(tests)
    options = [f"-p{plugin}" for plugin in ("pytest_asyncio.plugin", *plugins)]
    return pytester.runpytest_subprocess(*options, timeout=LIMIT_S)


def test_every_kind_of_leak_fails_the_test_that_leaks(pytester: pytest.Pytester) -> None:
    """A thread, a task, a socket, a transport or an exception that is left over makes each of these tests fail."""
    impatient = CONFTEST.replace("GRACE_S = 5.0", "GRACE_S = 0.1")
    result = run_guarded(pytester, LEAKS, impatient)
    found = re.findall(r"^(?:ERROR|FAILED) .*::(test_\w+)", result.stdout.str(), re.MULTILINE)
    assert set(found) == set(re.findall(r"def (test_\w+)", LEAKS))


def test_what_may_stay_fails_nothing(pytester: pytest.Pytester) -> None:
    """The loop thread of synchronous calls, a worker of a loop and a task that is ending are not leaks."""
    run_guarded(pytester, TIDY, CONFTEST).assert_outcomes(passed=TIDY.count("def test_"))


@pytest.fixture
def odd_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `nohup`, a shell's `&` and a private account leave to a child, and settings of many kinds."""
    for name in ("BING_COOKIES", "WORKIQ_TOKEN", "https_proxy", "LANGSMITH_TRACING", "PYTHONDONTWRITEBYTECODE", "CI"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    umask = os.umask(0o077)
    yield
    os.umask(umask)
    for number, handler in zip(ignored, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("odd_process")
def test_nothing_is_inherited(pytester: pytest.Pytester) -> None:
    """Settings, ignored signals and the umask of whoever starts the run reach neither a test nor its children."""
    result = run_guarded(pytester, NOTHING_INHERITED, CONFTEST)
    result.assert_outcomes(passed=NOTHING_INHERITED.count("def test_"))


def test_a_hung_test_fails_alone(pytester: pytest.Pytester) -> None:
    """Its stacks are shown, those of its tasks and threads too, and all other tests run."""
    result = run_guarded(pytester, HANGS, CONFTEST, "pytest_timeout")
    result.assert_outcomes(passed=1, failed=4, errors=1)  # the error: a task was left over, of the test that hung
    result.stdout.fnmatch_lines(["*time.sleep(600)*", "*in wait_for_nothing*", "*in wait_in_a_thread*"])
    assert len(re.findall(r"^E +Failed: Timeout \(>0.5s\)", result.stdout.str(), re.MULTILINE)) == 3
