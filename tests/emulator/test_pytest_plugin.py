"""The fixture `bing_emulator`, as a user's test suite sees it."""

from __future__ import annotations

from urllib.request import urlopen

import pytest

from bing_llm.emulator import Emulator, Obedient

pytestmark = pytest.mark.system  # each runs a suite in a process of its own

pytest_plugins = ["pytester"]

SUITE = """
import asyncio
import urllib.request

import pytest

from bing_llm import BingClient, SyncBingClient, Throttled
from bing_llm.emulator import Scripted


def test_sync(bing_emulator):
    bing_emulator.brain = Scripted([["Hello ", "there."]])
    with SyncBingClient(backend="chathub", endpoint=bing_emulator.url) as bing:
        assert bing.ask("Hi").text == "Hello there."
    assert [request.kind for request in bing_emulator.requests] == ["creation", "chat"]
    assert bing_emulator.requests[-1].text == "Hi"


def test_async(bing_emulator):
    async def main():
        async with BingClient(backend="chathub", endpoint=bing_emulator.url) as bing:
            return await bing.ask("What is 3 + 4?")
    assert asyncio.run(main()).text == "7"


def test_errors(bing_emulator):
    bing_emulator.brain = Scripted([[Throttled()]])
    with SyncBingClient(backend="chathub", endpoint=bing_emulator.url) as bing, pytest.raises(Throttled):
        bing.ask("Hi")


def test_each_test_has_its_own(bing_emulator):
    assert bing_emulator.requests == []
"""


def test_a_suite_uses_the_emulator(pytester: pytest.Pytester) -> None:
    """The fixture gives each test a running emulator that sync and async code can talk to, and leaves nothing open."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(SUITE)
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:langsmith_plugin").assert_outcomes(passed=4)


FAULTS = """
import pytest

from bing_llm import SyncBingClient, Throttled
from bing_llm.emulator import Cut, Fault, HttpAnswer, Scripted


def test_reached(bing_emulator):
    bing_emulator.faults = [Fault(HttpAnswer(503), "creation"), Fault(Cut(), "mid", after=999, optional=True)]
    with SyncBingClient(backend="chathub", endpoint=bing_emulator.url) as bing:
        bing.ask("Hi")


def test_never_reached(bing_emulator):
    bing_emulator.faults = [Fault(Cut(), "mid", after=9)]
"""


def test_a_fault_that_is_never_reached_fails_the_test(pytester: pytest.Pytester) -> None:
    """A test with such a fault did not test what it says, unless the fault is optional."""
    pytester.makepyfile(FAULTS)
    done = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:langsmith_plugin")
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*Faults of bing_emulator were never reached:*", "*Cut(how='abort')*mid*"])


SCRIPTED = """
import pytest

from bing_llm import SyncBingClient
from bing_llm.errors import InvalidRequest, Throttled

pytestmark = pytest.mark.bing_script("scripts/all.yaml")


def test_module(bing_emulator):
    with SyncBingClient(backend="chathub", endpoint=bing_emulator.url) as bing:
        assert bing.ask("Hi").text == "Hello from the file."
        with pytest.raises(InvalidRequest, match="has no turn number 2; it has 1"):
            bing.ask("Hi")


@pytest.mark.bing_script("own.json")
def test_own(bing_emulator):
    with SyncBingClient(backend="chathub", endpoint=bing_emulator.url) as bing, pytest.raises(Throttled):
        bing.ask("Hi")


@pytest.mark.bing_script("never.yaml")
def test_never_reached(bing_emulator):
    pass


@pytest.mark.bing_script("wrong.yaml")
def test_wrong(bing_emulator):
    pass


@pytest.mark.bing_script
def test_no_path(bing_emulator):
    pass
"""


def test_a_marker_names_the_script_of_a_test(pytester: pytest.Pytester) -> None:
    """The file is the one that the command line reads, relative to the test's own; the nearest marker counts."""
    pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    scripts = pytester.mkdir("scripts")
    (scripts / "all.yaml").write_text("answers: [Hello from the file.]", encoding="utf-8")
    pytester.makefile(".json", own='{"answers": [{"error": "throttled"}]}')
    pytester.makefile(".yaml", never="faults: [{fault: cut, step: mid, after: 9}]", wrong="answers: [{txt: a}]")
    pytester.makepyfile(SCRIPTED)
    done = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:langsmith_plugin")
    done.assert_outcomes(passed=3, errors=3)
    done.stdout.fnmatch_lines(["*Faults of bing_emulator were never reached:*"])
    done.stdout.fnmatch_lines(["*wrong.yaml, line 1: answers?0? has the key 'txt'; it may have: text, *"])
    done.stdout.fnmatch_lines(['*bing_script takes the path of one file: @pytest.mark.bing_script("a.yaml")*'])


def test_the_fixture_runs_beside_the_test(bing_emulator: Emulator) -> None:
    """It answers a blocking call, since it runs on another thread, and begins with the default brain."""
    with urlopen(f"{bing_emulator.url}/turing/conversation/create") as response:  # noqa: S310 - our own server
        assert response.status == 200
    assert [request.kind for request in bing_emulator.requests] == ["creation"]
    assert isinstance(bing_emulator.brain, Obedient)


async def test_the_fixture_serves_coroutines_too(bing_emulator: Emulator) -> None:
    """An asynchronous test may use it as well."""
    assert bing_emulator.url.startswith("http://127.0.0.1:")
