"""What the settings of Work IQ mean on its wire: models, time zones, locations, files, URLs.

The service takes no model, no temperature and no system text (docs/protocol/workiq.md, section 4). Every URL follows
from one base URL (sections 0 and 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import msgspec

from bing_llm._urls import checked_url
from bing_llm.errors import ConfigurationError

if TYPE_CHECKING:
    from bing_llm.services import Location

# No limit is documented; one client caps its messages here, and HTTP 413 is known (docs/protocol/workiq.md, section 4).
PROMPT_CHARACTERS: Final = 16_000

DEFAULT_MODEL = "copilot"
PROMPT_LIMITS: Mapping[str, int] = MappingProxyType({DEFAULT_MODEL: PROMPT_CHARACTERS})
"""The models, each with its longest prompt in characters: there is one, as the service does not let us choose."""

# The service itself gives up after some 300 s, and its first bytes may come that late (docs/protocol/workiq.md, section
# 12): 30 s more, so that its own error arrives.
TIME_LIMITS: Mapping[str, float] = MappingProxyType({"silence": 330.0, "answer": 330.0})
"""The time limits that differ from the defaults of `Timeouts`, in seconds."""

# The clouds in which the service is offered: global, and the two of the US government.
_SHAREPOINT = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us")
_ONEDRIVE = ("onedrive.live.com", "1drv.ms")

_IANA = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")

_ZONE_HINT = "Pass time_zone= with an IANA name, such as 'Europe/Zurich'"


def check_time_zone(name: str) -> None:
    """Refuse what is not an IANA name.

    Raises:
        ConfigurationError: It is not.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415 - slow; for Work IQ alone

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


def local_time_zone() -> str:
    """The machine's time zone, such as `Europe/Zurich`; tzlocal of the extra `workiq` finds it.

    Raises:
        ConfigurationError: tzlocal is not installed, or finds none.
    """
    try:
        import tzlocal  # noqa: PLC0415 - an extra
    except ImportError as exc:
        msg = "The time zone of this machine is not known: tzlocal is not installed."
        raise ConfigurationError(msg, hint=f'{_ZONE_HINT}, or: pip install "bing-llm[workiq]"') from exc
    try:
        name = tzlocal.get_localzone_name()
    except Exception as exc:  # its errors differ by platform: LookupError, ValueError, OSError
        raise ConfigurationError(f"The time zone of this machine is not known: {exc}", hint=f"{_ZONE_HINT}.") from exc
    if not name:
        raise ConfigurationError("The time zone of this machine has no name.", hint=f"{_ZONE_HINT}.")
    return str(name)


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


# --- where the service is ---------------------------------------------------------------------------------------------

PUBLIC_BASE = "https://workiq.svc.cloud.microsoft/rest"

_ALLOWED = (
    f"Allowed: one http(s) base URL, such as '{PUBLIC_BASE}' or, for the preview on Microsoft Graph, "
    "'https://graph.microsoft.com/beta/copilot'."
)


class Endpoints(msgspec.Struct, frozen=True):
    """The URLs of one service; `host` is what tokens are checked for."""

    base: str

    @property
    def host(self) -> str:
        """The host, in lower case."""
        return urlsplit(self.base).hostname or ""

    @property
    def create(self) -> str:
        """Where a conversation is created."""
        return f"{self.base}/conversations"

    def turn(self, conversation_id: str, *, over_stream: bool = True) -> str:
        """Where a turn of this conversation is asked for; the id cannot lead elsewhere."""
        return f"{self.create}/{quote(conversation_id, safe='')}/{'chatOverStream' if over_stream else 'chat'}"


def resolve(endpoint: object, *, allow_insecure: bool = False) -> Endpoints:
    """The URLs that follow from a base URL; None for Work IQ's.

    Raises:
        ConfigurationError: No URL, or plain http to another machine without `allow_insecure`.
    """
    if endpoint is None:
        return Endpoints(PUBLIC_BASE)
    base = checked_url(
        endpoint, ("http", "https"), allow_insecure=allow_insecure, allowed=_ALLOWED, credentials="token="
    )
    return Endpoints(base.rstrip("/"))


# --- where its agents are (docs/protocol/a2a.md, section 1) -----------------------------------------------------------

PUBLIC_A2A_BASE = "https://workiq.svc.cloud.microsoft/a2a"

_A2A_PATH = "/a2a"
_REST_PATHS = ("/rest/beta", "/rest")
_GRAPH_PATH = "/copilot"


def resolve_rest(endpoint: object, *, allow_insecure: bool = False) -> Endpoints:
    """Resolve the options of a client that asks over REST; see `resolve`.

    Raises:
        ConfigurationError: Also, that it is the base URL of A2A.
    """
    endpoints = resolve(endpoint, allow_insecure=allow_insecure)
    if endpoints.base.endswith(_A2A_PATH):
        msg = f"The endpoint {endpoints.base!r} is that of A2A, and the protocol is REST."
        raise ConfigurationError(msg, hint="Pass agent=, or protocol='a2a' for Copilot itself.")
    return endpoints


def resolve_a2a(endpoint: object, *, allow_insecure: bool = False) -> Endpoints:
    """The base URL of A2A: `/a2a` beside a base URL of REST, else the URL itself; None for Work IQ's.

    Raises:
        ConfigurationError: No URL, plain http to another machine without `allow_insecure`, or the preview on Microsoft
            Graph, which has no agents.
    """
    if endpoint is None:
        return Endpoints(PUBLIC_A2A_BASE)
    base = resolve(endpoint, allow_insecure=allow_insecure).base
    for path in _REST_PATHS:
        if base.endswith(path):
            return Endpoints(f"{base.removesuffix(path)}{_A2A_PATH}")
    if base.endswith(_GRAPH_PATH):
        msg = f"The endpoint {base!r} is the preview on Microsoft Graph, which has no A2A."
        raise ConfigurationError(msg, hint=f"Leave endpoint= out, or pass Work IQ's own, such as {PUBLIC_A2A_BASE!r}.")
    return Endpoints(base)


def check_agent(agent: str | None) -> None:
    """Refuse what cannot be the id of an agent.

    Raises:
        ConfigurationError: It is blank or not printable, or a path (`.` and `..`).
    """
    if agent is not None and (not agent.strip() or not agent.isprintable() or agent in {".", ".."}):
        msg = f"agent is {agent!r}, which is not the id of an agent."
        raise ConfigurationError(msg, hint="Copy it from the address bar of Copilot Chat, or leave agent= out.")
