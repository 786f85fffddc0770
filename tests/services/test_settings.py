"""Services as values: their settings, what is refused before anything is sent, and what no text shows."""

from __future__ import annotations

import inspect
import pickle
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from bing_llm import services
from bing_llm._checks import cookie_header
from bing_llm.backends.chathub.options import MODELS
from bing_llm.backends.workiq import options as workiq_options
from bing_llm.backends.workiq.login import login
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.errors import BingError, ConfigurationError, InvalidRequest, PromptTooLong
from bing_llm.services import SERVICES, ChatHub, Emulated, Location, Service, ServiceSettings, WorkIQ, fingerprint
from bing_llm.sync_client import SyncBingClient
from tests.backends.workiq import azure

SECRET = "5ecret-Va1ue"
HERE = "http://127.0.0.1:1"
PAIR = ("http://127.0.0.1:1/create", "ws://127.0.0.1:1/socket")


# --- cookies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookies", "header"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ({}, None),
        ("_U=1; MUID=2", "_U=1; MUID=2"),
        (" _U=1 ", "_U=1"),
        ({"_U": "1", "MUID": "2"}, "_U=1; MUID=2"),
        ({"_U": "a=b=", "empty": ""}, "_U=a=b=; empty="),
    ],
)
def test_cookies_are_a_header_or_a_mapping(cookies: Any, header: str | None) -> None:
    """A mapping is written as a Cookie header; blanks around a header do not matter."""
    assert cookie_header(cookies) == header


BAD_COOKIES = [
    f"_U={SECRET}\r\nX-Injected: 1",
    f"_U={SECRET}\nMUID=2",
    f"_U={SECRET}\n",
    f"_U={SECRET}\x00",
    f"_U={SECRET}\u2028",
    f"_U={SECRET}\u00e9",
    f"{SECRET}",
    {"_U": f"{SECRET}\r\nX-Injected: 1"},
    {"_U": f"{SECRET}; MUID=2"},
    {"_U": f"{SECRET}\t"},
    {f"{SECRET}\n": "1"},
    {f"{SECRET}=": "1"},
    {f"{SECRET};": "1"},
    {f"{SECRET} ": "1"},
    {"": SECRET},
    {"_U": SECRET.encode()},
    {1: SECRET},
    [("_U", SECRET)],
    SECRET.encode(),
    42,
]


@pytest.mark.parametrize("cookies", BAD_COOKIES, ids=repr)
def test_cookies_that_are_not_a_header_are_refused_without_showing_them(cookies: Any) -> None:
    """A line break, a control character or another type is a ConfigurationError that holds no part of a value."""
    with pytest.raises(ConfigurationError) as caught:
        BingClient(backend="chathub", cookies=cookies)
    assert "cookies" in caught.value.message
    assert caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_bad_cookies_of_the_environment_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`BING_COOKIES` is checked as the argument is, and not shown either."""
    monkeypatch.setenv("BING_COOKIES", f"_U={SECRET}\nMUID=2")
    with pytest.raises(ConfigurationError, match="line break") as caught:
        BingClient()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "", None])
def test_an_address_is_ipv4_or_ipv6(address: str | None) -> None:
    """Either kind is taken, and none is needed."""
    assert BingClient(backend="chathub", ip_address=address).backend_name == "chathub"


async def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cookies and endpoint come from the environment only where the caller gives none; an empty header is one."""
    async with Emulator() as emulator, Emulator() as other:
        monkeypatch.setenv("BING_COOKIES", "_U=environment")
        monkeypatch.setenv("BING_LLM_ENDPOINT", emulator.url)
        given: list[dict[str, Any]] = [{}, {"cookies": "_U=argument"}, {"cookies": ""}]
        for arguments in given:
            async with BingClient(**arguments) as bing:
                await bing.create_conversation()
        async with BingClient(endpoint=other.url) as bing:
            await bing.create_conversation()
    sent = [request.headers.get("Cookie") for request in (*emulator.requests, *other.requests)]
    assert sent == ["_U=environment", "_U=argument", None, "_U=environment"]
    assert len(other.requests) == 1


# --- everything else that is refused before anything is sent ----------------------------------------------------------

BAD_SETTINGS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"model": "gpt-4"}, ("'gpt-4'", *MODELS)),
    ({"endpoint": "chat.example.org"}, ("'chat.example.org'", "not a URL", "http://127.0.0.1:8765")),
    ({"endpoint": "http://"}, ("not a URL",)),
    ({"endpoint": "ftp://127.0.0.1"}, ("'ftp://127.0.0.1'", "http or https")),
    ({"endpoint": "http://127.0.0.1:port"}, ("not a URL",)),
    (
        {"endpoint": "http://chat.example.org/a"},
        ("'http://chat.example.org/a'", "not encrypted", "https", "allow_insecure"),
    ),
    ({"endpoint": "http://127.0.0.1.example.org"}, ("not encrypted",)),
    (
        {"endpoint": ("https://a.example.org/create", "ws://b.example.org/socket")},
        ("'ws://b.example.org/socket'", "wss"),
    ),
    ({"endpoint": ("https://a.example.org/create", "https://b.example.org/socket")}, ("ws or wss",)),
    ({"endpoint": ("https://a.example.org/create",)}, ("endpoint",)),
    ({"endpoint": 42}, ("endpoint", "int")),
    ({"model": ["bing-precise"]}, ("model",)),
    ({"option_sets": "nosearchall"}, ("option_sets", "str")),
    ({"timeouts": 5}, ("timeouts is a int", "Timeouts")),
    ({"retries": {"attempts": 1}}, ("retries is a dict", "Retries")),
    ({"proxy": 1}, ("proxy", "int")),
    ({"ip_address": "192.0.2.7\r\nX-Injected: 1"}, ("'192.0.2.7\\r\\nX-Injected: 1'", "IPv4 or IPv6")),
    ({"ip_address": 42}, ("42", "IPv4 or IPv6")),
]


@pytest.mark.parametrize(("settings", "named"), BAD_SETTINGS, ids=lambda value: repr(value)[:60])
def test_bad_settings_name_the_value_and_what_is_allowed(settings: dict[str, Any], named: tuple[str, ...]) -> None:
    """An unknown name, or an endpoint that is no URL or not safe, is refused when the client is made."""
    with pytest.raises(ConfigurationError) as caught:
        BingClient(backend="chathub", cookies=f"_U={SECRET}", **settings)
    text = str(caught.value)
    assert [part for part in named if part not in text] == []
    assert SECRET not in f"{text} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize(
    "endpoint",
    [
        f"https://user:{SECRET}@chat.example.org",
        f"https://chat.example.org?token={SECRET}",
        f"https://chat.example.org#{SECRET}",
        f"ftp://user:{SECRET}@chat.example.org",
        f"http://user:{SECRET}@chat.example.org?token={SECRET}",
        (f"https://chat.example.org/create?token={SECRET}", "wss://chat.example.org/socket"),
        ("https://chat.example.org/create", f"ws://chat.example.org/socket?token={SECRET}"),
    ],
)
def test_a_secret_in_an_endpoint_is_refused_and_not_shown(endpoint: Any) -> None:
    """Credentials do not belong into a URL; the refusal shows the URL without them."""
    with pytest.raises(ConfigurationError, match=r"chat\.example\.org") as caught:
        BingClient(backend="chathub", endpoint=endpoint)
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize(
    "proxy",
    ["", SECRET, f"{SECRET}:8080", f"socks5://bob:{SECRET}@127.0.0.1:1", "http://:8080", f"http://127.0.0.1:{SECRET}"],
)
def test_what_is_not_a_proxy_is_refused_and_not_shown(proxy: str) -> None:
    """A proxy is the URL of an HTTP proxy; the error says so and does not echo what was passed."""
    with pytest.raises(
        ConfigurationError, match=r"^The proxy is not a URL with scheme http or https and a host\. "
    ) as caught:
        BingClient(backend="chathub", proxy=proxy)
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_a_bad_endpoint_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """`BING_LLM_ENDPOINT` is checked as the argument is."""
    monkeypatch.setenv("BING_LLM_ENDPOINT", "chat.example.org")
    with pytest.raises(ConfigurationError, match=r"'chat\.example\.org' is not a URL"):
        BingClient()


@pytest.mark.parametrize(
    ("endpoint", "allow_insecure"),
    [
        ("http://127.0.0.1:8765", False),
        ("http://localhost:8765/", False),
        ("http://[::1]:8765", False),
        ("https://chat.example.org", False),
        ("http://chat.example.org", True),
        (("https://a.example.org/create", "wss://b.example.org/socket"), False),
        (("http://a.example.org/create", "ws://b.example.org/socket"), True),
    ],
)
def test_endpoints_that_are_allowed(endpoint: Any, allow_insecure: bool) -> None:  # noqa: FBT001
    """Plain http is allowed on this machine, or where the caller says so; https everywhere."""
    assert BingClient(endpoint=endpoint, allow_insecure=allow_insecure).backend_name == "chathub"


BAD_PROMPTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"prompt": ""}, ("empty",)),
    ({"prompt": " \n"}, ("empty",)),
    ({"prompt": "x" * 4001}, ("4,001", "4,000", "bing-balanced")),
    ({"prompt": None}, ("prompt", "NoneType", "str")),
    ({"prompt": "one\ud800"}, ("prompt", "character 3")),
    ({"prompt": "Hello", "context": 1}, ("context", "int", "str")),
    ({"prompt": "Hello", "context": "\ud800"}, ("context", "character 0")),
    ({"prompt": "Hello", "images": "picture.png"}, ("images", "str", "list")),
    ({"prompt": "Hello", "images": [1]}, ("int", "PNG, JPEG, GIF or WebP")),
    ({"prompt": "Hello", "images": ["no-such-file.png"]}, ("'no-such-file.png'", "PNG, JPEG, GIF or WebP")),
    ({"prompt": "Hello", "images": [b"text"]}, ("PNG, JPEG, GIF or WebP",)),
    ({"prompt": "Hello", "images": ["data:image/png;base64,!"]}, ("base64",)),
    ({"prompt": "Hello", "images": ["https://example.org/a.png"] * 2}, ("2 images", "takes one")),
]


@pytest.mark.parametrize(("arguments", "named"), BAD_PROMPTS, ids=lambda value: repr(value)[:60])
async def test_bad_prompts_are_refused_before_anything_is_sent(
    arguments: dict[str, Any], named: tuple[str, ...]
) -> None:
    """Such as an empty or over-long one, or an unreadable image: the service hears nothing."""
    async with Emulator() as emulator, BingClient(endpoint=emulator.url, cookies=f"_U={SECRET}") as bing:
        raised: list[BingError] = []
        with pytest.raises((InvalidRequest, PromptTooLong)) as caught:
            bing.stream(**arguments)
        raised.append(caught.value)
        with pytest.raises((InvalidRequest, PromptTooLong)) as caught:
            await bing.ask(**arguments)
        raised.append(caught.value)
        assert emulator.requests == []
    for error in raised:
        assert [part for part in named if part not in str(error)] == []
        assert error.hint
        assert SECRET not in f"{error} {error!r} {vars(error)}"


async def test_the_limit_of_a_prompt_is_the_models() -> None:
    """Each model has its own limit, in characters; `prompt_limit` takes its place."""
    for model, style in MODELS.items():
        client = BingClient(backend="chathub", model=model)
        client.stream("x" * style.prompt_limit)
        with pytest.raises(PromptTooLong, match=rf"{style.prompt_limit + 1:,} characters; {model} takes"):
            client.stream("x" * (style.prompt_limit + 1))
    client = BingClient(backend="chathub", prompt_limit=9000)
    client.stream("x" * 9000)
    with pytest.raises(PromptTooLong, match="at most 9,000"):
        client.stream("x" * 9001)


# --- what a service is ------------------------------------------------------------------------------------------------

FILE = "https://contoso.sharepoint.com/sites/x/plan.docx"


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine in Tokyo where nobody has signed in."""
    monkeypatch.setattr(workiq_options, "local_time_zone", lambda: "Asia/Tokyo")
    for name in ("XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


VALUES: list[tuple[Service, dict[str, Any]]] = [
    (
        ChatHub(
            model="bing-precise",
            search=False,
            cookies={"_U": "1"},
            endpoint=HERE,
            locale="de-DE",
            option_sets=["a", "b"],
            location=Location(1.0, 2.0),
            prompt_limit=10,
            ip_address="192.0.2.7",
        ),
        {
            "model": "bing-precise",
            "search": False,
            "cookies": "_U=1",
            "endpoint": HERE,
            "locale": "de-DE",
            "option_sets": ("a", "b"),
            "location": Location(1.0, 2.0),
            "prompt_limit": 10,
            "ip_address": "192.0.2.7",
        },
    ),
    (
        WorkIQ(
            search=False,
            token="x",
            endpoint=HERE,
            location=Location(47.4, 8.5),
            prompt_limit=10,
            time_zone="Europe/Zurich",
            files=[FILE],
            entity_tags="strip",
            citation_markers="footnote",
            over_stream=False,
            allow_insecure=True,
        ),
        {
            "model": "copilot",
            "search": False,
            "token": "x",
            "endpoint": HERE,
            "location": Location(47.4, 8.5),
            "prompt_limit": 10,
            "time_zone": "Europe/Zurich",
            "files": (FILE,),
            "entity_tags": "strip",
            "citation_markers": "footnote",
            "over_stream": False,
            "allow_insecure": True,
        },
    ),
    (
        Emulated(model="bing-creative", search=False, locale="de-DE", option_sets=["a"]),
        {"model": "bing-creative", "search": False, "locale": "de-DE", "option_sets": ("a",)},
    ),
]


@pytest.mark.parametrize(("service", "settings"), VALUES, ids=lambda value: getattr(value, "name", ""))
def test_a_value_and_the_keywords_mean_the_same(service: Service, settings: dict[str, Any]) -> None:
    """`BingClient(WorkIQ(...))` has the service of `BingClient(backend="workiq", ...)`, with nothing left out."""
    assert BingClient(service).service is service
    assert BingClient(backend=service.name, **settings).service == service
    for name, value in settings.items():
        assert getattr(service, name) == value


@pytest.mark.usefixtures("at_home")
def test_what_is_left_out_has_its_default() -> None:
    """The plain assistant of the service's own client, and nothing that was not asked for."""
    hub = ChatHub()
    assert (hub.model, hub.search, hub.locale, hub.location) == ("bing-balanced", True, "en-US", None)
    assert (hub.endpoint, hub.cookies, hub.option_sets, hub.prompt_limit) == (None, None, None, None)
    assert (hub.proxy, hub.trust_env, hub.ssl_context, hub.allow_insecure) == (None, False, None, False)
    assert (hub.ip_address, hub.longest_prompt) == (None, 4000)
    work = WorkIQ(token="x")
    assert (work.model, work.search, work.time_zone, work.location) == ("copilot", True, "Asia/Tokyo", None)
    assert (work.files, work.entity_tags, work.over_stream, work.longest_prompt) == ((), "keep", True, 16_000)
    assert Emulated(cookies="_U=1") == Emulated()
    assert (Emulated().model, Emulated().locale, Emulated().longest_prompt) == ("bing-balanced", "en-US", 4000)


@pytest.mark.usefixtures("at_home")
def test_the_environment_is_read_when_a_value_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service reads the variables of its own settings where the argument is left out, and never again."""
    for name, value in {"BING_LLM_ENDPOINT": HERE, "BING_COOKIES": "_U=1", "WORKIQ_TOKEN": "x"}.items():
        monkeypatch.setenv(name, value)
    hub, work = ChatHub(), WorkIQ()
    for name in ("BING_LLM_ENDPOINT", "BING_COOKIES", "WORKIQ_TOKEN"):
        monkeypatch.setenv(name, "changed")
    hub, work = hub.with_model("bing-precise"), work.with_model("copilot")
    assert (hub.model, hub.endpoint, hub.cookies) == ("bing-precise", HERE, "_U=1")
    assert (work.endpoint, work.token) == (HERE, "x")
    assert ChatHub(cookies="", endpoint=PAIR).cookies is None
    assert (ChatHub(cookies="a=b", endpoint=HERE).cookies, WorkIQ(token="y", endpoint=HERE).token) == ("a=b", "y")


@pytest.mark.usefixtures("at_home")
def test_a_token_comes_from_the_argument_the_environment_or_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order."""
    azure.install(monkeypatch)
    login("app-1", None, scope="a-scope", tell=lambda _address, _code: None)
    saved: Any = WorkIQ().token
    assert saved.get_token("a-scope").token == "a-token"
    monkeypatch.setenv("WORKIQ_TOKEN", "from-the-environment")
    assert WorkIQ().token == "from-the-environment"

    async def give() -> str:
        return "made"

    assert WorkIQ(token="given").token == "given"
    assert WorkIQ(token=give).token is give


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_the_text_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    """All ways are named: the argument, the environment, the login."""
    monkeypatch.setenv("WORKIQ_TOKEN", "")
    with pytest.raises(ConfigurationError, match="has no token") as caught:
        WorkIQ(token=token)
    assert [word for word in ("token=", "WORKIQ_TOKEN", "bing-llm login") if word not in caught.value.hint] == []


@pytest.mark.parametrize("token", [7, b"bytes", object(), "two words", "line\nbreak"])
def test_what_cannot_be_a_token_is_refused(token: Any) -> None:
    """When the value is made, and without being shown."""
    with pytest.raises(ConfigurationError, match="token") as caught:
        WorkIQ(token=token, time_zone="UTC")
    assert "two words" not in str(caught.value)


def test_the_endpoint_is_checked_before_the_token() -> None:
    """A token is for a host, so that must be one."""
    with pytest.raises(ConfigurationError, match="not a URL"):
        WorkIQ(token="two words", endpoint="workiq.example.com", time_zone="UTC")
    with pytest.raises(ConfigurationError, match="not encrypted"):
        WorkIQ(token="two words", endpoint="http://workiq.example.com", time_zone="UTC")
    assert WorkIQ(token="x", endpoint="http://workiq.example.com", allow_insecure=True, time_zone="UTC").token == "x"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"model": "bing-precise"}, "allowed: copilot"),
        ({"time_zone": "W. Europe Standard Time"}, "IANA"),
        ({"time_zone": ""}, "IANA"),
        ({"files": ["https://example.com/plan.docx"]}, "SharePoint"),
        ({"files": FILE}, "files"),
        ({"files": (7,)}, "files"),
        ({"entity_tags": "drop"}, "entity_tags"),
        ({"citation_markers": "drop"}, "citation_markers"),
        ({"prompt_limit": 0}, "prompt_limit is 0; it must be at least 1 character"),
        ({"prompt_limit": -5}, "prompt_limit is -5"),
        ({"search": 1}, "search"),
        ({"location": (1, 2)}, "location"),
        ({"location": Location("1", 2)}, "latitude of The setting location"),  # type: ignore[arg-type]
        ({"location": Location(91, 0)}, "from -90 to 90"),
    ],
)
def test_values_that_are_not_allowed_are_refused(setting: dict[str, Any], words: str) -> None:
    """By the value and by the keywords; the text names the setting, and says what is allowed."""
    for make in (WorkIQ, partial(BingClient, backend="workiq")):
        with pytest.raises(ConfigurationError, match=words):
            make(**{"token": "x", "time_zone": "UTC", **setting})


def test_another_model_changes_nothing_else() -> None:
    """`with_model` keeps all other settings, an own limit of the prompt too, and takes the names in `models`."""
    hub = ChatHub(locale="de-DE")
    creative = hub.with_model("bing-creative")
    assert creative == ChatHub(model="bing-creative", locale="de-DE")
    assert (hub.longest_prompt, creative.longest_prompt) == (4000, 8000)
    assert ChatHub(prompt_limit=9).with_model("bing-creative").longest_prompt == 9
    for service in (hub, Emulated(), WorkIQ(token="x", time_zone="UTC")):
        assert [service.with_model(name).model for name in service.models] == list(service.models)
        with pytest.raises(ConfigurationError, match=rf"'gpt-5' is not known; allowed: {', '.join(service.models)}"):
            service.with_model("gpt-5")
    assert Emulated().models == ChatHub().models == tuple(MODELS)


@pytest.mark.parametrize(
    ("service", "limit"),
    [
        (ChatHub(), 4000),
        (ChatHub(model="bing-creative"), 8000),
        (ChatHub(prompt_limit=20_000), 20_000),
        (Emulated(prompt_limit=10), 10),
        (WorkIQ(token="x", time_zone="UTC"), 16_000),
        (WorkIQ(token="x", time_zone="UTC", prompt_limit=9), 9),
    ],
)
def test_a_prompt_may_have_so_many_characters(service: ChatHub | Emulated | WorkIQ, limit: int) -> None:
    """A prompt of the limit is taken; one character more is refused with both numbers, and so is one without text."""
    service.check_prompt("x" * limit)
    with pytest.raises(PromptTooLong, match=f"has {limit + 1:,} characters; {service.model} takes at most {limit:,}"):
        service.check_prompt("x" * (limit + 1))
    for text in ("", "  ", "\n\t"):
        with pytest.raises(InvalidRequest, match="The prompt is empty"):
            service.check_prompt(text)


def test_a_location_has_its_wire_form() -> None:
    """Degrees and metres, as the web client writes them."""
    assert str(Location(47.639557, -122.128159)) == "lat:47.639557;long:-122.128159;re=1000m;"


# --- one declaration --------------------------------------------------------------------------------------------------


def test_the_keywords_are_the_settings() -> None:
    """`ServiceSettings` has each setting of each service, with its type; a type of both services holds each."""
    keywords = get_type_hints(ServiceSettings)
    declared: dict[str, set[object]] = {}
    for kind in SERVICES.values():
        for name, (annotation, _) in services.settings_of(kind).items():
            declared.setdefault(name, set()).update(get_args(annotation) or {annotation})
    assert declared.keys() == keywords.keys()
    for name, parts in declared.items():
        wanted = set(get_args(keywords[name]) or {keywords[name]}) - ({NoneType} if name == "model" else set())
        assert parts == wanted, name


def test_services_agree_on_what_they_share() -> None:
    """A setting of two services has one default and one variable, so that the keywords mean the same everywhere."""
    for name in {name for kind in SERVICES.values() for name in kind.__struct_fields__} - {"model"}:
        kinds = [kind for kind in SERVICES.values() if name in kind.__struct_fields__]
        assert len({services.default_of(kind, name) for kind in kinds}) == 1, name
        variables = {services.settings_of(kind)[name][1].variable for kind in kinds if kind is not Emulated}
        assert len(variables) <= 1, name  # the emulator reads none


def test_each_setting_is_described() -> None:
    """In a sentence or more, which `help`, the command line and the adapters show."""
    for kind in SERVICES.values():
        assert kind.__doc__
        for name, (_, setting) in services.settings_of(kind).items():
            assert setting.doc.endswith("."), name
            assert f"    {name}: {setting.doc}" in kind.__doc__
    assert inspect.getdoc(WorkIQ).splitlines()[2:4] == ["Args:", "    search: Whether the service may search the web."]  # type: ignore[union-attr]


# --- what the settings show -------------------------------------------------------------------------------------------


def test_services_show_and_give_away_nothing() -> None:
    """Their repr has no secret, and pickling them is refused."""
    proxy = f"http://user:{SECRET}@127.0.0.1:1"
    hub, work = ChatHub(cookies=f"_U={SECRET}", proxy=proxy), WorkIQ(token=SECRET, proxy=proxy, time_zone="UTC")
    assert repr(hub) == str(hub) == "ChatHub(model='bing-balanced', search=True, ...)"
    assert repr(work) == str(work) == "WorkIQ(model='copilot', search=True, ...)"
    for service in (hub, work):
        with pytest.raises(TypeError, match="holds cookies"):
            pickle.dumps(service)


# --- agents -----------------------------------------------------------------------------------------------------------


def work(**settings: Any) -> WorkIQ:
    """A service that would be asked as somebody."""
    return WorkIQ(token="x", time_zone="UTC", **settings)


def test_an_agent_is_asked_over_a2a() -> None:
    """Copilot itself over REST, unless that is said; what was read stays as it is when a copy is made."""
    assert [work().protocol, work(agent="P_1").protocol, work(protocol="a2a").protocol] == ["rest", "a2a", "a2a"]
    assert work(agent="").agent is None
    assert work(agent="P_1").with_model("copilot").agent == "P_1"
    assert fingerprint(work(agent="P_1")) != fingerprint(work(agent="P_2"))
    with pytest.raises(ConfigurationError, match="reaches Copilot alone"):
        work(agent="P_1", protocol="rest")
    with pytest.raises(ConfigurationError, match="protocol"):
        work(protocol="mcp")
    with pytest.raises(ConfigurationError, match="agent"):
        work(agent=7)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"files": ["https://contoso.sharepoint.com/plan.docx"]}, "files"),
        ({"search": False}, "search=False"),
        ({"location": Location(47.4, 8.5)}, "location"),
    ],
)
@pytest.mark.parametrize("over", [{"agent": "P_1"}, {"protocol": "a2a"}])
def test_what_only_rest_has_is_refused_over_a2a(settings: dict[str, Any], named: str, over: dict[str, Any]) -> None:
    """The error says so; nothing is left out in silence."""
    with pytest.raises(ConfigurationError, match=f"{named} is given, and the protocol is A2A") as caught:
        work(**settings, **over)
    assert "REST" in str(caught.value)
    with pytest.raises(ConfigurationError, match="only REST"):
        BingClient(backend="workiq", token="x", time_zone="UTC", **settings, **over)
    assert work(**settings).protocol == "rest"


async def test_only_agents_have_cards() -> None:
    """A client of another service says what to pass."""
    for client in (BingClient(work()), BingClient(backend="chathub", endpoint=HERE)):
        with pytest.raises(ConfigurationError, match="has no agent card") as caught:
            await client.agent_card()
        assert "agent=" in caught.value.hint


def test_a_card_is_shown_by_both_clients() -> None:
    """Without `async` too."""
    with Emulator() as emulator:
        settings: dict[str, Any] = {"endpoint": emulator.a2a_url, "token": emulator.token, "time_zone": "UTC"}
        with SyncBingClient(agent="P_clerk.emulator", **settings) as client:
            card = client.agent_card()
            assert client.agent_card() is card
        assert (card.name, card.streaming) == ("Clerk", False)
        assert len(emulator.requests) == 1


def test_another_agent_is_asked_with_the_same_settings() -> None:
    """Over A2A; what agents do not have is refused, and what cannot be one."""
    other = work(citation_markers="footnote").with_agent("P_2")
    assert (other.agent, other.protocol, other.citation_markers, other.token) == ("P_2", "a2a", "footnote", "x")
    assert work(agent="P_1").with_agent("P_2").agent == "P_2"
    with pytest.raises(ConfigurationError, match="search=False is given"):
        work(search=False).with_agent("P_2")
    with pytest.raises(ConfigurationError, match="not the id of an agent"):
        work().with_agent("..")
