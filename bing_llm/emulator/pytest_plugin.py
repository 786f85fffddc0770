"""The pytest fixture `bing_emulator`, which the package registers: tests of your own chains need no service.

    def test_my_chain(bing_emulator):
        bing_emulator.brain = Scripted([["Hello ", "there."]])
        with SyncBingClient(endpoint=bing_emulator.url) as bing:
            assert my_chain(bing) == "Hello there."
        assert bing_emulator.requests[-1].text == "..."

    @pytest.mark.bing_script("answers.yaml")
    def test_my_app(bing_emulator): ...

The path is that of a script (`docs/emulator.md`), relative to the folder of the test's file.

Importing this module imports no network code: pytest loads it in every project that has the package installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bing_llm.emulator.script import Script
    from bing_llm.emulator.server import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker: `--strict-markers` refuses those that nobody has."""
    line = "bing_script(path): what bing_emulator answers, from a file relative to the folder of the test's"
    config.addinivalue_line("markers", line)


@pytest.fixture
def bing_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A running `Emulator`, new for each test, for synchronous and asynchronous tests alike.

    It runs on the background loop of `bing_llm.sync`. Its brain is `Obedient` without pauses; set `.brain` to another
    one, or mark the test, its class or its module with `bing_script("answers.yaml")`. If a fault of its plan was never
    reached, the test fails when it ends, unless the fault is `Fault(..., optional=True)`.
    """
    from bing_llm.emulator.brains.rules import Obedient  # noqa: PLC0415 - see the module docstring
    from bing_llm.emulator.server import Emulator  # noqa: PLC0415

    script = _script_of(request.node)
    with Emulator(Obedient(pace=0)) as emulator:
        if script is not None:
            emulator.play(script)
        yield emulator
        left = [fault for fault in emulator.faults if not fault.optional]
    if left:
        shown = "\n".join(f"  {fault}" for fault in left)
        pytest.fail(
            f"Faults of bing_emulator were never reached:\n{shown}\nIf that is meant, make them optional.",
            pytrace=False,
        )


def _script_of(test: pytest.Item) -> Script | None:
    """The script of the nearest marker."""
    marker = test.get_closest_marker("bing_script")
    if marker is None:
        return None
    from bing_llm.emulator.script import Script  # noqa: PLC0415 - see the module docstring
    from bing_llm.errors import ConfigurationError  # noqa: PLC0415

    match marker.args:
        case (str() | Path() as path,) if not marker.kwargs:
            try:
                return Script.read(test.path.parent / path)
            except ConfigurationError as exc:
                pytest.fail(str(exc), pytrace=False)
        case _:
            pytest.fail('bing_script takes the path of one file: @pytest.mark.bing_script("a.yaml")', pytrace=False)
