"""A conversation of the ChatHub whose socket is open and whose handshake is done, before there is a prompt."""

from __future__ import annotations

import math

from bing_llm.backends.chathub.channel import ChatHubChannel
from bing_llm.backends.chathub.creation import ChatHubConversation
from bing_llm.limits import Deadline

__all__ = ["WarmSocket"]


class WarmSocket:
    """Implements `bing_llm.backends.base.WarmConversation`.

    Args:
        handle: The conversation.
        channel: Its socket, after the handshake.
        deadline: That of its making, whose clock and label stay; as long as it waits, there is no other limit.
    """

    def __init__(self, handle: ChatHubConversation, channel: ChatHubChannel, deadline: Deadline) -> None:
        self.handle = handle
        self.channel = channel.under(Deadline(math.inf, deadline.clock, deadline.label))

    def alive(self) -> bool:
        """Whether its socket is open, and the service was heard of within `timeouts.silence`."""
        return self.channel.alive()

    async def keep_alive(self) -> None:
        """Send a ping."""
        await self.channel.ping()

    def close(self) -> None:
        """Drop the socket."""
        self.channel.close()
