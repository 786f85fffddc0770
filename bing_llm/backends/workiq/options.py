"""What a Work IQ request may choose: where the user is, what may be searched, which files count.

The service takes no model, no temperature and no system text (docs/protocol/workiq.md, section 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from bing_llm.errors import ConfigurationError

if TYPE_CHECKING:
    from bing_llm.services import Location

# No limit is documented; one client caps its messages here, and HTTP 413 is known (docs/protocol/workiq.md, section 4).
PROMPT_CHARACTERS: Final = 16_000

DEFAULT_MODEL = "copilot"
PROMPT_LIMITS: Mapping[str, int] = MappingProxyType({DEFAULT_MODEL: PROMPT_CHARACTERS})
"""The models, each with its longest prompt in characters: there is one, as the service does not let us choose."""

# The clouds in which the service is offered: global, and the two of the US government.
_SHAREPOINT = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us")
_ONEDRIVE = ("onedrive.live.com", "1drv.ms")

_IANA = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")


def check_time_zone(name: str) -> None:
    """Refuse what is not an IANA name.

    Raises:
        ConfigurationError: It is not.
    """
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


def check_location(location: Location) -> None:
    """Refuse coordinates that are not on the globe.

    Raises:
        ConfigurationError: They are not.
    """
    if not (abs(location.latitude) <= 90 and abs(location.longitude) <= 180):  # noqa: PLR2004 - the globe's own bounds
        msg = (
            f"The location has latitude {location.latitude} and longitude {location.longitude}; they are degrees, "
            f"from -90 to 90 and from -180 to 180."
        )
        raise ConfigurationError(msg)


def check_files(urls: Iterable[str]) -> None:
    """Refuse files that lie elsewhere than on SharePoint or OneDrive.

    Raises:
        ConfigurationError: One does.
    """
    for index, url in enumerate(urls):
        if not _is_file_url(url):
            # Without the URL: one to share a file lets in whoever has it.
            msg = f"files[{index}] is not an https URL on SharePoint (*.sharepoint.com) or OneDrive."
            hint = "Copy the file's address from its details, spaces as %20, or put the file there first."
            raise ConfigurationError(msg, hint=hint)


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
