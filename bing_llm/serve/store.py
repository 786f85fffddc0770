"""The responses that `previous_response_id` may name: the items of each, in the memory of the process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bing_llm.serve.errors import ApiError
from bing_llm.serve.responses import InputItem

MOST_RESPONSES: Final = 1_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all bodies that led to what is kept: a picture has some megabytes, and so have long histories."""


class Stored(NamedTuple):
    """What is kept of a response.

    Attributes:
        items: The items of the conversation up to it: those of all inputs and outputs, without instructions.
        size: The bytes of the bodies from which they come.
    """

    items: tuple[InputItem, ...] = ()
    size: int = 0


class ResponseStore:
    """Keeps the newest responses; what was used last goes last."""

    def __init__(self, *, most: int = MOST_RESPONSES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._stored = OrderedDict[str, Stored]()
        self._size = 0

    def get(self, response_id: str) -> Stored:
        """What is kept of a response.

        Raises:
            ApiError: It is not there: never made here, made with `store=false`, or forgotten.
        """
        found = self._stored.get(response_id)
        if found is None:
            msg = (
                f"Previous response with id {response_id!r:.100} not found. This server keeps the newest ones, "
                "while it runs. Send the whole history as input."
            )
            raise ApiError(400, msg, code="previous_response_not_found", param="previous_response_id")
        self._stored.move_to_end(response_id)
        return found

    def put(self, response_id: str, stored: Stored) -> None:
        """Keep a response, and forget the oldest ones if there are too many."""
        self._stored[response_id] = stored
        self._size += stored.size
        while len(self._stored) > self._most or self._size > self._most_bytes:
            _, oldest = self._stored.popitem(last=False)
            self._size -= oldest.size
