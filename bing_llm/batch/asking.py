"""One row of a batch: its turns, through the gate, until it has an answer or has failed."""

from __future__ import annotations

import math
import time

import msgspec

from bing_llm._retry import Attempts
from bing_llm.batch.gate import Gate
from bing_llm.batch.pace import way_of
from bing_llm.batch.rows import Answered, Failed, Outcome, Row
from bing_llm.client import BingClient
from bing_llm.completion.prompt import build_prompt
from bing_llm.errors import BingError, ConfigurationError, RequestError
from bing_llm.events import Reply
from bing_llm.limits import Deadline, Retries
from bing_llm.messages import Prompt

__all__ = ["ask"]

_GIVEN_UP = BingError("The turn was given up before its end.")


async def ask(client: BingClient, row: Row, gate: Gate) -> Outcome | None:
    """Ask a row: as often as the client's retries say, and again after each turn that the service did not take.

    Returns:
        What came of it; None where the run was over before that was known.

    Raises:
        ConfigurationError: The client was closed.
    """
    asker = _Asker(gate, client.retries)
    try:
        one_attempt = msgspec.structs.replace(client.retries, attempts=1)  # retries never nest
        client = client.with_options(model=row.model, retries=one_attempt)
    except ConfigurationError as exc:  # of the row's own model
        return Failed(exc)
    try:
        prompt = _prompt_of(client, row)
        client.stream(prompt.text, context=prompt.context)  # checks them, and sends nothing
    except RequestError as exc:
        return Failed(exc)
    return await asker.ask(client, prompt, f"[row {row.number}]")


class _Asker:
    """The turns of one row.

    Attributes:
        turns: How many were begun.
        seconds: How long the last one took.
    """

    def __init__(self, gate: Gate, retries: Retries) -> None:
        self._gate = gate
        self._retries = retries
        self._clock = retries.clock or time.monotonic
        self.turns = 0
        self.seconds = 0.0

    async def ask(self, client: BingClient, prompt: Prompt, label: str) -> Outcome | None:
        # Without an end: each turn has one, and the gate knows for how long to be patient.
        attempts = Attempts(self._retries, Deadline(math.inf, self._clock, label))
        while (ticket := await self._gate.enter()) is not None:
            end = await self._turn(client, prompt, ticket)
            if isinstance(end, Reply):
                return Answered(end, self.turns, self.seconds)
            match way_of(end, client.backend.metering):
                case "stop":
                    return None
                case "wait":
                    continue
                case "fail":
                    return Failed(end, self.turns, self.seconds)
                case "retry":
                    try:
                        await attempts.failed(end)
                    except BingError as exc:
                        return Failed(exc, self.turns, self.seconds)
        return None

    async def _turn(self, client: BingClient, prompt: Prompt, ticket: float) -> Reply | BingError:
        self.turns += 1
        began = self._clock()
        error: BingError | None = _GIVEN_UP
        try:
            end: Reply | BingError = await client.ask(prompt.text, context=prompt.context)
            error = None
        except BingError as exc:
            end = error = exc
        finally:
            self.seconds = self._clock() - began
            await self._gate.leave(ticket, error)
        return end


def _prompt_of(client: BingClient, row: Row) -> Prompt:
    if row.messages is not None:
        return build_prompt(row.messages, limit=client.prompt_limit)
    return Prompt(row.prompt or "", row.context)
