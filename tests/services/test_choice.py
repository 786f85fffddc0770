"""Which service is chosen: the argument, else the environment; and what belongs to another service."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bing_llm import services
from bing_llm.backends.workiq import options as workiq_options
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Timeouts
from bing_llm.services import NOT_CONFIGURED, SERVICES, ChatHub

FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


# --- which backend ----------------------------------------------------------------------------------------------------


def test_nothing_configured_says_what_the_backends_need() -> None:
    """Without any setting the error is the text for newcomers: five lines, one for each backend, nothing sent."""
    with pytest.raises(ConfigurationError) as caught:
        BingClient()
    assert str(caught.value) == NOT_CONFIGURED
    lines = NOT_CONFIGURED.splitlines()
    assert len(lines) == 5
    assert [line.split()[0] for line in lines[1:4]] == ["emulator", "chathub", "workiq"]
    for word in ("BING_LLM_BACKEND", "BING_LLM_ENDPOINT", "BING_COOKIES", "WORKIQ_TOKEN", "Nothing was sent"):
        assert word in NOT_CONFIGURED


HERE = "http://127.0.0.1:1"
PAIR = ("http://127.0.0.1:1/create", "ws://127.0.0.1:1/socket")

CHOICES: list[tuple[dict[str, str], dict[str, Any], str]] = [
    # backend=, whatever else there is
    ({}, {"backend": "emulator"}, "emulator"),
    ({}, {"backend": "chathub"}, "chathub"),
    ({}, {"backend": "workiq", "token": "x"}, "workiq"),
    ({"BING_LLM_BACKEND": "emulator"}, {"backend": "chathub"}, "chathub"),
    ({"BING_LLM_BACKEND": "chathub"}, {"backend": "emulator"}, "emulator"),
    ({"WORKIQ_TOKEN": "x", "BING_COOKIES": "_U=1"}, {"backend": "emulator"}, "emulator"),
    ({"BING_LLM_ENDPOINT": HERE}, {"backend": "emulator"}, "emulator"),
    ({"WORKIQ_TOKEN": "x"}, {"backend": "chathub"}, "chathub"),
    ({}, {"backend": "emulator", "cookies": "_U=1"}, "emulator"),
    ({"BING_LLM_BACKEND": "emulator"}, {"cookies": "_U=1"}, "emulator"),
    ({"WORKIQ_TOKEN": "x", "BING_COOKIES": "_U=1"}, {"backend": "workiq"}, "workiq"),
    # BING_LLM_BACKEND
    ({"BING_LLM_BACKEND": "emulator"}, {}, "emulator"),
    ({"BING_LLM_BACKEND": "emulator", "WORKIQ_TOKEN": "x", "BING_COOKIES": "_U=1"}, {}, "emulator"),
    ({"BING_LLM_BACKEND": "workiq", "WORKIQ_TOKEN": "x"}, {"endpoint": HERE}, "workiq"),
    ({"BING_LLM_BACKEND": "workiq"}, {"token": "x"}, "workiq"),
    (
        {"BING_LLM_BACKEND": "workiq", "WORKIQ_TOKEN": "x", "BING_LLM_ENDPOINT": HERE, "BING_COOKIES": "_U=1"},
        {},
        "workiq",
    ),
    ({"BING_LLM_BACKEND": "chathub", "WORKIQ_TOKEN": "x", "BING_LLM_ENDPOINT": HERE}, {}, "chathub"),
    # which for the emulator gives way to an endpoint argument
    ({"BING_LLM_BACKEND": "emulator"}, {"endpoint": HERE}, "chathub"),
    ({"BING_LLM_BACKEND": "emulator"}, {"endpoint": HERE, "token": "x"}, "workiq"),
    ({"BING_LLM_BACKEND": "emulator", "BING_LLM_ENDPOINT": "http://127.0.0.1:2"}, {"endpoint": HERE}, "chathub"),
    # the arguments: a token or the model first
    ({}, {"token": "x"}, "workiq"),
    ({"WORKIQ_TOKEN": "x", "BING_LLM_ENDPOINT": HERE}, {"agent": "P_1"}, "workiq"),
    ({"BING_LLM_ENDPOINT": HERE}, {"agent": "", "protocol": ""}, "chathub"),
    ({}, {"token": "x", "endpoint": HERE}, "workiq"),
    ({"WORKIQ_TOKEN": "x"}, {"model": "copilot", "endpoint": HERE}, "workiq"),
    ({}, {"cookies": {"_U": "1"}}, "chathub"),
    ({}, {"cookies": "_U=1", "endpoint": HERE}, "chathub"),
    ({}, {"endpoint": HERE}, "chathub"),
    ({}, {"endpoint": PAIR}, "chathub"),
    ({"BING_LLM_BACKEND": ""}, {"endpoint": HERE}, "chathub"),
    # they come before the environment
    ({"BING_LLM_ENDPOINT": HERE, "BING_COOKIES": "_U=1"}, {"token": "x"}, "workiq"),
    ({"WORKIQ_TOKEN": "x"}, {"endpoint": HERE}, "chathub"),
    ({"WORKIQ_TOKEN": "x"}, {"cookies": "_U=1"}, "chathub"),
    # the environment: a token first
    ({"WORKIQ_TOKEN": "x"}, {}, "workiq"),
    ({"WORKIQ_TOKEN": "x", "BING_LLM_ENDPOINT": HERE}, {}, "workiq"),
    ({"WORKIQ_TOKEN": "x", "BING_COOKIES": "_U=1"}, {}, "workiq"),
    ({"BING_COOKIES": "_U=1"}, {}, "chathub"),
    ({"BING_LLM_ENDPOINT": HERE}, {}, "chathub"),
    # an argument counts also where the environment says the same
    ({"WORKIQ_TOKEN": "x", "BING_COOKIES": "_U=1"}, {"cookies": "_U=1"}, "chathub"),
    # a framework passes on settings that say nothing
    ({"WORKIQ_TOKEN": "x"}, {"endpoint": "", "cookies": "", "model": ""}, "workiq"),
]


@pytest.mark.parametrize(("environment", "arguments", "chosen"), CHOICES, ids=repr)
def test_which_service_is_chosen(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: dict[str, Any], chosen: str
) -> None:
    """`backend=`, else `BING_LLM_BACKEND`, else what the arguments point to, else what the environment points to."""
    monkeypatch.setattr(workiq_options, "local_time_zone", lambda: "UTC")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert type(BingClient(**arguments).service) is SERVICES[chosen]


def test_the_emulator_is_not_for_an_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two variables that contradict each other are refused, and the text names both."""
    monkeypatch.setenv("BING_LLM_BACKEND", "emulator")
    monkeypatch.setenv("BING_LLM_ENDPOINT", HERE)
    with pytest.raises(ConfigurationError, match=r"BING_LLM_BACKEND is emulator.*BING_LLM_ENDPOINT is set") as caught:
        BingClient()
    assert "set BING_LLM_BACKEND to chathub or workiq" in caught.value.hint


@pytest.mark.parametrize(
    "environment", [{}, {"BING_LLM_BACKEND": ""}, {"BING_LLM_ENDPOINT": "", "BING_COOKIES": "", "WORKIQ_TOKEN": ""}]
)
def test_the_emulator_is_never_chosen_in_silence(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Where nothing names a backend there is an error, whatever else is set."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="No backend is chosen"):
        BingClient(model="bing-balanced", search=False)


@pytest.mark.parametrize("name", ["bing", "Emulator"])
def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From the argument or the environment, the text names it and those that are allowed."""
    with pytest.raises(ConfigurationError, match=rf"{name!r}.*allowed: chathub, emulator, workiq"):
        BingClient(backend=name)
    monkeypatch.setenv("BING_LLM_BACKEND", name)
    with pytest.raises(ConfigurationError, match=rf"{name!r}.*allowed: chathub, emulator, workiq"):
        BingClient()


def test_the_emulator_takes_no_endpoint() -> None:
    """Both as arguments contradict each other: one of them would be passed over in silence."""
    with pytest.raises(ConfigurationError, match="takes no endpoint"):
        BingClient(backend="emulator", endpoint="http://127.0.0.1:1")


def test_the_backends_are_those_of_the_documentation() -> None:
    """The names that are allowed are those that the text for newcomers offers."""
    assert {line.split()[0] for line in NOT_CONFIGURED.splitlines()[1:4]} == set(SERVICES)


# --- what belongs to another service ----------------------------------------------------------------------------------

FOREIGN: list[tuple[str, str, Any, str]] = [
    ("workiq", "cookies", "_U=secret", "chathub and emulator"),
    ("workiq", "ip_address", "192.0.2.7", "chathub"),
    ("workiq", "locale", "de-DE", "chathub and emulator"),
    ("workiq", "option_sets", ["a"], "chathub and emulator"),
    ("emulator", "ip_address", "192.0.2.7", "chathub"),
    ("emulator", "proxy", "http://user:secret@127.0.0.1:1", "chathub and workiq"),
    *(
        (backend, name, value, "workiq")
        for backend in ("chathub", "emulator")
        for name, value in (
            ("token", "secret"),
            ("time_zone", "UTC"),
            ("files", [FILE]),
            ("entity_tags", "strip"),
            ("over_stream", False),
        )
    ),
]


@pytest.mark.parametrize(("backend", "name", "value", "owners"), FOREIGN)
def test_settings_of_another_service_are_refused(backend: str, name: str, value: Any, owners: str) -> None:
    """They would be dropped in silence; the text names the setting, whose it is and what to do, and no value."""
    with pytest.raises(ConfigurationError) as caught:
        BingClient(backend=backend, **{name: value})
    text = str(caught.value)
    assert re.search(rf"{name} is a setting of the backends? {owners}, and the backend is {backend}\.", text)
    assert re.search(rf"Leave {name}= out, or pass backend='{owners.split(maxsplit=1)[0]}'", text)
    assert "secret" not in text


@pytest.mark.parametrize("backend", SERVICES)
def test_defaults_belong_to_nobody(backend: str) -> None:
    """Who passes on every setting as it is by default names no service by it."""
    everything = {
        name: services.default_of(kind, name) for kind in SERVICES.values() for name in kind.__struct_fields__
    }
    own = {"model": None, **({"token": "x", "time_zone": "UTC"} if backend == "workiq" else {})}
    assert BingClient(backend=backend, **{**everything, **own}).service.name == backend


def test_a_service_is_given_whole() -> None:
    """Settings beside a service value are refused, and so is what is not a service; client settings stand beside it."""
    settings: list[dict[str, Any]] = [{"token": "x"}, {"backend": "chathub"}, {"model": "bing-precise"}]
    for beside in settings:
        with pytest.raises(ConfigurationError, match=f"A service is given, and so is {next(iter(beside))}"):
            BingClient(ChatHub(), **beside)
    with pytest.raises(ConfigurationError, match="service is a str; it must be a ChatHub, a WorkIQ"):
        BingClient("workiq")  # type: ignore[arg-type]
    assert BingClient(service=ChatHub(), timeouts=Timeouts(turn=5.0), warm=1).timeouts.turn == 5.0


def test_a_keyword_that_nobody_knows_is_a_type_error() -> None:
    """It raises the TypeError of any Python function."""
    with pytest.raises(TypeError, match=r"BingClient\(\) got an unexpected keyword argument 'persona'"):
        BingClient(backend="chathub", persona="travel")  # type: ignore[call-arg]
