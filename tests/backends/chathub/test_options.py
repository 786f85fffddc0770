"""Styles, option sets, personas, compose, location, and what a prompt may be."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.backends.chathub.options import (
    ALLOWED_MESSAGE_TYPES,
    BASE_OPTION_SETS,
    COMPOSE_OPTION_SETS,
    DEFAULT_MODEL,
    MODELS,
    PERSONAS,
    ChatHubOptions,
    Compose,
    Location,
)
from bing_llm.errors import ConfigurationError, InvalidRequest


def test_the_models_are_the_three_styles() -> None:
    """Each style is a model with its tone and its limit in characters; Balanced is the default."""
    assert {name: (style.tone, style.prompt_limit) for name, style in MODELS.items()} == {
        "bing-creative": ("Creative", 8000),
        "bing-balanced": ("Balanced", 4000),
        "bing-precise": ("Precise", 8000),
    }
    assert DEFAULT_MODEL == ChatHubOptions().model == "bing-balanced"
    assert ChatHubOptions().style is MODELS[DEFAULT_MODEL]
    assert all(name == style.name for name, style in MODELS.items())


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"model": "bing-creative"}, ["h3imaginative", "clgalileo", "gencontentv3"]),
        ({"model": "bing-balanced"}, ["galileo", "saharagenconv5"]),
        ({"model": "bing-precise"}, ["h3precise", "clgalileo", "gencontentv3"]),
        ({"search": False}, ["galileo", "saharagenconv5", "nosearchall"]),
        ({"signed_in": True}, ["galileo", "saharagenconv5", "autosave"]),
        ({"search": False, "signed_in": True}, ["galileo", "saharagenconv5", "nosearchall", "autosave"]),
        ({"persona": "travel"}, ["galileo", "saharagenconv5", "ai_persona_vacation_planner_with_examples"]),
    ],
)
def test_option_sets_follow_from_the_options(options: dict[str, Any], added: list[str]) -> None:
    """The base sets come first, then the style, the persona, no search, and what goes with cookies."""
    assert ChatHubOptions(**options).resolved_option_sets() == [*BASE_OPTION_SETS, *added]


def test_another_model_changes_nothing_else() -> None:
    """`with_model` keeps all other options, an own limit of the prompt too."""
    options = ChatHubOptions(persona="travel", locale="de-DE")
    creative = options.with_model("bing-creative")
    assert creative == ChatHubOptions(model="bing-creative", persona="travel", locale="de-DE")
    assert (options.longest_prompt, creative.longest_prompt) == (4000, 8000)
    assert ChatHubOptions(prompt_limit=9).with_model("bing-creative").longest_prompt == 9


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_persona_is_an_option_set(persona: str) -> None:
    """Each persona adds its own set."""
    options = ChatHubOptions(persona=persona)
    options.check()
    assert PERSONAS[persona] in options.resolved_option_sets()


@pytest.mark.parametrize(
    ("options", "added"),
    [({}, []), ({"search": False}, ["nosearchall"]), ({"signed_in": True, "model": "bing-creative"}, ["autosave"])],
)
def test_compose_has_option_sets_of_its_own(options: dict[str, Any], added: list[str]) -> None:
    """Composing replaces the base and the style; the switches stay."""
    resolved = ChatHubOptions(compose=Compose(), **options).resolved_option_sets()
    assert resolved == [*COMPOSE_OPTION_SETS, *added]


def test_compose_says_what_to_write() -> None:
    """The wish goes into the request under the service's names."""
    assert Compose("email", "short", "funny").parameters() == {
        "edge_compose_generate": {"Action": "generate", "Format": "email", "Length": "short", "Tone": "funny"}
    }


def test_option_sets_can_be_replaced() -> None:
    """Sets that the caller names are sent as they are."""
    options = ChatHubOptions(option_sets=("one", "two"), search=False, signed_in=True, persona="travel")
    assert options.resolved_option_sets() == ["one", "two"]
    assert ChatHubOptions(option_sets=()).resolved_option_sets() == []


def test_no_option_set_comes_twice() -> None:
    """Whatever is combined, each name is sent once."""
    for model in MODELS:
        for persona in (None, *PERSONAS):
            sets = ChatHubOptions(model=model, persona=persona, search=False, signed_in=True).resolved_option_sets()
            assert len(sets) == len(set(sets))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": "gpt-4"}, "^The model 'gpt-4' is not known; allowed: bing-creative, bing-balanced, bing-precise"),
        ({"persona": "pirate"}, "^The persona 'pirate' is not known; allowed: travel, cooking, fitness, designer"),
        ({"persona": "travel", "compose": Compose()}, "^persona and compose are both set"),
        ({"locale": ""}, "^The locale '' is no language and region"),
        ({"locale": "en"}, "^The locale 'en' is no language and region"),
        ({"locale": "en_US"}, "^The locale 'en_US' is no language and region"),
        ({"locale": "-US"}, "^The locale '-US' is no language and region"),
        ({"locale": "en-US\r\nx"}, "is no language and region"),
        ({"prompt_limit": 0}, "^prompt_limit is 0; it must be at least 1 character"),
        ({"prompt_limit": -5}, "^prompt_limit is -5"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    """A name that is not known, and a value of another form, is refused with what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        ChatHubOptions(**options).check()


@pytest.mark.parametrize(("locale", "region"), [("en-US", "US"), ("zh-CN", "CN"), ("de-at", "AT")])
def test_a_locale_has_a_region(locale: str, region: str) -> None:
    """The region is the second half of the locale, in capitals."""
    options = ChatHubOptions(locale=locale, prompt_limit=1)
    options.check()
    assert options.region == region


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_prompt_is_refused(text: str) -> None:
    """A prompt without a word cannot be answered."""
    with pytest.raises(InvalidRequest, match="The prompt is empty"):
        ChatHubOptions().check_prompt(text)


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 4000),
        ({"model": "bing-creative"}, 8000),
        ({"model": "bing-precise"}, 8000),
        ({"prompt_limit": 10}, 10),
        ({"prompt_limit": 20_000}, 20_000),
    ],
)
def test_a_prompt_may_have_so_many_characters(options: dict[str, Any], limit: int) -> None:
    """A prompt of the limit is taken; one character more is refused with both numbers."""
    chosen = ChatHubOptions(**options)
    chosen.check_prompt("x" * limit)
    with pytest.raises(InvalidRequest, match=f"has {limit + 1:,} characters; {chosen.model} takes at most {limit:,}"):
        chosen.check_prompt("x" * (limit + 1))


def test_a_location_has_its_wire_form() -> None:
    """Degrees and metres, as the web client writes them."""
    assert str(Location(47.639557, -122.128159)) == "lat:47.639557;long:-122.128159;re=1000m;"


def test_results_and_disengagements_are_asked_for() -> None:
    """The allowed message types are a filter: what we read is in it, and nothing twice."""
    read = {"InternalSearchQuery", "InternalSearchResult", "InternalLoaderMessage", "Progress", "GenerateContentQuery"}
    assert read | {"Chat", "Disengaged"} <= set(ALLOWED_MESSAGE_TYPES)
    assert len(set(ALLOWED_MESSAGE_TYPES)) == len(ALLOWED_MESSAGE_TYPES)
