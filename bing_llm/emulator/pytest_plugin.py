"""The pytest fixture `bing_emulator`, which the package registers: tests of your own chains need no service.

    def test_my_chain(bing_emulator):
        bing_emulator.brain = Scripted([["Hello ", "there."]])
        with SyncBingClient(endpoint=bing_emulator.url) as bing:
            assert my_chain(bing) == "Hello there."
        assert bing_emulator.requests[-1].text == "..."

Importing this module imports no network code: pytest loads it in every project that has the package installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bing_llm.emulator.server import Emulator


@pytest.fixture
def bing_emulator() -> Iterator[Emulator]:
    """A running `Emulator`, new for each test, for synchronous and asynchronous tests alike.

    It runs on the background loop of `bing_llm.sync`. Its brain is `Obedient` without pauses; set `.brain` to another
    one. If a fault of its plan was never reached, the test fails when it ends, unless the fault is
    `Fault(..., optional=True)`.
    """
    from bing_llm.emulator.brains.rules import Obedient  # noqa: PLC0415 - see the module docstring
    from bing_llm.emulator.server import Emulator  # noqa: PLC0415

    with Emulator(Obedient(pace=0)) as emulator:
        yield emulator
        left = [fault for fault in emulator.faults if not fault.optional]
    if left:
        shown = "\n".join(f"  {fault}" for fault in left)
        pytest.fail(
            f"Faults of bing_emulator were never reached:\n{shown}\nIf that is meant, make them optional.",
            pytrace=False,
        )
