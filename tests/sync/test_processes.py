"""The background loop of a whole process: forks, signals and exits."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.sync.sources import WAIT_S

FORK = """
import gc, os, threading, warnings
from bing_llm._loops import THREAD_NAME
from bing_llm.sync import background_loop, iterate, run

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # Python 3.12 and later

async def give(value):
    return value

async def count():
    yield 1
    yield 2

assert run(give(1)) == 1
inherited = background_loop()
child = os.fork()
if child == 0:
    assert run(give(2)) == 2
    assert list(iterate(count())) == [1, 2]
    assert background_loop() is not inherited
    assert [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 1
    gc.collect()
    grandchild = os.fork()
    if grandchild == 0:
        assert run(give(3)) == 3
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 7
    assert run(give(2)) == 2
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert run(give(4)) == 4
assert background_loop() is inherited
print("done")
"""

FORK_ON_THE_LOOP = """
import os, warnings
from bing_llm.sync import run

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

async def give(value):
    return value

def fork():
    child = os.fork()
    if child == 0:
        os._exit(run(give(7)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def fork_here():
    import asyncio
    done = asyncio.Event()
    result = []
    asyncio.get_running_loop().call_soon(lambda: (result.append(fork()), done.set()))
    await done.wait()
    return result

print(run(fork_here()))
"""

INTERRUPT = """
import asyncio, os, signal
from bing_llm.sync import run

async def work():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up")

try:
    run(work())
except KeyboardInterrupt:
    print("interrupted")
"""

EXIT = """
import asyncio
from bing_llm.sync import iterate, run

async def count():
    while True:
        yield 1

steps = iterate(count())
print(next(steps))
"""

EXIT_OF_A_DAEMON = """
import asyncio, threading
from bing_llm.sync import run

waiting = threading.Event()

async def work():
    waiting.set()
    await asyncio.sleep(0)

def again():
    while True:
        run(work())

threading.Thread(target=again, daemon=True).start()
waiting.wait()
print("left")
"""

LATE = """
import asyncio, atexit

async def give(value):
    return value

atexit.register(lambda: print(run(give("late"))))  # before the loop is imported: it is called after the loop's own
from bing_llm.sync import run

print(run(give("early")))
"""


def script(code: str) -> tuple[str, str]:
    """What a program of its own writes, with all warnings as errors; it must end well.

    No debug mode, which logs what is slow.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONASYNCIODEBUG": "", "PYTHONDEVMODE": ""},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("code", "written"), [(FORK, "done"), (FORK_ON_THE_LOOP, "[7]")] if hasattr(os, "fork") else []
)
def test_a_forked_child_has_a_loop_of_its_own(code: str, written: str) -> None:
    """After a fork the child starts its own thread, the parent keeps its own, and nothing warns."""
    assert script(code) == (written, "")


def test_ctrl_c_cancels_and_waits() -> None:
    """A real SIGINT in the main thread comes out as KeyboardInterrupt, after the clean-up."""
    assert script(INTERRUPT) == ("cleaned up\ninterrupted", "")


def test_the_thread_does_not_hold_the_process() -> None:
    """A program ends while the loop runs and an iterator is open, without a word."""
    assert script(EXIT) == ("1", "")


def test_a_daemon_thread_may_go_on() -> None:
    """A thread that asks for more and more when the program ends is left waiting, and does not complain of it."""
    assert script(EXIT_OF_A_DAEMON) == ("left", "")


def test_the_loop_serves_what_is_called_at_the_very_end() -> None:
    """What the caller registered with `atexit` may still call, after what was open has been closed."""
    assert script(LATE) == ("early\nlate", "")


@pytest.mark.parametrize("backend", ["endpoint=sys.argv[1]", "backend='emulator'"])
def test_a_script_may_leave_a_client_open(backend: str, bing_emulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends without closing its client says nothing of it, with all warnings shown."""
    asked = "print(b.ask('What is 6 times 7?').text)"
    code = f"import sys; from bing_llm import SyncBingClient; b = SyncBingClient({backend}); {asked}"
    assert left_open(code, bing_emulator.url, monkeypatch).startswith("42")


STREAM = """
from bing_llm import SyncBingClient
b = SyncBingClient(backend="emulator")
turn = b.stream("What is new in Python?")
print(type(next(turn)).__name__)
"""

PENDING = """
import asyncio
from bing_llm import BingClient

async def leave():
    b = BingClient(backend="emulator")
    await b.ask("Hello")
    turn = b.stream("What is new in Python?")
    await turn.__anext__()
    task = asyncio.create_task(turn.reply())
    await asyncio.sleep(0)
    print("left")

asyncio.run(leave())
"""

DAEMON = """
import threading
from bing_llm import SyncBingClient
b = SyncBingClient(backend="emulator")
streams = threading.Event()

def stream():
    while True:
        for _ in b.stream("What is new in Python?"):
            streams.set()

threading.Thread(target=stream, daemon=True).start()
streams.wait()
print("left")
"""


@pytest.mark.parametrize("code", [STREAM, PENDING, DAEMON])
def test_a_script_may_leave_a_turn_open(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends in the middle of a turn says nothing of it: nor does the emulator, which was answering."""
    assert left_open(code, "", monkeypatch)


def left_open(code: str, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a program writes that ends without a complaint, with all warnings shown."""
    monkeypatch.delenv("PYTHONASYNCIODEBUG", raising=False)  # it logs what is slow
    command = [sys.executable, "-W", "default", "-c", code, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
