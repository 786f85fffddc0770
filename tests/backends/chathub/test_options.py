"""Styles, option sets, message types and locales."""

from __future__ import annotations

from typing import Any

import pytest

from bing_llm.backends.chathub.options import (
    ALLOWED_MESSAGE_TYPES,
    BASE_OPTION_SETS,
    DEFAULT_MODEL,
    MODELS,
    PROMPT_LIMITS,
    check_locale,
    resolved_option_sets,
)
from bing_llm.errors import ConfigurationError
from bing_llm.services import ChatHub


def test_the_models_are_the_three_styles() -> None:
    """Each style is a model with its tone and its limit in characters; Balanced is the default."""
    assert {name: (style.tone, style.prompt_limit) for name, style in MODELS.items()} == {
        "bing-creative": ("Creative", 8000),
        "bing-balanced": ("Balanced", 4000),
        "bing-precise": ("Precise", 8000),
    }
    assert DEFAULT_MODEL == ChatHub().model == "bing-balanced"
    assert all(name == style.name for name, style in MODELS.items())
    assert {name: style.prompt_limit for name, style in MODELS.items()} == PROMPT_LIMITS


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"model": "bing-creative"}, ["h3imaginative", "clgalileo", "gencontentv3"]),
        ({"model": "bing-balanced"}, ["galileo", "saharagenconv5"]),
        ({"model": "bing-precise"}, ["h3precise", "clgalileo", "gencontentv3"]),
        ({"search": False}, ["galileo", "saharagenconv5", "nosearchall"]),
        ({"cookies": "_U=1"}, ["galileo", "saharagenconv5", "autosave"]),
        ({"search": False, "cookies": "_U=1"}, ["galileo", "saharagenconv5", "nosearchall", "autosave"]),
    ],
)
def test_option_sets_follow_from_the_options(options: dict[str, Any], added: list[str]) -> None:
    """The base sets come first, then the style, no search, and what goes with cookies."""
    assert resolved_option_sets(ChatHub(**options)) == [*BASE_OPTION_SETS, *added]


def test_option_sets_can_be_replaced() -> None:
    """Sets that the caller names are sent as they are."""
    service = ChatHub(option_sets=("one", "two"), search=False, cookies="_U=1")
    assert resolved_option_sets(service) == ["one", "two"]
    assert resolved_option_sets(ChatHub(option_sets=())) == []


def test_no_option_set_comes_twice() -> None:
    """Whatever is combined, each name is sent once."""
    for model in MODELS:
        sets = resolved_option_sets(ChatHub(model=model, search=False, cookies="_U=1"))
        assert len(sets) == len(set(sets))


@pytest.mark.parametrize("locale", ["", "en", "en_US", "-US", "en-US\r\nx", "\u00e9-\u00e9"])
def test_a_locale_is_a_language_and_a_region(locale: str) -> None:
    """Another form is refused with two that are right."""
    with pytest.raises(ConfigurationError, match="is not a language and a region, as 'en-US' or 'zh-CN' are"):
        check_locale(locale)
    check_locale("de-at")


def test_results_and_disengagements_are_asked_for() -> None:
    """The allowed message types are a filter: what we read is in it, and nothing twice."""
    read = {"InternalSearchQuery", "InternalSearchResult", "InternalLoaderMessage", "Progress", "GenerateContentQuery"}
    assert read | {"Chat", "Disengaged"} <= set(ALLOWED_MESSAGE_TYPES)
    assert len(set(ALLOWED_MESSAGE_TYPES)) == len(ALLOWED_MESSAGE_TYPES)
