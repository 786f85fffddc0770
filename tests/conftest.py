"""What every test gets: a process that inherited nothing, and a guard against leaks.

Warnings are errors (pyproject.toml): a socket, transport or session that is dropped unclosed fails the test
in whose clean-up the garbage collector finds it. So does an exception that a thread or a finalizer lets go.
"""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

GRACE_S = 5.0
"""How long a thread or a cancelled task may take to end, in seconds; only a leak waits that long."""

MAY_STAY = ("bing-llm-loop", "asyncio_")
"""How the names of threads begin that may stay: the one that runs the loop of all synchronous calls while the
process lives, and that loop's own workers."""

NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY", "NO_PROXY"),
    *("SSL_CERT_", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""How the names of those begin by which this machine reaches a package index."""

SET_ASIDE = "SET_ASIDE_"
"""What goes before such a name, so that no client heeds it and a test that installs something finds it."""

INHERITED = (
    *("BING_", "WORKIQ_", "AZURE_"),  # settings of the product
    *("LANGCHAIN_", "LANGSMITH_", "LLAMA_INDEX_", "OPENAI_"),  # of the frameworks: tracing would ask the network
    *NETWORK,
    *("LANG", "LC_", "TZ"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "TTY_"),
    *("CI", "BUILD_NUMBER"),  # pytest prints whole reasons in its summary where one of these is set
    "PYTHON",  # among them PYTHONDONTWRITEBYTECODE, without whose bytecode each child compiles a framework anew
)
"""How the names of environment variables begin that no test sees, in upper or lower case."""

COUNTERPARTS = ("test_sdk.py", "test_sdk_client.py")
"""Files that import the a2a-sdk, which takes over a second in each process. All their tests are `system`."""

UMASK = 0o022
"""Files are created readable by everybody, as a new account has it, so that a test sees what makes them private."""

NO_FOLDER = Path(tempfile.gettempdir()) / "bing-llm-has-no-such-folder"

for _profile, _examples in {"quick": 30, "thorough": 100}.items():
    hypothesis.settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,  # a busy machine is not a fault
        derandomize=True,  # the same commit gets the same verdict every time
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Forget what the process inherited, and choose how thorough this run is."""
    _reset_environment()
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="bing-llm-state-")  # nobody's log, in children too
    _reset_signals()
    os.umask(UMASK)
    sys.dont_write_bytecode = False
    if config.getini("asyncio_debug"):  # in the loops that pytest does not make, too
        os.environ["PYTHONASYNCIODEBUG"] = "1"
    hypothesis.settings.load_profile("quick" if _is_default_run(config) else "thorough")


def pytest_unconfigure() -> None:
    """Remove what commands have logged."""
    shutil.rmtree(os.environ.get("XDG_STATE_HOME", NO_FOLDER), ignore_errors=True)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the default run from importing a file none of whose tests it runs, where that takes long."""
    return True if collection_path.name in COUNTERPARTS and _is_default_run(config) else None


def _is_default_run(config: pytest.Config) -> bool:
    return "not system" in config.getoption("markexpr")


def _reset_environment() -> None:
    for name in [name for name in os.environ if name.upper().startswith(INHERITED)]:
        value = os.environ.pop(name)
        if name.upper().startswith(NETWORK):
            os.environ[SET_ASIDE + name] = value  # the processes of pytest-xdist inherit it
    os.environ["LC_ALL"] = "C.UTF-8"


@pytest.fixture(scope="session")
def network() -> dict[str, str]:
    """The environment of a child that installs packages: with the proxies and authorities of this machine."""
    return {name.removeprefix(SET_ASIDE): value for name, value in os.environ.items()}


def _reset_signals() -> None:
    """Undo what `nohup`, `trap "" INT` or a shell's `&` leave ignored or blocked, here and in all children."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell without job control lets what it puts aside ignore it
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python starts; subprocess gives children the default
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Under nohup the run itself goes on after a hang-up. A handler does so too, and no child inherits it.
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, where a test ran into its time limit, what each thread and each task was waiting for."""
    report = yield
    if call.excinfo is not None and "from pytest-timeout" in str(call.excinfo.value):
        report.sections.append(("stacks at the time limit", _stacks()))
    return report


def _stacks() -> str:
    out = io.StringIO()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident != threading.get_ident():  # of which the traceback tells
            out.write(f"thread {names.get(ident, ident)}:\n")
            traceback.print_stack(frame, file=out)
    for task in gc.get_objects():
        if isinstance(task, asyncio.Task) and not task.done():
            task.print_stack(file=out)
    return out.getvalue()


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
    """Give async tests `no_leaked_tasks`, right after `no_leaks`, so that this one sees the loop closed."""
    if pytest_asyncio.is_async_test(item):
        item.fixturenames.insert(item.fixturenames.index("no_leaks") + 1, "no_leaked_tasks")


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide a login that whoever runs the tests has kept."""
    for folder in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):
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
