"""Actors as Ray has them, without Ray: their calls run on this loop, and end with who made them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

from bing_llm.batch.cluster_gate import SharedGate


class Handle:
    """The shared gate, as one worker holds it. What is sent there and back goes through pickle.

    Args:
        gate: The gate; None for one that is gone.
    """

    def __init__(self, gate: SharedGate | None) -> None:
        self._gate = gate
        self._calls: list[asyncio.Future[Any]] = []

    def __getattr__(self, name: str) -> Method:
        return Method(self._calls, getattr(self._gate, name, _gone), sends_calls=name == "watch")

    def die(self) -> None:
        """The worker is killed: nobody waits for its calls any more; those that it has made go on."""
        for call in self._calls:
            if not call.done():
                call.set_exception(ConnectionError("The owner died."))
                call.exception()  # seen, also where nobody looks


class Method:
    """One method of an actor. With `sends_calls` it is sent references to calls, as only Ray can send them."""

    def __init__(self, calls: list[asyncio.Future[Any]], method: Callable[..., Any], *, sends_calls: bool) -> None:
        self._sends_calls = sends_calls
        self._calls = calls
        self._method = method

    def remote(self, *args: Any) -> asyncio.Future[Any]:
        """Call it."""
        call: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(call)
        if not self._sends_calls:
            args = pickle.loads(pickle.dumps(args))  # noqa: S301 - our own bytes
        task = asyncio.ensure_future(self._method(*args))
        task.add_done_callback(lambda done: _copy(done, call))
        return call


async def _gone(*_args: Any) -> None:
    raise ConnectionError("The actor died.")


def _copy(done: asyncio.Future[Any], call: asyncio.Future[Any]) -> None:
    if call.done() or done.cancelled():
        return
    if (exc := done.exception()) is not None:
        call.set_exception(exc)
        call.exception()
    else:
        call.set_result(pickle.loads(pickle.dumps(done.result())))  # noqa: S301 - our own bytes
