"""What is noted of each request, and its line in the access log: no text, no header, no name that the caller chose."""

from __future__ import annotations

import logging
import uuid
from typing import Final

ACCESS_LOG: Final = "bing_llm.serve.access"

_log = logging.getLogger(ACCESS_LOG)

CLIENT_GONE: Final = 499
"""The status, as nginx has it, where the caller left before the answer."""


class Record:
    """What is known of a request.

    Attributes:
        request_id: Its id, which the caller gets as `x-request-id`.
        route: The path of its route.
        model: The name of the model that answered, "" if none was asked.
        stream: Whether the answer was streamed.
        turns: How many turns the service was asked.
        finish_reason: Why the answer ended.
        error: The code of its error, "" for none.
    """

    def __init__(self, method: str, route: str) -> None:
        self.request_id = f"req_{uuid.uuid4().hex}"
        self.method = method
        self.route = route
        self.model = ""
        self.stream = False
        self.turns = 0
        self.finish_reason: str | None = None
        self.error = ""

    def log(self, status: int, seconds: float) -> None:
        """Write the line."""
        parts = [
            f"{self.method} {self.route} {status} {seconds * 1000:.0f}ms id={self.request_id}",
            *([f"model={self.model}"] if self.model else []),
            *(["stream"] if self.stream else []),
            *([f"turns={self.turns}"] if self.turns else []),
            *([f"finish={self.finish_reason}"] if self.finish_reason else []),
            *([f"error={self.error}"] if self.error else []),
        ]
        _log.info("%s", " ".join(parts))
