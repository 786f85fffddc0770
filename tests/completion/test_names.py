"""The names that an adapter takes, and what it says of others."""

from __future__ import annotations

import warnings

import pytest

from bing_llm.completion.names import Names
from bing_llm.errors import ConfigurationError


@pytest.fixture
def names() -> Names:
    """As in a new process."""
    return Names("ChatBing", of_a_call=["stop", "stream"], of_a_model=["max_retries"])


def test_each_unused_option_is_told_once(names: Names) -> None:
    """In the order of the alphabet, by name; never again in this process."""
    with pytest.warns(UserWarning, match="ChatBing does not use") as told:
        names.warn_of_unused(["top_p", "seed"])
    assert [str(warning.message).split("'")[1] for warning in told] == ["seed", "top_p"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.warn_of_unused(["seed", "top_p"])


def test_what_is_used_is_not_told(names: Names) -> None:
    """Neither are the framework's own options."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.check_options(names.of_a_call)


@pytest.mark.parametrize("name", ["search", "max_retries"])
def test_a_setting_of_a_model_is_told_from_an_unknown_option(name: str, names: Names) -> None:
    """The first is an error, since it would be dropped; the second a warning, since agents pass many."""
    with pytest.raises(ConfigurationError, match=f"{name} is a setting of the model") as refused:
        names.check_options(["top_p", name])
    assert f"ChatBing({name}=...)" in refused.value.hint
    with pytest.warns(UserWarning, match="'top_p'"):
        names.check_options(["top_p", "stream"])


def test_a_setting_of_the_client_alone_is_told_from_an_unknown_name(names: Names) -> None:
    """So is a typing error: it is no setting of anything."""
    with pytest.raises(ConfigurationError, match=r"client=BingClient\(proxy=\.\.\.\)"):
        names.check_fields(["proxy"])
    with pytest.warns(UserWarning, match="'modle'"):
        names.check_fields(["modle"])
