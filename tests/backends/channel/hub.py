"""Turns of a ChatHub over a network that is a list."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from bing_llm import errors
from bing_llm._secrets import Redactor
from bing_llm.backends.channel import Channel
from bing_llm.backends.chathub.connection import State
from bing_llm.backends.chathub.turn import Turn
from bing_llm.limits import Deadline, Timeouts
from tests.backends.channel.network import Network, Step
from tests.backends.chathub.wire import ACK, bot, chat, update, wire

HELLO = update(bot("Hello"))
PINGED = wire({"type": 6})
LOST = errors.ConnectionLost("The connection broke while something was sent.")


class Hub(NamedTuple):
    """A turn over a network: its channel and its protocol."""

    channel: Channel
    turn: Turn

    async def ask(self, text: str = "Hello") -> None:
        """Send a request."""
        await self.channel.send(self.turn.ask(chat(text)))

    async def shake_hands(self) -> None:
        """Shake hands before there is a request."""
        await self.channel.handshake(self.turn.handshake())

    def alive(self) -> bool:
        """Whether a request may be sent after the handshake."""
        return self.channel.look() and self.turn.state is State.READY


def over(
    network: Network, timeouts: Timeouts | None = None, *secrets: str, turn: float = 900.0, label: str = "[turn t]"
) -> Hub:
    """A turn over this network."""
    deadline, protocol = Deadline(turn, network.clock, label), Turn()
    redactor = Redactor(*secrets)
    return Hub(Channel(network, protocol, timeouts or Timeouts(), deadline, redact=lambda: redactor), protocol)


class Other:
    """Another task of the loop, which counts its turns."""

    def __init__(self) -> None:
        self.turns = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


async def asked(*script: Step, timeouts: Timeouts | None = None, turn: float = 900.0) -> tuple[Channel, Network]:
    """A channel whose request was sent, and its network."""
    network = Network(*script)
    hub = over(network, timeouts, turn=turn)
    await hub.ask()
    return hub.channel, network


async def after_handshake(*script: Step) -> tuple[Hub, Network]:
    """A turn whose handshake is done, and its network with the rest of the script."""
    network = Network(0.5, ACK, *script)
    hub = over(network)
    await hub.shake_hands()
    return hub, network
