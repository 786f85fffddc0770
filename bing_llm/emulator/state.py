"""What all parts of one emulator share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bing_llm.emulator.brains.base import Brain
from bing_llm.emulator.chathub.uploads import Blobs
from bing_llm.emulator.conversations import Conversations
from bing_llm.emulator.fault_plan import FaultPlan
from bing_llm.emulator.received import Received

REQUESTS_KEPT = 1_000  # what a test looks at are the last few; an emulator that runs for days must not grow with them


@dataclass
class State:
    """The settings and the memory of one emulator; `Emulator` documents them."""

    brain: Brain
    conversations: Conversations
    workiq_conversations: Conversations
    clock: Callable[[], float]
    turn_limit: int
    lifetime: float
    context_limit: int
    ping_interval: float
    signed_in_body: bool
    plan: FaultPlan
    token: str = field(repr=False)
    requests: list[Received] = field(default_factory=list)
    blobs: Blobs = field(default_factory=Blobs)
    held: set[asyncio.Transport] = field(default_factory=set)  # of HTTP calls that get no answer

    def note(self, request: Received) -> None:
        """Keep a request, and drop the oldest if there are too many."""
        self.requests.append(request)
        del self.requests[:-REQUESTS_KEPT]
