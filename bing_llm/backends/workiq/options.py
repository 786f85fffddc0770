"""What a Work IQ request may choose: where the user is, what may be searched, which files count.

The service takes no model, no temperature and no system text (docs/protocol/workiq.md, section 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from bing_llm._checks import check_types
from bing_llm.backends.chathub.options import Location
from bing_llm.errors import ConfigurationError, InvalidRequest

__all__ = ["DEFAULT_MODEL", "MODELS", "PROMPT_CHARACTERS", "Location", "WorkIQOptions"]

# No limit is documented; one client caps its messages here, and HTTP 413 is known (docs/protocol/workiq.md, section 4).
PROMPT_CHARACTERS: Final = 16_000

DEFAULT_MODEL = "copilot"
MODELS: Mapping[str, str] = MappingProxyType({DEFAULT_MODEL: "Microsoft 365 Copilot"})
"""The models by name, with the name of the service behind each: it lets nobody choose."""

# The clouds in which the service is offered: global, and the two of the US government.
_SHAREPOINT = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us")
_ONEDRIVE = ("onedrive.live.com", "1drv.ms")

_IANA = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")


class WorkIQOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the service shall answer.

    Attributes:
        time_zone: The user's time zone by its IANA name, such as `Europe/Zurich`; the service refuses a turn without.
        model: A name in `MODELS`.
        search: Whether the service may search the web. What the user may see in Microsoft 365 is searched in any case.
        location: Where the user is; its radius and hints are ChatHub's alone. None leaves it out.
        files: Files that the answer shall draw on: https URLs on SharePoint or OneDrive.
        entity_tags: Whether the tags `<Person>`, `<File>` and `<Event>` around names in the text stay. `strip` leaves
            out the tags, not the names, wherever they stand, code included.
        over_stream: Whether an answer comes while it is written (`chatOverStream`), or at once, when it is whole
            (`chat`).
        prompt_limit: The longest prompt, in characters; None takes 16,000, as one client does.
    """

    time_zone: str
    model: str = DEFAULT_MODEL
    search: bool = True
    location: Location | None = None
    files: tuple[str, ...] = ()
    entity_tags: Literal["keep", "strip"] = "keep"
    over_stream: bool = True
    prompt_limit: int | None = None

    def check(self) -> None:
        """Refuse what the service could not understand.

        Raises:
            ConfigurationError: A name is unknown, a value has another form, or a file lies elsewhere; the text names
                what is allowed.
        """
        check_types(self, "The options")
        _check_model(self.model)
        _check_time_zone(self.time_zone)
        if self.location is not None:
            _check_location(self.location)
        for index, url in enumerate(self.files):
            if not _is_file_url(url):
                # Without the URL: one to share a file lets in whoever has it.
                msg = f"files[{index}] is no https URL on SharePoint (*.sharepoint.com) or OneDrive."
                hint = "Copy the file's address from its details, spaces as %20, or put the file there first."
                raise ConfigurationError(msg, hint=hint)
        if self.prompt_limit is not None and self.prompt_limit < 1:
            msg = f"prompt_limit is {self.prompt_limit}; it must be at least 1 character, or None."
            raise ConfigurationError(msg)

    @property
    def longest_prompt(self) -> int:
        """The longest prompt that is taken, in characters."""
        return self.prompt_limit or PROMPT_CHARACTERS

    def with_model(self, model: str) -> WorkIQOptions:
        """The same for another model.

        Raises:
            ConfigurationError: It is not known.
        """
        _check_model(model)
        return msgspec.structs.replace(self, model=model)

    def check_prompt(self, text: str) -> None:
        """Refuse a prompt that the service would not take.

        Raises:
            InvalidRequest: It is empty, or longer than the limit.
        """
        if not text.strip():
            raise InvalidRequest("The prompt is empty.", hint="Pass some text to answer.")
        limit = self.longest_prompt
        if len(text) > limit:
            msg = f"The prompt has {len(text):,} characters; {self.model} takes at most {limit:,}."
            raise InvalidRequest(msg, hint="Shorten it, or move text into the context.")


def _check_model(model: object) -> None:
    if not isinstance(model, str) or model not in MODELS:
        raise ConfigurationError(f"The model {model!r} is not known; allowed: {', '.join(MODELS)}.")


def _check_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Windows has no zones of its own for Python: without the package tzdata only the form can be looked at.
        if _IANA.fullmatch(name) and not available_timezones():
            return
        hint = "Take the name from the IANA list, such as 'Europe/Zurich', 'America/New_York' or 'UTC'."
        if name.endswith(" Time"):
            hint = f"That is a name as Windows has them; the service takes IANA names. {hint}"
        raise ConfigurationError(f"The time zone {name!r} is not known.", hint=hint) from None


def _check_location(location: Location) -> None:
    if not (abs(location.latitude) <= 90 and abs(location.longitude) <= 180):  # noqa: PLR2004 - the globe's own bounds
        msg = (
            f"The location has latitude {location.latitude} and longitude {location.longitude}; they are degrees, "
            f"from -90 to 90 and from -180 to 180."
        )
        raise ConfigurationError(msg)


def _is_file_url(url: str) -> bool:
    if not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or "@" in parts.netloc or port not in {None, 443}:
        return False
    return parts.path.strip("/") != "" and (host.endswith(_SHAREPOINT) or host in _ONEDRIVE)
