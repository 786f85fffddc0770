"""Settings: what wins, what is refused before anything is sent, and what no text may show."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from bing_llm import config
from bing_llm.backends.chathub.options import MODELS, PERSONAS
from bing_llm.client import BingClient
from bing_llm.config import NOT_CONFIGURED, ConnectionSettings, cookie_header, pick_backend
from bing_llm.emulator import Emulator
from bing_llm.errors import BingError, ConfigurationError, InvalidRequest

SECRET = "5ecret-Va1ue"


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


@pytest.mark.parametrize(
    ("environment", "arguments", "chosen"),
    [
        ({}, {"backend": "emulator"}, "emulator"),
        ({}, {"backend": "chathub"}, "chathub"),
        ({"BING_LLM_BACKEND": "emulator"}, {}, "emulator"),
        ({"BING_LLM_BACKEND": "emulator"}, {"backend": "chathub"}, "chathub"),
        ({"BING_LLM_BACKEND": "emulator"}, {"endpoint": "http://127.0.0.1:1"}, "chathub"),
        ({"BING_LLM_BACKEND": "emulator", "BING_LLM_ENDPOINT": "http://127.0.0.1:1"}, {}, "emulator"),
        ({"BING_LLM_BACKEND": ""}, {"endpoint": "http://127.0.0.1:1"}, "chathub"),
        ({"BING_LLM_ENDPOINT": "http://127.0.0.1:1"}, {}, "chathub"),
        ({"BING_COOKIES": "_U=1"}, {}, "chathub"),
        ({}, {"cookies": {"_U": "1"}}, "chathub"),
        ({}, {"endpoint": ("http://127.0.0.1:1/create", "ws://127.0.0.1:1/socket")}, "chathub"),
        ({"WORKIQ_TOKEN": "x", "BING_LLM_ENDPOINT": "http://127.0.0.1:1"}, {}, "chathub"),
        ({"WORKIQ_TOKEN": "x"}, {"backend": "emulator"}, "emulator"),
    ],
)
def test_which_backend_is_chosen(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: dict[str, Any], chosen: str
) -> None:
    """The argument, else the environment, else the ChatHub where something points to one."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert BingClient(**arguments).backend_name == chosen


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({}, {"backend": "workiq", "token": "x"}),
        ({"BING_LLM_BACKEND": "workiq"}, {"token": "x"}),
        ({}, {"token": "x"}),
        ({}, {"token": "x", "endpoint": "http://127.0.0.1:1"}),
        ({"BING_LLM_ENDPOINT": "http://127.0.0.1:1", "BING_COOKIES": "_U=1"}, {"token": "x"}),
        ({"WORKIQ_TOKEN": "x"}, {}),
        ({"WORKIQ_TOKEN": "x"}, {"model": "copilot", "endpoint": "http://127.0.0.1:1"}),
    ],
)
def test_what_points_to_workiq(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: dict[str, Any]
) -> None:
    """A token and the model do, and `WORKIQ_TOKEN` where nothing else points anywhere."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert BingClient(**arguments, time_zone="UTC").backend_name == "workiq"


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
        pick_backend(None, has_endpoint=False, configured=True)


def test_the_emulator_takes_no_endpoint() -> None:
    """Both as arguments contradict each other: one of them would be passed over in silence."""
    with pytest.raises(ConfigurationError, match="takes no endpoint"):
        BingClient(backend="emulator", endpoint="http://127.0.0.1:1")


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
def test_cookies_that_are_no_header_are_refused_without_showing_them(cookies: Any) -> None:
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
    ({"persona": "pirate"}, ("'pirate'", *PERSONAS)),
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
    ({"persona": 1}, ("persona", "int")),
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
def test_what_is_no_proxy_is_refused_and_not_shown(proxy: str) -> None:
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
    """An empty or over-long prompt and an unreadable image are InvalidRequest; the service hears nothing."""
    async with Emulator() as emulator, BingClient(endpoint=emulator.url, cookies=f"_U={SECRET}") as bing:
        raised: list[BingError] = []
        with pytest.raises(InvalidRequest) as caught:
            bing.stream(**arguments)
        raised.append(caught.value)
        with pytest.raises(InvalidRequest) as caught:
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
        with pytest.raises(InvalidRequest, match=rf"{style.prompt_limit + 1:,} characters; {model} takes"):
            client.stream("x" * (style.prompt_limit + 1))
    client = BingClient(backend="chathub", prompt_limit=9000)
    client.stream("x" * 9000)
    with pytest.raises(InvalidRequest, match="at most 9,000"):
        client.stream("x" * 9001)


# --- what the settings show -------------------------------------------------------------------------------------------


def test_connection_settings_show_and_give_away_nothing() -> None:
    """Their repr is empty, and pickling them is refused."""
    settings = ConnectionSettings(cookies=f"_U={SECRET}", proxy=f"http://user:{SECRET}@127.0.0.1:1")
    assert repr(settings) == str(settings) == "ConnectionSettings(...)"
    with pytest.raises(TypeError, match="holds cookies"):
        pickle.dumps(settings)


def test_the_backends_are_those_of_the_documentation() -> None:
    """The names that are allowed are those that the text for newcomers offers."""
    assert {line.split()[0] for line in NOT_CONFIGURED.splitlines()[1:4]} == set(config.BACKENDS)
