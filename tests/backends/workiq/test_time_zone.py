"""The time zone of this machine."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bing_llm.backends.workiq.time_zone import local_time_zone
from bing_llm.errors import ConfigurationError


def found(monkeypatch: pytest.MonkeyPatch, name: str | Exception | None) -> None:
    """Let tzlocal find this."""

    def get_localzone_name() -> str | None:
        if isinstance(name, Exception):
            raise name
        return name

    monkeypatch.setitem(sys.modules, "tzlocal", SimpleNamespace(get_localzone_name=get_localzone_name))


def test_it_is_the_one_that_tzlocal_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its IANA name."""
    found(monkeypatch, "Europe/Zurich")
    assert local_time_zone() == "Europe/Zurich"


@pytest.mark.parametrize(
    ("name", "words"), [(None, "has no name"), ("", "has no name"), (LookupError("No zone"), "cannot be told: ")]
)
def test_a_machine_without_one_is_told(monkeypatch: pytest.MonkeyPatch, name: str | None, words: str) -> None:
    """The hint says how to name one."""
    found(monkeypatch, name)
    with pytest.raises(ConfigurationError, match=words) as caught:
        local_time_zone()
    assert "time_zone=" in caught.value.hint


def test_without_tzlocal_it_is_the_callers_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names both ways: the argument, and the extra."""
    monkeypatch.setitem(sys.modules, "tzlocal", None)
    with pytest.raises(ConfigurationError, match="tzlocal is not installed") as caught:
        local_time_zone()
    assert "time_zone=" in caught.value.hint
    assert 'pip install "bing-llm[workiq]"' in caught.value.hint
