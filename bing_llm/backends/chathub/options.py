"""What the settings of a ChatHub mean on its wire: models (styles), option sets, message types, the locale, URLs.

The data have their source in docs/protocol/chathub.md, sections a, d and j. The service ignores option names that it
does not know, and no live service is known to read them today.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from bing_llm._urls import checked_url, origin
from bing_llm.errors import ConfigurationError

if TYPE_CHECKING:
    from bing_llm.services import ChatHub


class Style(msgspec.Struct, frozen=True):
    """One conversation style, which we offer as a model.

    `prompt_limit` is in characters: the web client's bounds of mid-2024 (Balanced 4,000, the others 8,000).
    """

    name: str
    tone: str
    option_sets: tuple[str, ...]
    prompt_limit: int


_STYLES = (
    Style("bing-creative", "Creative", ("h3imaginative", "clgalileo", "gencontentv3"), 8000),
    Style("bing-balanced", "Balanced", ("galileo", "saharagenconv5"), 4000),
    Style("bing-precise", "Precise", ("h3precise", "clgalileo", "gencontentv3"), 8000),
)
MODELS: Mapping[str, Style] = MappingProxyType({style.name: style for style in _STYLES})
IMAGES_PER_TURN: Final = 1
"""A message refers to one picture by its `imageUrl` (docs/protocol/chathub.md, section d)."""

PROMPT_LIMITS: Mapping[str, int] = MappingProxyType({style.name: style.prompt_limit for style in _STYLES})
DEFAULT_MODEL = "bing-balanced"
DEFAULT_LOCALE = "en-US"

BASE_OPTION_SETS = (
    "nlu_direct_response_filter",
    "deepleo",
    "disable_emoji_spoken_text",
    "responsible_ai_policy_235",
    "enablemm",
    "dv3sugg",
    "iyxapbing",
    "iycapbing",
)
NO_SEARCH = "nosearchall"
WITH_COOKIES = "autosave"

# Without InternalSearchResult and Disengaged the service leaves those messages out; we want both.
ALLOWED_MESSAGE_TYPES = (
    "ActionRequest",
    "Chat",
    "ConfirmationCard",
    "Context",
    "InternalSearchQuery",
    "InternalSearchResult",
    "Disengaged",
    "InternalLoaderMessage",
    "InvokeAction",
    "Progress",
    "RenderCardRequest",
    "RenderContentRequest",
    "AdsQuery",
    "SemanticSerp",
    "GenerateContentQuery",
    "SearchQuery",
    "GeneratedCode",
    "InternalTasksMessage",
)


def check_locale(locale: str) -> None:
    """Refuse what is not a language and a region.

    Raises:
        ConfigurationError: It is not.
    """
    language, _, region = locale.partition("-")
    if not (locale.isascii() and language.isalpha() and region.isalpha()):
        msg = f"The locale {locale!r} is not a language and a region, as 'en-US' or 'zh-CN' are."
        raise ConfigurationError(msg)


def resolved_option_sets(service: ChatHub) -> list[str]:
    """The option sets of a request: those of the service value, else those that follow from its other settings."""
    if service.option_sets is not None:
        return list(service.option_sets)
    search = () if service.search else (NO_SEARCH,)
    signed_in = (WITH_COOKIES,) if service.cookies else ()
    return [*BASE_OPTION_SETS, *MODELS[service.model].option_sets, *search, *signed_in]


# --- where the service is: every URL follows from one base URL, or from the pair of creation and socket URL -----------

# The newest value that was seen in a client (docs/protocol/chathub.md, section a).
BUNDLE_VERSION = "1.1816.0"

_CREATE = "/turing/conversation/create"
_SOCKET = "/sydney/ChatHub"
_ALLOWED = (
    "Allowed: an http(s) base URL such as 'http://127.0.0.1:8765'; "
    "in Python also a pair (creation URL, ws(s) socket URL)."
)


class Endpoints(msgspec.Struct, frozen=True):
    """The URLs of one service. `upload`, `blob` and `chats` are beside `create`; `delete` is beside `socket`."""

    create: str
    socket: str
    upload: str
    blob: str
    chats: str
    delete: str

    def socket_for(self, token: str | None) -> str:
        """The socket URL with this token, percent-encoded in full: base64 has `+`, `/` and `=`."""
        return self.socket if not token else f"{self.socket}?sec_access_token={quote(token, safe='')}"


# The public hosts of Bing Chat. They stopped answering by March 2025 (docs/protocol/chathub.md, section k).
PUBLIC_CREATE = f"https://www.bing.com{_CREATE}"
PUBLIC_SOCKET = f"wss://sydney.bing.com{_SOCKET}"


def resolve(endpoint: str | tuple[str, str] | None, *, allow_insecure: bool = False) -> Endpoints:
    """The URLs that follow from `endpoint`; None for the public hosts.

    Raises:
        ConfigurationError: No URL, or plain http or ws to another machine without `allow_insecure`.
    """
    if endpoint is None:
        create, socket = PUBLIC_CREATE, PUBLIC_SOCKET
    elif isinstance(endpoint, str):
        base = _checked(endpoint, ("http", "https"), allow_insecure=allow_insecure).rstrip("/")
        create, socket = base + _CREATE, "ws" + base.removeprefix("http") + _SOCKET
    else:
        first, second = _pair(endpoint)
        create = _checked(first, ("http", "https"), allow_insecure=allow_insecure)
        socket = _checked(second, ("ws", "wss"), allow_insecure=allow_insecure)
    beside_create = create.removesuffix(_CREATE) if create.endswith(_CREATE) else origin(create)
    beside_socket = socket.removesuffix(_SOCKET) if socket.endswith(_SOCKET) else origin(socket)
    return Endpoints(
        create=f"{create}?bundleVersion={BUNDLE_VERSION}",
        socket=socket,
        upload=f"{beside_create}/images/kblob",
        blob=f"{beside_create}/images/blob",
        chats=f"{beside_create}/turing/conversation/chats?bundleVersion={BUNDLE_VERSION}",
        delete=f"http{beside_socket.removeprefix('ws')}/sydney/DeleteSingleConversation",
    )


def _pair(endpoint: tuple[str, str]) -> tuple[str, str]:
    try:
        first, second = endpoint
    except (TypeError, ValueError) as exc:
        msg = f"The endpoint is a {type(endpoint).__name__} that is not a pair of URLs."
        raise ConfigurationError(msg, hint=_ALLOWED) from exc
    return first, second


def _checked(url: object, schemes: tuple[str, str], *, allow_insecure: bool) -> str:
    return checked_url(url, schemes, allow_insecure=allow_insecure, allowed=_ALLOWED)
