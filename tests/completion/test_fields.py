"""The fields that both adapters' models have: what they say, the client they make, and what is refused."""

from __future__ import annotations

import copy
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, get_args

import pytest
from pydantic import SecretStr

from bing_llm import services
from bing_llm.client import BingClient
from bing_llm.completion.fields import CLIENT_FIELDS, SERVICE_FIELDS, Names, ServiceFields
from bing_llm.errors import ConfigurationError
from bing_llm.limits import Retries
from bing_llm.services import SERVICES, ChatHub, Emulated, WorkIQ

FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


class Model(ServiceFields):
    """A model that has nothing of its own."""

    names: ClassVar[Names] = Names("Model", of_a_call=["stop", "stream"], of_a_model=["context_window"])


@pytest.fixture
def names() -> Names:
    """Names that have warned of nothing yet."""
    return Names("Model", of_a_call=["stop", "stream"], of_a_model=["context_window"])


# --- one declaration --------------------------------------------------------------------------------------------------


def test_the_fields_are_the_settings_of_services() -> None:
    """Each has the default and the type that the services declare, but for secrets, which pydantic wraps."""
    for name in SERVICE_FIELDS:
        if name == "backend":
            continue
        field = ServiceFields.model_fields[name]
        default = field.get_default(call_default_factory=True)
        for kind in (kind for kind in SERVICES.values() if name in kind.__struct_fields__):
            declared = services.default_of(kind, name)
            assert (tuple(default) if isinstance(default, list) else default) == declared
    for name in ("search", "locale", "time_zone", "entity_tags", "citation_markers"):
        [annotation] = {
            services.settings_of(kind)[name][0] for kind in SERVICES.values() if name in kind.__struct_fields__
        }
        assert ServiceFields.model_fields[name].annotation == annotation
    assert set(get_args(ServiceFields.model_fields["endpoint"].annotation)) == {str, tuple[str, str], type(None)}


def test_each_field_is_described() -> None:
    """The text of a setting is that of its service."""
    for name, field in ServiceFields.model_fields.items():
        assert field.description
        assert field.description.endswith("."), name
    for name in SERVICE_FIELDS[1:]:
        assert ServiceFields.model_fields[name].description == services.describe(name)
    assert "Environment variable: `WORKIQ_TOKEN`" in services.describe("token")
    assert services.describe("search").startswith("Whether")
    assert services.describe("time_zone").startswith("Work IQ: ")


# --- the client -------------------------------------------------------------------------------------------------------


def test_settings_reach_the_client() -> None:
    """Each of them, by the client's own names; no secret is shown."""
    model = Model(
        model="bing-precise",
        backend="chathub",
        endpoint="https://chat.example.com",
        cookies="_U=secret",  # type: ignore[arg-type]
        search=False,
        locale="de-DE",
        timeout=5,
    )
    wanted = ChatHub(
        model="bing-precise", endpoint="https://chat.example.com", cookies="_U=secret", search=False, locale="de-DE"
    )
    assert model._connection.service == wanted
    assert model._connection.timeouts.turn == 5
    assert "secret" not in f"{model!r} {model} {model.model_dump()} {model._connected!r}"


def test_settings_of_work_iq_reach_the_client() -> None:
    """Each of them, by the client's own names; the token is not shown."""
    settings: Any = {
        "time_zone": "Europe/Zurich",
        "files": [FILE],
        "entity_tags": "strip",
        "citation_markers": "footnote",
    }
    model = Model(backend="workiq", token="secret", **settings)
    wanted = WorkIQ(token="secret", **settings)
    assert model._connection.service == wanted
    assert model.model == "copilot"
    assert "secret" not in f"{model!r} {model} {model.model_dump()} {model._connected!r}"


def test_settings_for_speed_reach_the_client() -> None:
    """Going on, the limit of open turns, and what is kept ready."""
    client = Model(backend="emulator", continue_conversations=False, max_concurrency=3, warm=0)._connection
    assert client.continuations is None
    assert client.semaphore is not None
    with pytest.raises(ConfigurationError, match="warm is 33"):
        Model(backend="emulator", warm=33)
    with pytest.raises(ConfigurationError, match="max_concurrency is 0"):
        Model(backend="emulator", max_concurrency=0)


def test_a_service_is_a_setting_too() -> None:
    """Whole, with its model or another one; settings of the client stand beside it."""
    service = Emulated(search=False)
    model = Model(service=service, timeout=5)
    assert model._connection.service is service
    assert (model.model, model._connection.timeouts.turn) == ("bing-balanced", 5)
    assert Model(service=service, model="bing-precise")._connection.service == service.with_model("bing-precise")
    assert "service" not in model.model_dump()
    with pytest.raises(ConfigurationError, match="allowed: bing-creative"):
        Model(service=service, model="copilot")


@pytest.mark.parametrize(
    "beside",
    [
        {"search": False},
        {"backend": "chathub"},
        {"token": "x"},
        {"cookies": "_U=1"},
        {"endpoint": "http://127.0.0.1:1"},
        {"locale": "de-DE"},
        {"files": [FILE]},
    ],
    ids=str,
)
def test_what_stands_beside_a_service_or_a_client_is_refused(beside: dict[str, Any]) -> None:
    """It would be dropped in silence; what is as by default says nothing."""
    [name] = beside
    with pytest.raises(ConfigurationError, match=f"service is given, and so is {name}"):
        Model(service=Emulated(), **beside)
    client = BingClient(backend="emulator")
    with pytest.raises(ConfigurationError, match=f"client is given, and so is {name}"):
        Model(client=client, **beside)
    default = {each: Model.model_fields[each].get_default(call_default_factory=True) for each in SERVICE_FIELDS}
    assert Model(client=client, model="bing-precise", **default)._connection.model == "bing-precise"


def test_what_stands_beside_a_client_alone_is_refused() -> None:
    """A service and the client's own settings are part of it."""
    client = BingClient(backend="emulator")
    settings: list[dict[str, Any]] = [{"service": Emulated()}, {"timeout": 5}, {"warm": 1}, {"max_concurrency": 1}]
    for beside in settings:
        [name] = beside
        with pytest.raises(ConfigurationError, match=f"client is given, and so is {name}"):
            Model(client=client, **beside)
    assert "timeout" in CLIENT_FIELDS


def test_a_client_is_made_once() -> None:
    """Until a setting changes; another model has the same client."""
    model = Model(backend="emulator")
    first = model._connection
    model.model = "bing-precise"
    assert model._connection is first
    assert model.model_copy()._connection is first
    assert model.model_copy(update={"search": False})._connection is not first
    model.search = False
    assert model._connection is not first


def test_threads_that_share_a_model_share_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed setting makes one new client, not one in each thread: the others would never be closed."""
    model = Model(backend="emulator")
    made: list[BingClient] = []
    together = threading.Barrier(4)
    connect = Model._connect

    def connect_slowly(self: Model) -> BingClient:
        made.append(connect(self))
        return made[-1]

    def look() -> BingClient:
        together.wait(timeout=10)
        return model._connection

    monkeypatch.setattr(Model, "_connect", connect_slowly)
    model.search = False
    with ThreadPoolExecutor(4) as threads:
        clients = [task.result() for task in [threads.submit(look) for _ in range(4)]]
    assert all(client is made[0] for client in clients)
    assert len(made) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: model.model_copy(deep=True)])
def test_a_deep_copy_has_lists_of_its_own(copied: Any) -> None:
    """And the same connections, which cannot be copied."""
    model = Model(service=WorkIQ(token="x", time_zone="UTC"), stop=["a"])
    other = copied(model)
    other.stop.append("b")
    assert model.stop == ["a"]
    assert other._connection is model._connection


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [("model_name", "model", "bing-precise"), ("base_url", "endpoint", "http://127.0.0.1:1")],
)
def test_names_of_other_providers_are_aliases(alias: str, name: str, value: str) -> None:
    """Not dropped with a warning; not given twice, and not an option of a call."""
    model: Any = Model
    assert getattr(model(backend="chathub" if name == "endpoint" else "emulator", **{alias: value}), name) == value
    with pytest.raises(ConfigurationError, match=f"{alias} and {name} are both given"):
        model(**{alias: value, name: value})
    with pytest.raises(ConfigurationError, match=f"{alias} is a setting of the model"):
        Model.names.check_options([alias])


async def test_a_client_of_the_users_own_stays_open() -> None:
    """We close only what we opened."""
    own = BingClient(backend="emulator")
    await Model(client=own).aclose()
    assert own.prompt_limit
    async with Model(backend="emulator") as model:
        made = model._connection
    with pytest.raises(ConfigurationError, match="This client was closed"):
        made.backend  # noqa: B018 - it raises
    with Model(service=Emulated()) as model:
        made = model._connection
    with pytest.raises(ConfigurationError, match="This client was closed"):
        made.backend  # noqa: B018 - it raises
    await own.aclose()


@pytest.mark.parametrize(("max_retries", "attempts"), [(None, 3), (0, 1), (4, 5)])
def test_the_number_of_retries_may_be_given(max_retries: int | None, attempts: int) -> None:
    """All else is the client's."""
    client = BingClient(backend="emulator", retries=Retries(attempts=3, first_wait=0.25))
    retries = Model(client=client, max_retries=max_retries)._retries
    assert (retries.attempts, retries.first_wait) == (attempts, 0.25)


# --- api_key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "settings", "credential"),
    [
        ({}, {}, "cookies"),
        ({}, {"backend": "chathub"}, "cookies"),
        ({}, {"backend": "emulator"}, "cookies"),
        ({}, {"endpoint": "http://127.0.0.1:1"}, "cookies"),
        ({}, {"backend": "workiq"}, "token"),
        ({}, {"model": "copilot"}, "token"),
        ({"BING_LLM_BACKEND": "workiq"}, {}, "token"),
        ({"WORKIQ_TOKEN": "other"}, {}, "token"),
        ({"BING_COOKIES": "a=b"}, {}, "cookies"),
        ({"BING_COOKIES": "a=b"}, {"cookies": "a=b"}, "cookies"),
    ],
)
def test_a_key_is_the_credential_of_the_chosen_service(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: dict[str, Any], credential: str
) -> None:
    """Cookies or a token, whichever it takes; it comes before the environment, and is not shown."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    model = Model(api_key="_U=secret", time_zone="UTC" if credential == "token" else None, **settings)
    assert getattr(model, credential).get_secret_value() == "_U=secret"
    assert getattr(model, "token" if credential == "cookies" else "cookies") is None
    if model._connection.backend_name != "emulator":
        assert getattr(model._connection.service, credential) == "_U=secret"
    assert "secret" not in f"{model!r} {model.model_dump()}"
    model.api_key = SecretStr("_U=later")
    assert getattr(model, credential).get_secret_value() == "_U=later"
    copied = model.model_copy(update={"api_key": "_U=again"})
    assert getattr(copied, credential).get_secret_value() == "_U=again"


@pytest.mark.parametrize(
    "beside",
    [{"cookies": "_U=1"}, {"token": "x"}, {"service": Emulated()}, {"client": BingClient(Emulated())}],
    ids=str,
)
def test_a_key_beside_a_credential_is_refused(beside: dict[str, Any]) -> None:
    """One of both would be dropped in silence; the text names both, and no value."""
    [name] = beside
    with pytest.raises(
        ConfigurationError, match=f"{name} (and api_key are both|is given, and so is api_key)"
    ) as caught:
        Model(api_key="_U=secret", **beside)
    assert "secret" not in str(caught.value)


def test_a_key_is_a_declared_field() -> None:
    """So that help and tools find it."""
    assert "credential of the chosen service" in (Model.model_fields["api_key"].description or "")


# --- names ------------------------------------------------------------------------------------------------------------


def test_of_each_unused_option_is_warned_once(names: Names) -> None:
    """In the order of the alphabet, by name; never again in this process."""
    with pytest.warns(UserWarning, match="Model does not use") as warned:
        names.warn_of_unused(["top_p", "seed"])
    assert [str(warning.message).split("'")[1] for warning in warned] == ["seed", "top_p"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.warn_of_unused(["seed", "top_p"])


def test_what_is_used_is_not_warned_of(names: Names) -> None:
    """Neither are the framework's own options."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names.check_options(names.of_a_call)


@pytest.mark.parametrize("name", ["search", "max_retries", "timeout", "proxy", "api_key", "service", "context_window"])
def test_a_setting_of_a_model_is_not_an_unknown_option(name: str, names: Names) -> None:
    """The first is an error, since it would be dropped; the second a warning, since agents pass many."""
    with pytest.raises(ConfigurationError, match=f"{name} is a setting of the model") as refused:
        names.check_options(["top_p", name])
    assert f"Model({name}=...)" in refused.value.hint
    with pytest.warns(UserWarning, match="'top_p'"):
        names.check_options(["top_p", "stream"])


def test_a_setting_of_the_client_alone_is_not_an_unknown_name(names: Names) -> None:
    """So is a typing error: it is not a setting of anything."""
    with pytest.raises(ConfigurationError, match=r"client=BingClient\(proxy=\.\.\.\)"):
        names.check_fields(["proxy"])
    with pytest.warns(UserWarning, match="'modle'"):
        names.check_fields(["modle"])
    with pytest.raises(ConfigurationError, match=r"client=BingClient\(option_sets=\.\.\.\)"):
        Model(backend="emulator", option_sets=[])  # type: ignore[call-arg]
