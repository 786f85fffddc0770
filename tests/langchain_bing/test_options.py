"""The options that a call may have beside its messages."""

from __future__ import annotations

import warnings

import pytest

from bing_llm.errors import ConfigurationError
from langchain_bing import options
from langchain_bing.options import check_fields, check_options, warn_of_unused


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(options, "_told", set())


def test_each_unused_option_is_told_once() -> None:
    """In the order of the alphabet, by name; never again in this process."""
    with pytest.warns(UserWarning, match="ChatBing does not use") as told:
        warn_of_unused(["top_p", "seed"])
    assert [str(warning.message).split("'")[1] for warning in told] == ["seed", "top_p"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unused(["seed", "top_p"])


@pytest.mark.parametrize("name", sorted(options._OF_A_CALL))
def test_what_is_used_is_not_told(name: str) -> None:
    """Neither are the framework's own options."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_options([name])


def test_a_setting_of_a_model_is_told_from_an_unknown_option() -> None:
    """The first is an error, since it would be dropped; the second a warning, since agents pass many."""
    with pytest.raises(ConfigurationError, match="search is a setting of the model"):
        check_options(["top_p", "search"])
    with pytest.warns(UserWarning, match="'top_p'"):
        check_options(["top_p", "stream"])


def test_a_setting_of_the_client_alone_is_told_from_an_unknown_name() -> None:
    """So is a typing error: it is no setting of anything."""
    with pytest.raises(ConfigurationError, match=r"client=BingClient\(proxy=\.\.\.\)"):
        check_fields(["proxy"])
    with pytest.warns(UserWarning, match="'modle'"):
        check_fields(["modle"])
