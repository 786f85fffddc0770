"""What leaves the process or is shown of an LLM: its settings, and never its secrets."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent
from llama_index.core.prompts import PromptTemplate
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import BingError, ConfigurationError, ServiceError
from bing_llm.services import ChatHub, Emulated, WorkIQ
from llama_index.llms.bing import Bing
from tests.fakes import FakeBackend
from tests.integrations.llama_index.llms.bing.models import asked, llm_of
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


class Listener(BaseEventHandler):
    """Keeps all events."""

    events: list[BaseEvent] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """An event came."""
        del kwargs
        self.events.append(event)


@pytest.mark.parametrize("given", ["field", "alias", "mapping", "later", "copied", "environment"])
def test_secrets_are_never_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by an LLM, not by what LlamaIndex writes of it."""
    ways: dict[str, dict[str, Any]] = {
        "field": {"cookies": COOKIES},
        "alias": {"api_key": COOKIES},
        "mapping": {"cookies": {"_U": SECRET}},
    }
    if given == "environment":
        monkeypatch.setenv("BING_COOKIES", COOKIES)
    llm = Bing(endpoint="http://127.0.0.1:1", **ways.get(given, {}))
    if given == "later":
        llm.cookies = COOKIES  # type: ignore[assignment]
    if given == "copied":
        llm = llm.model_copy(update={"cookies": COOKIES})
    assert isinstance(llm._connection.service, ChatHub)
    assert llm._connection.service.cookies
    shown = [
        *(repr(llm), str(llm), repr(vars(llm)), repr(llm.to_dict()), llm.to_json(), repr(llm.model_dump())),
        *(llm.model_dump_json(), repr(dict(llm)), repr(llm.__pydantic_private__)),
        repr(llm.to_payload() if hasattr(llm, "to_payload") else None),  # from LlamaIndex 0.14.23 on
        repr(llm.as_structured_llm(BaseEvent).to_dict()),
    ]
    for text in shown:
        assert SECRET not in text
    assert SECRET.encode() not in pickle.dumps(llm)


@pytest.mark.parametrize("given", ["field", "later", "copied", "function", "credential", "environment"])
def test_a_token_is_never_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In none of its forms, by what shows cookies neither."""
    token: Any = (
        partial(str, SECRET) if given == "function" else Credential(SECRET) if given == "credential" else SECRET
    )
    settings = {} if given in {"later", "copied", "environment"} else {"token": token}
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET if given == "environment" else "another")
    llm = Bing(backend="workiq", endpoint=BASE, time_zone="UTC", **settings)
    if given == "later":
        llm.token = token
    if given == "copied":
        llm = llm.model_copy(update={"token": token})
    assert isinstance(llm._connection.service, WorkIQ)
    assert llm._connection.service.token == token
    shown = [
        *(repr(llm), str(llm), repr(vars(llm)), repr(llm.to_dict()), llm.to_json(), repr(llm.model_dump())),
        *(llm.model_dump_json(), repr(dict(llm)), repr(llm.__pydantic_private__)),
        repr(llm.to_payload() if hasattr(llm, "to_payload") else None),  # from LlamaIndex 0.14.23 on
        repr(llm.as_structured_llm(BaseEvent).to_dict()),
    ]
    for text in shown:
        assert SECRET not in text
    assert SECRET.encode() not in pickle.dumps(llm)


@pytest.mark.parametrize("token", [f"Bearer {SECRET}", f"{SECRET}\n{SECRET}", SECRET.encode()])
def test_a_token_that_is_refused_is_not_shown(token: Any) -> None:
    """The error and its trace say what is wrong with it, and not what it is."""
    with pytest.raises((BingError, ValueError)) as caught:
        Bing(endpoint=BASE, token=token, time_zone="UTC")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cookies", [f"{SECRET}", f"_U={SECRET}\n", f"_U={SECRET}é"])
def test_cookies_that_are_refused_are_not_shown(cookies: str) -> None:
    """The error and its trace say what is wrong with them, and not what they are."""
    with pytest.raises((BingError, ValueError)) as caught:
        Bing(endpoint="http://127.0.0.1:1", cookies=cookies)  # type: ignore[arg-type]
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_field_does_not_show_the_secrets() -> None:
    """Pydantic shows what it was given, so it must not be given secrets in the open."""
    with pytest.raises(ValueError, match="timeout") as caught:
        Bing(endpoint="http://127.0.0.1:1", cookies=COOKIES, timeout="soon")  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    with pytest.raises(ValueError, match="timeout") as caught:
        Bing(endpoint=BASE, token=SECRET, time_zone="UTC", timeout="soon")  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_a_call_tells_events_and_logs_no_secret(bing_emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """At the finest level of the log, for an answer and for a failure."""
    caplog.set_level(logging.DEBUG)
    bing_emulator.brain = Scripted([["Hi"], [ServiceError()]])
    debug = LlamaDebugHandler(print_trace_on_end=False)
    listener, root = Listener(), get_dispatcher()
    root.add_event_handler(listener)
    try:
        llm = Bing(
            endpoint=bing_emulator.url,
            cookies=COOKIES,  # type: ignore[arg-type]
            max_retries=0,
            callback_manager=CallbackManager([debug]),
        )
        llm.chat(asked())
        with pytest.raises(ServiceError) as caught:
            llm.chat(asked())
    finally:
        root.event_handlers.remove(listener)
    assert COOKIES in bing_emulator.requests[0].headers["cookie"]
    assert SECRET not in caplog.text
    observed = [*listener.events, *(event.payload for pair in debug.get_llm_inputs_outputs() for event in pair)]
    assert len(observed) > 4
    assert SECRET not in repr(observed)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# --- serialization ----------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "model": "bing-precise",
    "endpoint": "http://127.0.0.1:1",
    "search": False,
    "locale": "de-DE",
    "timeout": 5.0,
    "max_retries": 1,
    "stop": ["END"],
    "max_tokens": 7,
    "context_window": 100,
    "join_deltas": False,
    "system_prompt": "Be brief.",
}


def test_an_llm_is_loaded_as_it_was_written() -> None:
    """Every setting; the cookies come from the environment."""
    llm = Bing(**SETTINGS)
    for read in (Bing.from_dict(llm.to_dict()), Bing.from_json(llm.to_json())):
        assert {name: getattr(read, name) for name in SETTINGS} == SETTINGS
        assert read.to_dict() == llm.to_dict()


def test_an_llm_of_work_iq_is_loaded_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the same service, with the token of the environment, though only a token had named the backend."""
    settings: dict[str, Any] = {"endpoint": BASE, "time_zone": "UTC", "files": [FILE], "entity_tags": "strip"}
    settings["citation_markers"] = "footnote"
    llm = Bing(token=SECRET, **settings)
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET)
    for read in (Bing.from_dict(llm.to_dict()), Bing.from_json(llm.to_json())):
        assert {name: getattr(read, name) for name in settings} == settings
        assert (read.model, read._connection.backend_name) == ("copilot", "workiq")
        assert read.to_dict() == llm.to_dict()


def test_both_forms_of_an_endpoint_are_loaded() -> None:
    """A pair too, which JSON has as a list."""
    pair = ("http://127.0.0.1:1/create", "ws://127.0.0.1:1/chat")
    assert Bing.from_json(Bing(endpoint=pair).to_json()).endpoint == pair


@pytest.mark.parametrize(
    "service",
    [
        WorkIQ(token=SECRET, time_zone="UTC", files=("https://contoso.sharepoint.com/plan.docx",), search=False),
        ChatHub(endpoint="http://127.0.0.1:1", cookies=f"_U={SECRET}", model="bing-precise", locale="de-DE"),
        Emulated(model="bing-creative"),
    ],
    ids=lambda service: service.name,
)
def test_a_service_is_written_as_its_settings(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read asks the same service, with a credential from the environment; the dump has none."""
    monkeypatch.setenv("WORKIQ_TOKEN", SECRET)
    written = Bing(service=service).to_json()
    assert SECRET not in written
    read = Bing.from_json(written)
    assert read._connection.backend_name == service.name
    for name in ("model", "search", "time_zone", "files", "locale", "endpoint"):
        if hasattr(service, name):
            assert getattr(read._connection.service, name) == getattr(service, name)
    assert read.to_json() == written


class OwnHub(ChatHub, frozen=True, kw_only=True):
    """A service of one's own."""


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("client", BingClient(Emulated())),
        ("service", OwnHub(endpoint="http://127.0.0.1:1")),
        ("service", ChatHub(endpoint="http://127.0.0.1:1", proxy=f"http://ada:{SECRET}@127.0.0.1:9")),
    ],
)
def test_what_cannot_be_written_is_an_error_when_it_is_read(name: str, owner: Any) -> None:
    """It is not read as an LLM of another service: the error says what to pass, and with that it is read."""
    written = Bing(**{name: owner}).to_json()
    assert SECRET not in written
    with pytest.raises(ConfigurationError, match=rf"a Bing with a {name} of its own.*Pass it: Bing.from_dict\(dump, "):
        Bing.from_json(written)
    assert getattr(Bing.from_json(written, **{name: owner}), name) is owner


def test_what_is_written_is_json() -> None:
    """Docstores and traces keep it."""
    assert json.loads(Bing(**SETTINGS).to_json())["class_name"] == "bing_llm"


# --- pickles and copies -----------------------------------------------------------------------------------------------


def test_an_llm_crosses_processes(monkeypatch: pytest.MonkeyPatch, bing_emulator: Emulator) -> None:
    """Its settings go along, its connections are made anew, its cookies come from the environment there."""
    settings = {**SETTINGS, "endpoint": bing_emulator.url, "max_tokens": None}  # to cut an answer sends a stop, later
    llm = Bing(**settings, cookies=COOKIES)  # type: ignore[arg-type]
    llm.chat(asked())
    written = pickle.dumps(llm)
    monkeypatch.setenv("BING_COOKIES", "_U=from-the-environment")
    read = pickle.loads(written)  # noqa: S301 - our own
    bing_emulator.clear()
    assert read.chat(asked()).raw["model"] == "bing-precise"
    assert bing_emulator.requests[0].headers["cookie"] == "_U=from-the-environment"
    assert {name: getattr(read, name) for name in settings} == settings


def test_an_llm_of_work_iq_crosses_processes(monkeypatch: pytest.MonkeyPatch, bing_emulator: Emulator) -> None:
    """It asks the same service, with the token of the environment there."""
    llm = Bing(endpoint=bing_emulator.workiq_url, token=lambda: bing_emulator.token, time_zone="UTC")
    llm.chat(asked())
    written = pickle.dumps(llm)
    bing_emulator.token = "from-the-environment"
    monkeypatch.setenv("WORKIQ_TOKEN", "from-the-environment")
    read = pickle.loads(written)  # noqa: S301 - our own
    assert read.chat(asked()).raw["model"] == "copilot"


def test_to_pickle_an_llm_does_not_change_it(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be pickled is left out of the pickle alone, with a word in the log."""
    llm = Bing(backend="emulator", completion_to_prompt=lambda prompt: f"<{prompt}>")
    written = pickle.dumps(llm)
    assert "completion_to_prompt cannot be pickled" in caplog.text
    assert llm.completion_to_prompt is not None
    assert llm.completion_to_prompt("a") == "<a>"
    assert pickle.loads(written).completion_to_prompt("a") == "a"  # noqa: S301 - our own


def test_an_llm_with_a_client_of_your_own_is_not_pickled() -> None:
    """The error says what to do."""
    with pytest.raises(TypeError, match="give it settings instead of a client"):
        pickle.dumps(llm_of(FakeBackend()))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_asks_over_the_same_connections(copied: Any) -> None:
    """With a client of your own too, and inside of other things."""
    llm = llm_of(FakeBackend(turn("Hi"), turn("Hi")))
    (inside,) = copied([copied(llm)])
    assert inside._connection is llm._connection
    assert inside.chat(asked()).message.content == "Hi"


def test_a_copy_is_an_llm_of_its_own() -> None:
    """A change of the one is none of the other."""
    llm = Bing(**SETTINGS)
    copied = copy.deepcopy(llm)
    assert copied.to_dict() == llm.to_dict()
    copied.search = True
    copied.stop.append("x")  # type: ignore[union-attr]
    assert (llm.search, llm.stop) == (False, ["END"])


class Own(Bing):
    """An LLM of somebody's own."""

    tags: list[str] = Field(default_factory=list)

    def __init__(self, place: str = "", **settings: Any) -> None:
        super().__init__(endpoint=settings.pop("endpoint", place), **settings)


def test_a_subclass_is_copied_and_pickled() -> None:
    """With its own fields, and whatever its constructor takes."""
    llm = Own("http://127.0.0.1:1", tags=["a"])
    copied = copy.deepcopy(llm)
    copied.tags.append("b")
    assert llm.tags == ["a"]
    read = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own
    assert (read.endpoint, read.tags) == ("http://127.0.0.1:1", ["a"])


def test_a_dump_makes_the_same_again() -> None:
    """A dump holds the name of the class, which is not a setting."""
    llm = Bing(**SETTINGS)
    assert Bing(**llm.model_dump()).to_dict() == llm.to_dict()


def test_the_class_has_a_json_schema() -> None:
    """So it may be a field of a model that has one."""
    properties = Bing.model_json_schema()["properties"]
    assert "model" in properties
    assert "client" not in properties


def test_events_of_structured_calls_are_json() -> None:
    """Traces write them."""
    listener, root = Listener(), get_dispatcher()
    root.add_event_handler(listener)
    try:
        llm_of(FakeBackend(turn('{"name": "x"}'))).structured_predict(Named, PromptTemplate("Name it."))
    finally:
        root.event_handlers.remove(listener)
    started = [event for event in listener.events if isinstance(event, LLMChatStartEvent)]
    assert "json_schema" in started[0].model_dump_json()


class Named(BaseModel):
    """Something with a name."""

    name: str
