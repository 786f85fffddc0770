"""What a ChatHub request may choose: models (styles), option sets, message types, the locale.

Everything here is data, with its source in docs/protocol/chathub.md, sections d and j. The service ignores option
names that it does not know, and no live service is known to read them today.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

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
