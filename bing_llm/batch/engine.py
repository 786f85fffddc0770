"""What asks the rows of a batch: the interface of one machine and of many."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

from bing_llm.batch.rows import Row
from bing_llm.errors import BingError

__all__ = ["Engine"]


class Engine(Protocol):
    """Asks rows."""

    @property
    def stopped(self) -> BingError | None:
        """Why it takes no more rows though there may be some; None while it does, and after `stop`."""

    @property
    def turns(self) -> int:
        """Turns that were begun, those of rows that have given nothing included."""

    @property
    def waiting(self) -> str:
        """Why no turn is begun just now, for a person; "" while they are."""

    def answers(self, rows: AsyncIterator[Row]) -> AsyncGenerator[dict[str, Any], None]:
        """The output row of each row that was asked, as `rows.written` gives it, in the order of their ends.

        It takes a row only when it may begin it soon. To close the generator stops all that runs at once.
        """

    def stop(self) -> None:
        """Begin no further turn. `answers` ends when the open ones have ended; rows not asked give nothing."""
