"""Time zones, files and locations."""

from __future__ import annotations

import pytest

from bing_llm.backends.workiq import options as module
from bing_llm.backends.workiq.options import (
    DEFAULT_MODEL,
    PROMPT_LIMITS,
    check_files,
    check_location,
    check_time_zone,
)
from bing_llm.errors import ConfigurationError
from bing_llm.services import Location


def test_there_is_one_model() -> None:
    """The service lets nobody choose; the model has a name all the same."""
    assert dict(PROMPT_LIMITS) == {DEFAULT_MODEL: 16_000} == {"copilot": 16_000}


@pytest.mark.parametrize("name", ["UTC", "Europe/Zurich", "America/Argentina/Buenos_Aires", "Etc/GMT+3"])
def test_a_time_zone_has_an_iana_name(name: str) -> None:
    """Names of the IANA list pass."""
    check_time_zone(name)


@pytest.mark.parametrize(
    "name",
    ["W. Europe Standard Time", "", "Europe", "Europe/Nowhere", "../UTC", "/etc/passwd", "a\0b", "x" * 5000, "+02:00"],
)
def test_another_name_of_a_time_zone_is_refused(name: str) -> None:
    """Windows names, offsets, paths and nonsense are refused, with a name as it should be."""
    with pytest.raises(ConfigurationError, match="'Europe/Zurich', 'America/New_York' or 'UTC'") as caught:
        check_time_zone(name)
    assert ("Windows" in caught.value.hint) is name.endswith("Time")


@pytest.mark.parametrize(("name", "passes"), [("Europe/Nowhere", True), ("W. Europe Standard Time", False)])
def test_without_a_list_of_zones_the_form_counts(monkeypatch: pytest.MonkeyPatch, name: str, *, passes: bool) -> None:
    """Where Python has no time zones at all, as on a bare Windows, a name of the right form passes."""
    monkeypatch.setattr(module, "available_timezones", set)
    if passes:
        check_time_zone(name)
    else:
        with pytest.raises(ConfigurationError):
            check_time_zone(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://contoso.sharepoint.com/sites/x/Shared%20Documents/a.docx",
        "https://contoso-my.sharepoint.com/personal/ada/Documents/a.xlsx?web=1",
        "https://CONTOSO.SharePoint.com:443/a.pdf",
        "https://contoso.sharepoint.us/a.docx",
        "https://contoso.sharepoint-mil.us/a.docx",
        "https://onedrive.live.com/edit?id=7",
        "https://1drv.ms/w/s!abc",
    ],
)
def test_a_file_lies_on_sharepoint_or_onedrive(url: str) -> None:
    """Addresses of both pass as they are."""
    check_files([url])


@pytest.mark.parametrize(
    "url",
    [
        "http://contoso.sharepoint.com/a.docx",
        "https://contoso.sharepoint.com",
        "https://contoso.sharepoint.com/",
        "https://contoso.sharepoint.com/Shared Documents/a.docx",
        "https://contoso.sharepoint.com/a\n.docx",
        "https://contoso.sharepoint.com:8443/a.docx",
        "https://contoso.sharepoint.com:x/a.docx",
        "https://ada:pass@contoso.sharepoint.com/a.docx",
        "https://contoso.sharepoint.com.evil.example/a.docx",
        "https://sharepoint.com/a.docx",
        "https://evil.example\\.sharepoint.com/a.docx",
        "https://evilsharepoint.com/a.docx",
        "https://[::1/a.docx",
        "file:///home/ada/a.docx",
        "a.docx",
        "",
    ],
)
def test_a_file_elsewhere_is_refused(url: str) -> None:
    """Anything else is refused by its place in the list; its address may hold a secret and is not repeated."""
    with pytest.raises(ConfigurationError, match=r"files\[1\] is not an https URL on SharePoint") as caught:
        check_files(["https://contoso.sharepoint.com/b.docx", url])
    assert not url or url not in str(caught.value)


@pytest.mark.parametrize(
    "location",
    [Location(91, 0), Location(-91.0, 0), Location(0, 181), Location(float("nan"), 0), Location(0, float("inf"))],
)
def test_a_location_is_on_the_globe(location: Location) -> None:
    """Degrees beyond the globe are refused."""
    with pytest.raises(ConfigurationError, match="from -90 to 90 and from -180 to 180"):
        check_location(location)
    check_location(Location(-90, 180))
