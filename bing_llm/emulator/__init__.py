"""A local server that speaks the ChatHub and Work IQ, for tests and for trying things out without any service.

    async with Emulator() as emulator:
        ...  # BingClient(backend="chathub", endpoint=emulator.url)
        ...  # BingClient(backend="workiq", endpoint=emulator.workiq_url, token=emulator.token)
        ...  # BingClient(agent="P_researcher.emulator", endpoint=emulator.a2a_url, token=emulator.token)

Its answers come from a brain: `Obedient` (the default), `Scripted` or `Upstream`. Each `Fault` is something that goes
wrong on purpose. Names are loaded when first used, so that importing this package imports no network code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bing_llm._lazy import lazy_exports

if TYPE_CHECKING:
    from bing_llm.emulator.brains.base import Brain, Cited, PastTurn, Question
    from bing_llm.emulator.brains.rules import Obedient
    from bing_llm.emulator.brains.scripted import Pause, Scripted
    from bing_llm.emulator.brains.upstream import Upstream
    from bing_llm.emulator.fault_plan import Fault, FaultPoint
    from bing_llm.emulator.faults import (
        Cut,
        Duplicate,
        HandshakeRefused,
        HttpAnswer,
        Late,
        Merge,
        NewMessage,
        Raw,
        Silence,
        Split,
    )
    from bing_llm.emulator.received import Received
    from bing_llm.emulator.script import Script
    from bing_llm.emulator.server import Emulator
    from bing_llm.emulator.workiq.a2a.agents import Agent

__all__ = [
    "Agent",
    "Brain",
    "Cited",
    "Cut",
    "Duplicate",
    "Emulator",
    "Fault",
    "FaultPoint",
    "HandshakeRefused",
    "HttpAnswer",
    "Late",
    "Merge",
    "NewMessage",
    "Obedient",
    "PastTurn",
    "Pause",
    "Question",
    "Raw",
    "Received",
    "Script",
    "Scripted",
    "Silence",
    "Split",
    "Upstream",
]

_OWNERS = {
    "Agent": "workiq.a2a.agents",
    "Brain": "brains.base",
    "Cited": "brains.base",
    "Cut": "faults",
    "Duplicate": "faults",
    "Emulator": "server",
    "Fault": "fault_plan",
    "HandshakeRefused": "faults",
    "HttpAnswer": "faults",
    "Late": "faults",
    "Merge": "faults",
    "FaultPoint": "fault_plan",
    "NewMessage": "faults",
    "Obedient": "brains.rules",
    "PastTurn": "brains.base",
    "Pause": "brains.scripted",
    "Question": "brains.base",
    "Raw": "faults",
    "Received": "received",
    "Script": "script",
    "Scripted": "brains.scripted",
    "Silence": "faults",
    "Split": "faults",
    "Upstream": "brains.upstream",
}


__getattr__, __dir__ = lazy_exports(__name__, _OWNERS)
