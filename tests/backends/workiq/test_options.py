"""Time zones, files, locations and URLs."""

from __future__ import annotations

import sys
import zoneinfo
from types import SimpleNamespace
from typing import Any

import pytest

from bing_llm.backends.workiq.options import (
    DEFAULT_MODEL,
    PROMPT_LIMITS,
    PUBLIC_BASE,
    Endpoints,
    check_agent,
    check_files,
    check_location,
    check_time_zone,
    local_time_zone,
    resolve,
    resolve_a2a,
    resolve_rest,
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
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
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


def test_without_an_endpoint_it_is_the_public_service() -> None:
    """Work IQ's own host is the default, which is generally available."""
    assert resolve(None) == Endpoints(PUBLIC_BASE)
    assert resolve(None).host == "workiq.svc.cloud.microsoft"


@pytest.mark.parametrize(
    ("base", "host", "create"),
    [
        ("https://graph.microsoft.com/beta/copilot", "graph.microsoft.com", "/beta/copilot/conversations"),
        ("HTTPS://Graph.Microsoft.com/beta/copilot/", "graph.microsoft.com", "/beta/copilot/conversations"),
        ("https://workiq.svc.cloud.microsoft/rest/beta", "workiq.svc.cloud.microsoft", "/rest/beta/conversations"),
        ("http://127.0.0.1:8765/rest", "127.0.0.1", "/rest/conversations"),
        ("http://[::1]:80", "::1", "/conversations"),
    ],
)
def test_every_url_follows_from_a_base_url(base: str, host: str, create: str) -> None:
    """The base may be Work IQ's, its beta, Graph's, or an emulator's; its host is in lower case."""
    place = resolve(base)
    assert place.host == host
    assert place.create.endswith(create)
    assert place.turn("a1").endswith(f"{create}/a1/chatOverStream")
    assert place.turn("a1", over_stream=False).endswith(f"{create}/a1/chat")


def test_an_id_leads_nowhere_else() -> None:
    """An id is one step of the path, whatever it holds."""
    assert resolve(None).turn("../a?b#c/d").endswith("/conversations/..%2Fa%3Fb%23c%2Fd/chatOverStream")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("workiq.svc.cloud.microsoft/rest", "is not a URL with scheme http or https"),
        ("wss://workiq.svc.cloud.microsoft/rest", "is not a URL with scheme http or https"),
        (("https://a.example", "wss://b.example"), "'a tuple' is not a URL"),
        ("https://bob:hunter2@example.com/rest", "credentials as token="),
        ("https://example.com/rest?token=hunter2", "credentials as token="),
        ("http://example.com/rest", "is not encrypted and not on this machine"),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused(endpoint: Any, words: str) -> None:
    """A token goes over https alone, or stays on this machine; the text holds no secret."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(endpoint)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_plain_http_may_be_allowed() -> None:
    """Whoever says so reaches another machine without encryption."""
    assert resolve("http://example.com/rest", allow_insecure=True).base == "http://example.com/rest"


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        (None, "https://workiq.svc.cloud.microsoft/a2a"),
        ("https://gate.example/x/rest", "https://gate.example/x/a2a"),
        ("https://gate.example/rest/beta/", "https://gate.example/a2a"),
        ("https://gate.example/a2a/", "https://gate.example/a2a"),
        ("http://127.0.0.1:9999", "http://127.0.0.1:9999"),
    ],
)
def test_a2a_is_beside_rest(endpoint: str | None, base: str) -> None:
    """Any other URL is the base of A2A itself."""
    assert resolve_a2a(endpoint).base == base


def test_graph_has_no_agents() -> None:
    """The preview there speaks REST alone."""
    with pytest.raises(ConfigurationError, match="Microsoft Graph"):
        resolve_a2a("https://graph.microsoft.com/beta/copilot")
    with pytest.raises(ConfigurationError, match="not encrypted"):
        resolve_a2a("http://example.com/rest")


def test_rest_is_not_asked_at_a2a() -> None:
    """Whoever passes that endpoint wants the other protocol."""
    with pytest.raises(ConfigurationError, match="protocol is REST") as caught:
        resolve_rest("https://gate.example/a2a/")
    assert "protocol='a2a'" in caught.value.hint
    assert resolve_rest("https://gate.example/rest") == resolve("https://gate.example/rest")


@pytest.mark.parametrize("agent", [" ", "", ".", "..", "a\nb", "a\x00", "\u202ea"])
def test_what_cannot_be_an_agent_is_refused(agent: str) -> None:
    """It would be another path, or cannot be sent."""
    with pytest.raises(ConfigurationError, match="not the id of an agent"):
        check_agent(agent)


@pytest.mark.parametrize("agent", [None, "P_1.2-3", "a/b", "...", "Ä b"])
def test_an_id_is_opaque(agent: str | None) -> None:
    """Whatever can be written in a path is one."""
    check_agent(agent)


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
    ("name", "words"), [(None, "has no name"), ("", "has no name"), (LookupError("No zone"), "is not known: ")]
)
def test_a_machine_without_one_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str | None, words: str) -> None:
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
