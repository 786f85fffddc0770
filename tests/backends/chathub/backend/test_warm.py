"""A socket that waits for its first turn. The network is a list, and the time passes only where a test says so."""

from __future__ import annotations

import math

import pytest

from bing_llm._secrets import Redactor
from bing_llm.backends.channel import Channel
from bing_llm.backends.chathub.backend import WarmSocket
from bing_llm.backends.chathub.request import ChatHubConversation
from bing_llm.backends.chathub.turn import Turn
from bing_llm.errors import ConnectionLost
from bing_llm.limits import Deadline, Timeouts
from tests.backends.channel.network import Network
from tests.backends.chathub.wire import ACK, PING

CONVERSATION = ChatHubConversation("c1", "u1", "s1", "e1")


async def warm_over(network: Network) -> WarmSocket:
    """A conversation whose socket is ready."""
    turn = Turn()
    channel = Channel(network, turn, Timeouts(), Deadline(5.0, network.clock, "[warm t]"), redact=Redactor)
    await channel.handshake(turn.handshake())
    channel.begin(Deadline(math.inf, network.clock, "[warm t]"))
    return WarmSocket(CONVERSATION, turn, channel)


async def test_it_outlives_the_deadline_of_its_making() -> None:
    """It is pinged and lives on for hours, as long as the service is heard of."""
    network = Network(ACK)
    warm = await warm_over(network)
    for _ in range(1000):
        network.now += 15.0
        network.script.append(PING)
        assert warm.alive()
        await warm.keep_alive()
    assert len(network.sent_of(6)) == 1000
    assert warm.handle is CONVERSATION


async def test_a_broken_socket_is_a_lost_connection() -> None:
    """A ping that cannot be sent says so."""
    network = Network(ACK)
    warm = await warm_over(network)
    network.broken = ConnectionLost()
    with pytest.raises(ConnectionLost):
        await warm.keep_alive()


async def test_to_close_it_is_to_drop_its_socket() -> None:
    """Once."""
    network = Network(ACK)
    warm = await warm_over(network)
    warm.close()
    warm.close()
    assert network.ends == ["abort"]
