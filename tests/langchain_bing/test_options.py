"""The options that a call may have beside its messages."""

from __future__ import annotations

import warnings

import pytest

from langchain_bing import options
from langchain_bing.options import warn_of_unused


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


@pytest.mark.parametrize("name", sorted(options._USED))
def test_what_is_used_is_not_told(name: str) -> None:
    """Neither are the framework's own options."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unused([name])
