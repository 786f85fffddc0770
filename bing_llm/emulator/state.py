"""What all parts of one emulator share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bing_llm.emulator.blobs import Blobs
from bing_llm.emulator.brains.base import Brain
from bing_llm.emulator.conversations import Conversations
from bing_llm.emulator.received import Received
from bing_llm.errors import BingError

__all__ = ["State"]


@dataclass
class State:
    """The settings and the memory of one emulator; `Emulator` documents them."""

    brain: Brain
    conversations: Conversations
    clock: Callable[[], float]
    turn_limit: int
    lifetime: float
    context_limit: int
    ping_interval: float
    signed_in_body: bool
    creation_failures: list[BingError]
    requests: list[Received] = field(default_factory=list)
    blobs: Blobs = field(default_factory=Blobs)
