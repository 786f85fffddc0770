"""What a ChatHub request may choose: models (styles), option sets, personas, compose, location.

Everything here is data, with its source in docs/protocol/chathub.md, sections d and j. The service ignores option
names that it does not know, and no live service is known to read them today.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from bing_llm._checks import check_types
from bing_llm.errors import ConfigurationError, InvalidRequest

__all__ = [
    "ALLOWED_MESSAGE_TYPES",
    "DEFAULT_MODEL",
    "MODELS",
    "PERSONAS",
    "ChatHubOptions",
    "Compose",
    "Location",
    "Style",
]


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
DEFAULT_MODEL = "bing-balanced"

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
COMPOSE_OPTION_SETS = (
    "nlu_direct_response_filter",
    "deepleo",
    "enable_debug_commands",
    "disable_emoji_spoken_text",
    "responsible_ai_policy_235",
    "enablemm",
    "soedgeca",
    "max_turns_5",
)
NO_SEARCH = "nosearchall"
WITH_COOKIES = "autosave"

PERSONAS: Mapping[str, str] = MappingProxyType(
    {
        "travel": "ai_persona_vacation_planner_with_examples",
        "cooking": "ai_persona_cooking_assistant_w1shot",
        "fitness": "ai_persona_fitness_trainer_w1shot",
        "designer": "ai_persona_designer_gpt",
    }
)

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


class Location(msgspec.Struct, frozen=True):
    """Where the user is, in degrees; `radius` in metres. The service uses it for local searches."""

    latitude: float
    longitude: float
    radius: int = 1000
    hints: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"lat:{self.latitude};long:{self.longitude};re={self.radius}m;"


class Compose(msgspec.Struct, frozen=True):
    """Write a text instead of chatting (Edge's compose pane): its format, length and tone."""

    format: Literal["paragraph", "email", "blog", "ideas"] = "paragraph"
    length: Literal["short", "medium", "long"] = "medium"
    tone: str = "professional"

    def parameters(self) -> dict[str, Any]:
        """The `extraExtensionParameters` of such a request."""
        wish = {"Action": "generate", "Format": self.format, "Length": self.length, "Tone": self.tone}
        return {"edge_compose_generate": wish}


class ChatHubOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the service shall answer.

    Attributes:
        model: A name in `MODELS`.
        search: Whether the service may search the web.
        locale: Language and market, such as `en-US`.
        location: Where the user is; None leaves it out.
        persona: A name in `PERSONAS`; None for the plain assistant.
        compose: Write a text instead of chatting; None to chat.
        option_sets: Replaces the option sets that follow from the others; None to derive them.
        prompt_limit: The longest prompt, in characters; None takes the model's.
        signed_in: Whether cookies go with the requests.
    """

    model: str = DEFAULT_MODEL
    search: bool = True
    locale: str = "en-US"
    location: Location | None = None
    persona: str | None = None
    compose: Compose | None = None
    option_sets: tuple[str, ...] | None = None
    prompt_limit: int | None = None
    signed_in: bool = False

    def check(self) -> None:
        """Refuse what no service could understand.

        Raises:
            ConfigurationError: A name is unknown, or a value has another form; the text names what is
                allowed.
        """
        check_types(self, "The options")
        _known("model", self.model, MODELS)
        if self.persona is not None:
            _known("persona", self.persona, PERSONAS)
        if self.persona is not None and self.compose is not None:
            msg = "persona and compose are both set; the service takes one of them."
            raise ConfigurationError(msg)
        language, _, region = self.locale.partition("-")
        if not (self.locale.isascii() and language.isalpha() and region.isalpha()):
            msg = f"The locale {self.locale!r} is no language and region, as 'en-US' or 'zh-CN' are."
            raise ConfigurationError(msg)
        if self.prompt_limit is not None and self.prompt_limit < 1:
            msg = f"prompt_limit is {self.prompt_limit}; it must be at least 1 character, or None."
            raise ConfigurationError(msg)

    @property
    def style(self) -> Style:
        """The style of the model."""
        return MODELS[self.model]

    @property
    def longest_prompt(self) -> int:
        """The longest prompt that is taken, in characters."""
        return self.prompt_limit or self.style.prompt_limit

    def with_model(self, model: str) -> ChatHubOptions:
        """The same for another model.

        Raises:
            ConfigurationError: It is not known.
        """
        _known("model", model, MODELS)
        return msgspec.structs.replace(self, model=model)

    @property
    def region(self) -> str:
        """The region of the locale, such as `US`."""
        return self.locale.partition("-")[2].upper()

    def check_prompt(self, text: str) -> None:
        """Refuse a prompt that the service would not take.

        Raises:
            InvalidRequest: It is empty, or longer than the model's limit.
        """
        if not text.strip():
            msg = "The prompt is empty."
            raise InvalidRequest(msg, hint="Pass some text to answer.")
        limit = self.longest_prompt
        if len(text) > limit:
            msg = f"The prompt has {len(text):,} characters; {self.model} takes at most {limit:,}."
            raise InvalidRequest(msg, hint="Shorten it, or move text into the context.")

    def resolved_option_sets(self) -> list[str]:
        """The option sets of a request."""
        if self.option_sets is not None:
            return list(self.option_sets)
        if self.compose is not None:
            return [*COMPOSE_OPTION_SETS, *self._switches()]
        persona = () if self.persona is None else (PERSONAS[self.persona],)
        return [*BASE_OPTION_SETS, *self.style.option_sets, *persona, *self._switches()]

    def _switches(self) -> list[str]:
        switches = [] if self.search else [NO_SEARCH]
        return [*switches, WITH_COOKIES] if self.signed_in else switches


def _known(what: str, name: Any, known: Mapping[str, object]) -> None:
    if not isinstance(name, str) or name not in known:
        msg = f"The {what} {name!r} is not known; allowed: {', '.join(known)}."
        raise ConfigurationError(msg)
