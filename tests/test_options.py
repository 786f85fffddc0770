"""The options of each backend, out of the arguments of a client."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from bing_llm import _options
from bing_llm._options import CHATHUB_ALONE, WORKIQ_ALONE, chathub_options, model_names, refuse_foreign, workiq_options
from bing_llm.backends.chathub.options import MODELS, ChatHubOptions, Compose, Location
from bing_llm.backends.workiq.options import WorkIQOptions
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError

DEFAULTS = {name: each.default for name, each in inspect.signature(BingClient).parameters.items()}
FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"

FOREIGN: list[tuple[str, str, Any]] = [
    ("workiq", "cookies", "_U=secret"),
    ("workiq", "ip_address", "192.0.2.7"),
    ("workiq", "locale", "de-DE"),
    ("workiq", "persona", "travel"),
    ("workiq", "compose", Compose()),
    ("workiq", "option_sets", ["a"]),
    *(
        (backend, name, value)
        for backend in ("chathub", "emulator")
        for name, value in (
            ("token", "secret"),
            ("time_zone", "UTC"),
            ("files", [FILE]),
            ("entity_tags", "strip"),
        )
    ),
]


@pytest.mark.parametrize(("backend", "name", "value"), FOREIGN)
def test_arguments_of_another_backend_are_refused(backend: str, name: str, value: Any) -> None:
    """They would be dropped in silence; the text names the argument and both backends, and no value."""
    owner = "chathub" if backend == "workiq" else "workiq"
    with pytest.raises(ConfigurationError) as caught:
        refuse_foreign(backend, {**DEFAULTS, name: value}, DEFAULTS)
    text = str(caught.value)
    assert f"{name} is an argument of the backend {owner}, and the backend is {backend}." in text
    assert f"backend='{owner}'" in text
    assert "secret" not in text


@pytest.mark.parametrize(("backend", "foreign"), [("workiq", CHATHUB_ALONE), ("chathub", WORKIQ_ALONE)])
def test_defaults_are_nobodys(backend: str, foreign: tuple[str, ...]) -> None:
    """Whoever passes every argument on, as it is by default, names no backend by it."""
    refuse_foreign(backend, DEFAULTS, DEFAULTS)
    assert set(foreign) <= DEFAULTS.keys()


def test_each_argument_has_its_backend() -> None:
    """Every option is an argument of the client, and what is not an option of both backends is refused by one."""
    chathub = set(ChatHubOptions.__struct_fields__) - {"signed_in"}
    workiq = set(WorkIQOptions.__struct_fields__)
    assert chathub | workiq <= DEFAULTS.keys()
    assert chathub - workiq <= set(CHATHUB_ALONE)
    assert workiq - chathub <= set(WORKIQ_ALONE)
    assert not (set(CHATHUB_ALONE) | set(WORKIQ_ALONE)) & chathub & workiq


def test_those_of_a_chathub() -> None:
    """By the same names; a list of option sets is taken too."""
    given = {**DEFAULTS, "model": "bing-precise", "search": False, "locale": "de-DE", "option_sets": ["a", "b"]}
    options = chathub_options(given, signed_in=True)
    assert options == ChatHubOptions(
        model="bing-precise", search=False, locale="de-DE", option_sets=("a", "b"), signed_in=True
    )
    with pytest.raises(ConfigurationError, match="copilot"):
        chathub_options({**DEFAULTS, "model": "copilot"}, signed_in=False)


def test_those_of_work_iq() -> None:
    """By the same names; a list of files is taken too."""
    place = Location(47.4, 8.5)
    given = {
        **DEFAULTS,
        "search": False,
        "location": place,
        "prompt_limit": 10,
        "time_zone": "Europe/Zurich",
        "files": [FILE],
        "entity_tags": "strip",
    }
    assert workiq_options(given) == WorkIQOptions(
        search=False,
        location=place,
        prompt_limit=10,
        time_zone="Europe/Zurich",
        files=(FILE,),
        entity_tags="strip",
    )


def test_the_time_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is given; else nobody asks for it."""
    monkeypatch.setattr(_options, "local_time_zone", lambda: "Asia/Tokyo")
    assert workiq_options(DEFAULTS).time_zone == "Asia/Tokyo"
    assert workiq_options({**DEFAULTS, "time_zone": "UTC"}).time_zone == "UTC"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"model": "bing-precise"}, "allowed: copilot"),
        ({"time_zone": "W. Europe Standard Time"}, "IANA"),
        ({"time_zone": ""}, "IANA"),
        ({"files": ["https://example.com/plan.docx"]}, "SharePoint"),
        ({"files": FILE}, "files"),
        ({"entity_tags": "drop"}, "entity_tags"),
        ({"prompt_limit": 0}, "prompt_limit"),
        ({"search": 1}, "search"),
    ],
)
def test_values_that_are_not_allowed_are_refused(setting: dict[str, Any], words: str) -> None:
    """The text says what is allowed."""
    with pytest.raises(ConfigurationError, match=words):
        workiq_options({**DEFAULTS, "time_zone": "UTC", **setting})


def test_the_models_of_a_backend_are_known_by_its_options() -> None:
    """For those who list them."""
    assert model_names(ChatHubOptions()) == tuple(MODELS)
    assert model_names(WorkIQOptions(time_zone="UTC")) == ("copilot",)


def test_options_are_plain_data() -> None:
    """No secret is among them: they are shown as they are."""
    for kind in (ChatHubOptions, WorkIQOptions):
        assert issubclass(kind, msgspec.Struct)
        assert not {"token", "cookies"} & set(kind.__struct_fields__)
