"""One turn in a view, and what Ctrl-C does to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bing_llm.cli.reporting import complain
from bing_llm.cli.views import View
from bing_llm.errors import BingError
from bing_llm.events import Reply
from bing_llm.turn import TurnStream

__all__ = ["RunningTurn"]


class RunningTurn:
    """A turn that is shown while it runs.

    Args:
        turn: The turn; it is closed when it has been shown.
        view: Where.
    """

    def __init__(self, turn: TurnStream, view: View) -> None:
        self._turn = turn
        self._view = view
        self._stopping: asyncio.Task[None] | None = None

    async def show(self) -> Reply:
        """Show the turn to its end; answer with its reply.

        Raises:
            BingError: The turn failed; what had come is shown.
        """
        try:
            async with self._turn:
                with self._view:
                    async for event in self._turn:
                        self._view.show(event)
                reply = await self._turn.reply()
        finally:
            if self._stopping is not None:
                self._stopping.cancel()  # the turn is over, there is nothing left to stop
                await asyncio.gather(self._stopping, return_exceptions=True)
        if reply.revoked:
            complain(f"The service withdrew this answer. {reply.notice}")
        return reply

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping is not None

    def stop(self) -> bool:
        """Ask the service to end the answer, what came is kept; False if it was asked before."""
        if self._stopping is not None:
            return False
        self._stopping = asyncio.ensure_future(self._stop())
        return True

    async def _stop(self) -> None:
        with suppress(BingError):  # who reads the turn is told of a broken connection too
            await self._turn.stop()
