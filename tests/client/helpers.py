"""What the tests of the client share."""

from __future__ import annotations

from typing import Any

from bing_llm.emulator import Emulator, Scripted
from bing_llm.emulator.brains.scripted import Line

PNG = b"\x89PNG\r\n\x1a\n"
SECRET = "5ecret-Cookie-Va1ue"
WORKIQ: dict[str, Any] = {"backend": "workiq", "token": SECRET, "time_zone": "Europe/Zurich"}


def name_of(exc: Exception) -> str:
    """The name of its class."""
    return type(exc).__name__


def script(*turns: list[Line]) -> Scripted:
    """A brain that plays these turns."""
    return Scripted(turns)


def kinds(emulator: Emulator) -> list[str]:
    """What the emulator was asked for."""
    return [request.kind for request in emulator.requests]
