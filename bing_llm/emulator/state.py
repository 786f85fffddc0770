"""What one emulator keeps: what it was sent, the pictures that were uploaded, and the settings of all its parts."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web

from bing_llm.emulator.brains.base import Brain
from bing_llm.emulator.conversations import Conversations
from bing_llm.emulator.fault_plan import FaultPlan
from bing_llm.emulator.received import RECEIVED, Kind, Received, new_received
from bing_llm.emulator.script import Script
from bing_llm.errors import InvalidRequest
from bing_llm.images import Image, load_image

_MOST_PICTURES = 1_000
_MOST_PICTURE_BYTES = 64 * 2**20  # a turn refers to the picture that was uploaded just before it
REQUESTS_KEPT = 1_000  # what a test looks at are the last few; an emulator that runs for days must not grow with them


class Blobs:
    """Pictures by blob id: the last ones, of 64 MiB in all."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._ids: deque[tuple[str, str]] = deque()  # the oldest first
        self._bytes = 0

    def add_base64(self, text: str) -> tuple[str, str]:
        """Keep a picture; answer with its id and that of its processed form, both "" if it is not a picture."""
        try:
            image = load_image(base64.b64decode(text, validate=True))
        except (InvalidRequest, binascii.Error, ValueError):
            return ("", "")
        return self._add(image)

    def add_url(self, url: str) -> tuple[str, str]:
        """Keep the URL of a picture, which is not fetched; two ids, both "" if it is not a web address."""
        return self._add(Image(url=url)) if url.startswith(("http://", "https://")) else ("", "")

    def get(self, blob_id: str) -> Image | None:
        """The picture of this id."""
        return self._images.get(blob_id)

    def of_message(self, image_url: str | None, original_image_url: str | None) -> tuple[Image, ...]:
        """The picture that a message refers to: as uploaded where its URL has one of our ids, else the URL itself."""
        url = image_url or original_image_url
        if not url:
            return ()
        blob_id = _blob_id(url)
        return (self._images.get(blob_id) or Image(url=url),)

    def _add(self, image: Image) -> tuple[str, str]:
        ids = (secrets.token_urlsafe(16), secrets.token_urlsafe(16))
        self._images.update(dict.fromkeys(ids, image))
        self._ids.append(ids)
        self._bytes += _size(image)
        while len(self._ids) > 1 and (len(self._ids) > _MOST_PICTURES or self._bytes > _MOST_PICTURE_BYTES):
            oldest = [self._images.pop(blob_id) for blob_id in self._ids.popleft()]
            self._bytes -= _size(oldest[0])
        return ids


@dataclass
class State:
    """The settings and the memory of one emulator; `Emulator` documents them."""

    brain: Brain
    own_brain: Brain  # which answers where a script has no answers
    conversations: Conversations
    workiq_conversations: Conversations
    a2a_conversations: Conversations
    clock: Callable[[], float]
    turn_limit: int
    lifetime: float
    context_limit: int
    ping_interval: float
    signed_in_body: bool
    plan: FaultPlan
    token: str = field(repr=False)
    documented: bool = False  # whether Work IQ answers as its documents say, where live answers differ
    requests: list[Received] = field(default_factory=list)
    blobs: Blobs = field(default_factory=Blobs)
    closing: bool = False  # whether what is running ends with the emulator
    held: set[asyncio.Transport] = field(default_factory=set)  # of HTTP calls that get no answer

    def play(self, script: Script) -> None:
        """Let a script replace brain and faults; its own brain answers if the script has no answers."""
        brain, plan = script.brain(), FaultPlan(script.plan())  # both, before the first is set: one may be wrong
        self.brain = self.own_brain if brain is None else brain
        self.plan = plan

    def receive(
        self, request: web.Request, kind: Kind, *, body: Any = None, conversation_id: str = "", **typed: Any
    ) -> Received:
        """Keep an HTTP request; `typed` are further fields of it."""
        received = msgspec.structs.replace(
            new_received(request, kind), body=body, conversation_id=conversation_id, **typed
        )
        request[RECEIVED] = received
        self.note(received)
        return received

    def note(self, request: Received) -> None:
        """Keep a request, and drop the oldest if there are too many."""
        self.requests.append(request)
        del self.requests[:-REQUESTS_KEPT]


def _size(image: Image) -> int:
    return len(image.data) + len(image.url)


def _blob_id(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get("bcid", [""])[0]
    except ValueError:
        return ""
