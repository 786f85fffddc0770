"""What leaves the process or is shown of a model: its settings, and never its secrets."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import BaseMessage

from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import BingError, ServiceError
from bing_llm.services import WorkIQ
from langchain_bing import ChatBing
from tests.fakes import FakeBackend, client_of
from tests.integrations.langchain_bing.models import model_of
from tests.integrations.turns import turn

SECRET = "not-for-anyone"
COOKIES = f"_U={SECRET}"
BASE = "http://127.0.0.1:1/rest"
FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


@dataclass
class Credential:
    """Like a credential of azure-identity, which decides itself what it shows."""

    secret: str

    def get_token(self, *scopes: str) -> Any:
        """None is asked for."""


class Tracer(BaseCallbackHandler):
    """Keeps all that a trace is given."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A call begins."""
        self.received += [serialized, messages, run_id, kwargs]

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """A call failed."""
        self.received += [repr(error), str(error), vars(error), kwargs]


@pytest.mark.parametrize("given", ["field", "alias", "mapping", "environment"])
def test_secrets_are_never_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a model, not by what is bound to it, not by its errors."""
    ways: dict[str, dict[str, Any]] = {
        "field": {"cookies": COOKIES},
        "alias": {"api_key": COOKIES},
        "mapping": {"cookies": {"_U": SECRET}},
        "environment": {},
    }
    settings = ways[given]
    if given == "environment":
        monkeypatch.setenv("BING_COOKIES", COOKIES)
    model = ChatBing(endpoint="http://127.0.0.1:1", **settings)
    assert model.cookies is not None
    assert model.cookies.get_secret_value() == COOKIES
    bound = model.bind_tools([{"name": "now"}])
    shown = [
        *(repr(model), str(model), repr(bound), str(dict(model)), repr(vars(model)), repr(model.model_dump())),
        *(json.dumps(dumpd(model)), dumps(bound), model.model_dump_json(), repr(model._get_llm_string())),
        *(repr(model._identifying_params), repr(model._get_ls_params()), repr(model.lc_attributes)),
    ]
    for text in shown:
        assert SECRET not in text
    for thing in (model, bound, model | str):
        assert SECRET.encode() not in pickle.dumps(thing)


@pytest.mark.parametrize("given", ["field", "later", "copied", "function", "credential", "environment"])
def test_a_token_is_never_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In none of its forms, by what shows cookies neither."""
    token: Any = (
        partial(str, SECRET) if given == "function" else Credential(SECRET) if given == "credential" else SECRET
    )
    settings = {} if given in {"later", "copied", "environment"} else {"token": token}
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET if given == "environment" else "another")
    model = ChatBing(backend="workiq", endpoint=BASE, time_zone="UTC", **settings)
    if given == "later":
        model.token = token
    if given == "copied":
        model = model.model_copy(update={"token": token})
    assert isinstance(model._connection.service, WorkIQ)
    assert model._connection.service.token == token
    bound = model.bind_tools([{"name": "now"}])
    shown = [
        *(repr(model), str(model), repr(bound), str(dict(model)), repr(vars(model)), repr(model.model_dump())),
        *(json.dumps(dumpd(model)), dumps(bound), model.model_dump_json(), repr(model._get_llm_string())),
        *(repr(model._identifying_params), repr(model._get_ls_params()), repr(model.lc_attributes)),
    ]
    for text in shown:
        assert SECRET not in text
    for thing in (model, bound, model | str):
        assert SECRET.encode() not in pickle.dumps(thing)


@pytest.mark.parametrize("token", [f"Bearer {SECRET}", f"{SECRET}\n{SECRET}", SECRET.encode()])
def test_a_token_that_is_refused_is_not_shown(token: Any) -> None:
    """The error and its trace say what is wrong with it, and not what it is."""
    with pytest.raises((BingError, ValueError)) as caught:
        ChatBing(endpoint=BASE, token=token, time_zone="UTC")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cookies", [f"{SECRET}", f"_U={SECRET}\n", f"_U={SECRET}é"])
def test_cookies_that_are_refused_are_not_shown(cookies: str) -> None:
    """The error and its trace say what is wrong with them, and not what they are."""
    with pytest.raises((BingError, ValueError)) as caught:
        ChatBing(endpoint="http://127.0.0.1:1", cookies=cookies)  # type: ignore[arg-type]
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_field_does_not_show_the_secrets() -> None:
    """Pydantic shows what it was given, so it must not be given secrets in the open."""
    with pytest.raises(ValueError, match="timeout") as caught:
        ChatBing(endpoint="http://127.0.0.1:1", cookies=COOKIES, timeout="soon")  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match="timeout") as caught:
        ChatBing(endpoint=BASE, token=SECRET, time_zone="UTC", timeout="soon")  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_call_tells_traces_and_logs_no_secret(bing_emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """At the finest level of the log, for an answer and for a failure."""
    caplog.set_level(logging.DEBUG)
    bing_emulator.brain = Scripted([["Hi"], [ServiceError()]])
    tracer = Tracer()
    model = ChatBing(endpoint=bing_emulator.url, cookies=COOKIES, max_retries=0, callbacks=[tracer])  # type: ignore[arg-type]
    model.invoke("Hello")
    with pytest.raises(ServiceError) as caught:
        model.invoke("Hello")
    assert COOKIES in bing_emulator.requests[0].headers["cookie"]
    assert SECRET not in caplog.text
    assert SECRET not in repr(tracer.received)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_call_of_work_iq_tells_traces_and_logs_no_token(
    bing_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """At the finest level of the log, for an answer and for a failure; the token went to the service."""
    caplog.set_level(logging.DEBUG)
    bing_emulator.token = SECRET
    bing_emulator.brain = Scripted([["Hi"], [ServiceError()]])
    tracer = Tracer()
    model = ChatBing(
        endpoint=bing_emulator.workiq_url, token=SECRET, time_zone="UTC", max_retries=0, callbacks=[tracer]
    )
    model.invoke("Hello")
    with pytest.raises(ServiceError) as caught:
        model.invoke("Hello")
    assert bing_emulator.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in caplog.text
    assert SECRET not in repr(tracer.received)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_traces_say_how_the_model_is_set() -> None:
    """All that changes an answer, and nothing that is secret."""
    tracer = Tracer()
    model_of(FakeBackend(turn("Hi"))).invoke("Hello", {"callbacks": [tracer]}, max_tokens=5, stop=["END"])
    params = tracer.received[3]["invocation_params"]
    assert params["model"] == "bing-balanced"
    assert (params["max_tokens"], params["stop"]) == (5, ["END"])
    assert {"backend", "endpoint", "search", "locale"} <= params.keys()
    assert "client" not in params


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", ("http://127.0.0.1:1/create", "ws://127.0.0.1:1/chat")])
def test_both_forms_of_an_endpoint_are_traced(endpoint: Any) -> None:
    """It is a part of what makes a cached answer the same."""
    params = ChatBing(endpoint=endpoint)._identifying_params
    assert params["endpoint"] == endpoint


# --- serialization ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_model_is_loaded_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting; the secrets come from the environment."""
    monkeypatch.setenv("BING_COOKIES", COOKIES)
    model = ChatBing(
        model="bing-precise", endpoint="http://127.0.0.1:1", search=False, stop=["END"], max_tokens=7, timeout=5.0
    )
    read = load(dumpd(model), allowed_objects=[ChatBing], valid_namespaces=["langchain_bing"], secrets_from_env=True)
    assert isinstance(read, ChatBing)
    assert read.model_dump() == model.model_dump()
    assert read.cookies == model.cookies
    assert (read.stop, read.search, read.timeout) == (["END"], False, 5.0)


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("token", [SECRET, None])
def test_a_model_of_work_iq_is_loaded_as_it_was_written(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """Every setting; the token comes from the environment there, and cookies of the environment go nowhere."""
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET)
    monkeypatch.setenv("BING_COOKIES", COOKIES)
    model = ChatBing(endpoint=BASE, model="copilot", token=token, time_zone="UTC", files=[FILE], entity_tags="strip")
    written = dumpd(model)
    assert model.lc_secrets == {"cookies": "BING_COOKIES", "token": "WORKIQ_TOKEN"}
    read = load(written, allowed_objects=[ChatBing], valid_namespaces=["langchain_bing"], secrets_from_env=True)
    assert isinstance(read, ChatBing)
    assert read.model_dump() == model.model_dump()
    assert read._connection.backend_name == "workiq"
    assert isinstance(read._connection.service, WorkIQ)
    assert read._connection.service.token == SECRET
    assert (read.time_zone, read.files, read.entity_tags) == ("UTC", [FILE], "strip")


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_token_of_the_environment_is_not_another_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a ChatHub is loaded as one, where there is a token in the environment too."""
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET)
    written = dumpd(ChatBing(endpoint="http://127.0.0.1:1"))
    read = load(written, allowed_objects=[ChatBing], valid_namespaces=["langchain_bing"], secrets_from_env=True)
    assert read._connection.backend_name == "chathub"


def test_a_model_is_written_as_a_constructor() -> None:
    """By the public name of its class; not as a repr, which would be in every trace."""
    written = dumpd(ChatBing(backend="emulator"))
    assert (written["type"], written["id"]) == ("constructor", ["langchain_bing", "ChatBing"])
    assert "client" not in written["kwargs"]
    assert "not_implemented" not in json.dumps(written)


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_service_or_a_client_of_your_own_is_not_written() -> None:
    """A model that is read again without their settings would ask another service, so reading it is an error."""
    for model in (
        ChatBing(client=client_of(FakeBackend())),
        ChatBing(service=WorkIQ(token=SECRET, endpoint=BASE, time_zone="UTC")),
    ):
        written = dumpd(model)
        assert (written["type"], SECRET in json.dumps(written)) == ("not_implemented", False)
        with pytest.raises(NotImplementedError, match="doesn't implement serialization"):
            load(written, allowed_objects=[ChatBing], valid_namespaces=["langchain_bing"])
        assert model.is_lc_serializable()


def test_the_cache_tells_models_apart_that_are_not_written() -> None:
    """By all that changes an answer; the service by its settings."""
    service = WorkIQ(token=SECRET, endpoint=BASE, time_zone="UTC")
    models = [
        ChatBing(service=service),
        ChatBing(service=service, max_tokens=7),
        ChatBing(service=service, output_version="v1"),
        ChatBing(service=WorkIQ(token=SECRET, endpoint=BASE, time_zone="Europe/Zurich")),
    ]
    keys = [model._get_llm_string() for model in models]
    assert len(set(keys)) == len(models)
    assert not any(SECRET in key for key in keys)
    assert ChatBing(service=service)._get_llm_string() == keys[0]


# --- pickles and copies -----------------------------------------------------------------------------------------------


def test_a_model_crosses_processes(monkeypatch: pytest.MonkeyPatch, bing_emulator: Emulator) -> None:
    """Its settings go along, its connections are made anew, its secrets come from the environment there."""
    model = ChatBing(endpoint=bing_emulator.url, model="bing-precise", cookies=COOKIES, stop=["END"])  # type: ignore[arg-type]
    model.invoke("Hello")
    written = pickle.dumps(model)
    monkeypatch.setenv("BING_COOKIES", "_U=from-the-environment")
    read = pickle.loads(written)  # noqa: S301 - our own
    bing_emulator.clear()
    assert read.invoke("Hello").response_metadata["model_name"] == "bing-precise"
    assert bing_emulator.requests[0].headers["cookie"] == "_U=from-the-environment"
    assert (read.stop, read.endpoint) == (["END"], bing_emulator.url)


def test_a_model_of_work_iq_crosses_processes(monkeypatch: pytest.MonkeyPatch, bing_emulator: Emulator) -> None:
    """It asks the same service, with the token of the environment there, though only a token had named the backend."""
    model = ChatBing(endpoint=bing_emulator.workiq_url, token=lambda: bing_emulator.token, time_zone="UTC")
    model.invoke("Hello")
    written = pickle.dumps(model)
    bing_emulator.token = "from-the-environment"
    monkeypatch.setenv("WORKIQ_TOKEN", "from-the-environment")
    read = pickle.loads(written)  # noqa: S301 - our own
    assert read.invoke("Hello").response_metadata["model_name"] == "copilot"
    assert read.time_zone == "UTC"


def test_a_bound_model_crosses_processes(bing_emulator: Emulator) -> None:
    """A chain does, as long as its parts do."""
    bound = ChatBing(endpoint=bing_emulator.url).bind_tools([{"name": "now", "description": "Tell the time."}])
    assert pickle.loads(pickle.dumps(bound)).invoke("Hello!").text  # noqa: S301 - our own


def test_a_model_with_a_client_of_your_own_is_not_pickled() -> None:
    """The error says what to do."""
    with pytest.raises(TypeError, match="give it settings instead of a client"):
        pickle.dumps(model_of(FakeBackend()))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_asks_over_the_same_connections(copied: Any) -> None:
    """With a client of your own too, and inside of other things."""
    model = model_of(FakeBackend(turn("Hi"), turn("Hi")))
    (inside,) = copied([copied(model)])
    assert inside._connection is model._connection
    assert inside.invoke("Hello").text == "Hi"


def test_a_copy_is_a_model_of_its_own() -> None:
    """A change of the one is none of the other."""
    model = model_of(FakeBackend(), stop=["a"])
    copied = copy.deepcopy(model)
    copied.stop = ["b"]
    assert model.stop == ["a"]
