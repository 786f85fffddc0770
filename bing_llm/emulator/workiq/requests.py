"""What a turn of Work IQ asks, read as strictly as by the service, without I/O (docs/protocol/workiq.md, section 4)."""

from __future__ import annotations

import functools
import zoneinfo

import msgspec

from bing_llm.errors import InvalidRequest


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """Unknown fields are ignored: SDKs send `@odata.type` and more."""


class TurnMessage(_Part, frozen=True):
    """The user's message: text, and nothing else."""

    text: str


class LocationHint(_Part, frozen=True):
    """Where the user is. Only the time zone is required."""

    time_zone: str
    latitude: float | None = None
    longitude: float | None = None
    country_or_region: str | None = None
    country_or_region_confidence: float | None = None


class ContextMessage(_Part, frozen=True):
    """One text that the answer may draw on."""

    text: str | None = None
    description: str | None = None


class File(_Part, frozen=True):
    """A file in OneDrive or SharePoint."""

    uri: str


class WebContext(_Part, frozen=True):
    """Whether this turn may search the web."""

    is_web_enabled: bool | None = True


class ContextualResources(_Part, frozen=True):
    """What the answer may draw on."""

    files: list[File] | None = None
    web_context: WebContext | None = None


class ChatBody(_Part, frozen=True):
    """The body of `chat` and of `chatOverStream`."""

    message: TurnMessage
    location_hint: LocationHint
    additional_context: list[ContextMessage] | None = None
    contextual_resources: ContextualResources | None = None

    @property
    def context(self) -> str:
        """The texts of the additional context, joined by empty lines."""
        return "\n\n".join(message.text for message in self.additional_context or () if message.text)

    @property
    def search(self) -> bool:
        """Whether the turn may search the web: yes, unless it says no."""
        web = (self.contextual_resources or ContextualResources()).web_context
        return web is None or web.is_web_enabled is not False

    @property
    def files(self) -> tuple[str, ...]:
        """The URLs of the files."""
        resources = self.contextual_resources or ContextualResources()
        return tuple(file.uri for file in resources.files or ())

    @property
    def characters(self) -> int:
        """How long message and context are together."""
        return len(self.message.text) + sum(len(message.text or "") for message in self.additional_context or ())


def read_chat(body: bytes) -> ChatBody:
    """The body of a turn.

    Raises:
        InvalidRequest: The service would refuse it; `service_message` says why.
    """
    try:
        chat = msgspec.json.decode(body, type=ChatBody)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise _refusal(f"The request body is not valid: {exc}") from exc
    if not chat.message.text:
        raise _refusal("The message has no text.")
    zone = chat.location_hint.time_zone
    if not is_time_zone(zone):
        raise _refusal(f"The time zone '{zone}' of locationHint is not an IANA name.")
    for uri in chat.files:
        if not uri.startswith("https://"):
            raise _refusal(f"'{uri}' is not the URL of a file in OneDrive or SharePoint.")
    return chat


def is_time_zone(zone: str) -> bool:
    """Whether it is a name of the time zone database; without a database, any name that has no space."""
    known = _zones()
    return zone in known if known else bool(zone) and " " not in zone


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(service_message=why)
