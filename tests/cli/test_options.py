"""The options of a service, and texts in their words."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from typing import get_args

import pytest

import bing_llm
from bing_llm.cli import options as module
from bing_llm.cli.app import app
from bing_llm.cli.options import (
    OFFERED,
    SERVICE_OPTIONS,
    VARIABLES,
    NewClient,
    in_option_words,
    setting_option,
)
from bing_llm.services import SERVICES, ChatHub, WorkIQ, default_of, settings_of
from tests.cli.conftest import Command

NAMES = [option.name for option in SERVICE_OPTIONS]


# --- the options ------------------------------------------------------------------------------------------------------


def test_each_setting_that_is_offered_is_an_option() -> None:
    """After the backend, in the order in which they are listed."""
    assert ["backend", *OFFERED] == NAMES
    assert all(any(name in settings_of(service) for service in SERVICES.values()) for name in OFFERED)


def test_the_environment_alone_has_secrets() -> None:
    """They are those settings with a variable that are not options."""
    assert VARIABLES == {"cookies": "BING_COOKIES", "token": "WORKIQ_TOKEN"}


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("time_zone", str | None, None),
        ("entity_tags", str | None, None),
        ("endpoint", str | None, None),
        ("prompt_limit", int | None, None),
        ("search", bool, True),
        ("over_stream", bool, True),
        ("allow_insecure", bool, False),
    ],
)
def test_any_setting_can_be_an_option(name: str, kind: object, default: object) -> None:
    """Its type and its default follow from the service: a flag keeps its default, anything else may be left out."""
    parameter = module._parameter(name)
    assert (parameter.name, parameter.kind, parameter.default) == (name, Parameter.KEYWORD_ONLY, default)
    assert get_args(parameter.annotation)[0] == kind


@pytest.mark.parametrize(
    ("name", "services", "text"),
    [
        ("search", (*SERVICES,), "Whether the service may search the web."),
        ("search", ("workiq",), "Whether the service may search the web."),
        (
            "endpoint",
            (*SERVICES,),
            "chathub, workiq: Base URL of the service. Default: BING_LLM_ENDPOINT, else the public one.",
        ),
        ("endpoint", ("workiq",), "Base URL of the service. Default: BING_LLM_ENDPOINT, else the public one."),
        ("locale", ("chathub",), "Language and market, such as en-US. Default: en-US."),
    ],
)
def test_the_help_is_that_of_the_services(name: str, services: tuple[str, ...], text: str) -> None:
    """A description names the services that have the setting, unless all have it; None and Python are left out."""
    assert setting_option(name, *services).help == text


def test_each_offered_setting_is_described(command: Command) -> None:
    """The help of a command has the first words of each description, and the names of all models."""
    words = " ".join(command("ask", "--help").out.split()).replace("- ", "-")
    for name in OFFERED:
        for service in SERVICES.values():
            if name in settings_of(service):
                _, setting = settings_of(service)[name]
                assert re.split(r"[;.]", setting.doc)[0].replace("`", "") in words
    assert [model for service in SERVICES.values() for model in service.prompt_limits if model not in words] == []


def test_the_options_make_a_client() -> None:
    """What is not given is left to the client, and what makes it can be sent to another process."""
    given = {"backend": "workiq", "model": None, "search": False, "endpoint": None, "time_zone": "UTC"}
    new_client = pickle.loads(pickle.dumps(NewClient.of(given)))  # noqa: S301 - our own
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WORKIQ_TOKEN", "token")
        service = new_client().service
    assert isinstance(service, WorkIQ)
    assert (service.search, service.time_zone, service.model) == (False, "UTC", default_of(WorkIQ, "model"))
    assert isinstance(NewClient.of({"backend": "chathub"})().service, ChatHub)


# --- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pass time_zone= with a name.", "Pass --time-zone with a name."),
        ("Pass backend='chathub' or backend=\"workiq\".", "Pass --backend chathub or --backend workiq."),
        ("Pass it as `token=`.", "Pass it as WORKIQ_TOKEN."),
        ("time_zone is 7; endpoint is not.", "--time-zone is 7; endpoint is not."),
        ("No. model is 7.", "No. --model is 7."),
        ("Some model; the time_zone; a search.", "Some model; the --time-zone; a search."),
        (
            "Cookies look like '_U=...; MUID=...', or name=value.",
            "Cookies look like '_U=...; MUID=...', or name=value.",
        ),
        ("https://x.example/?model=1&my-model=2", "https://x.example/?model=1&my-model=2"),
        ("Ask again; in Python, raise it (`timeouts=`).", "Ask again."),
        ("Ask again. In Python, raise it. Or wait.", "Ask again. Or wait."),
        ("Set it (backend= in Python) or wait.", "Set it or wait."),
        ("See the DEBUG log shows it.", "See --verbose shows it."),
        ("Something else in Pythonic words.", "Something else in Pythonic words."),
        ("", ""),
    ],
)
def test_arguments_are_options(text: str, words: str) -> None:
    """Arguments become options or variables, and what is about Python alone is left out; the rest is as it was."""
    assert in_option_words(text, NAMES) == words


def test_an_option_that_the_command_does_not_have_is_not_named() -> None:
    """`bing-llm login` has an endpoint, and no model."""
    assert in_option_words("Pass endpoint= or model=.", ["endpoint"]) == "Pass --endpoint or model=."


# What no command line reaches: what adapters and programs in Python use, and what the emulator sends.
ELSEWHERE = (
    *("cli/", "completion/", "tools/", "composing.py", "bing.py", "messages.py"),
    *("emulator/chathub/", "emulator/workiq/"),
)


def _sentences() -> Iterator[str]:
    """The texts of the library that a user of the command line may read, each placeholder as an X."""
    root = Path(bing_llm.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).as_posix().startswith(ELSEWHERE):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [*ast.walk(tree)]
        inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
            id(node) for node in nodes if isinstance(node, ast.JoinedStr)
        }
        documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in inner | documentation:
                continue
            match node:
                case ast.Constant(value=str(text)):
                    yield text
                case ast.JoinedStr(values=parts):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def test_no_text_of_the_library_names_an_argument_to_a_user_of_the_command_line() -> None:
    """What is said about an argument that no command has is said about Python."""
    commands = [command.callback for command in app.registered_commands if command.callback]
    options = {name for callback in commands for name in callback.__signature__.parameters}  # type: ignore[attr-defined]
    texts = [in_option_words(text, options) for text in _sentences() if re.search(r"\b[a-z]+ [a-z]+\b", text)]
    assert len(texts) > 100
    assert any("--time-zone" in text for text in texts)
    assert [text for text in texts if re.search(r"(?<!['\w-])(?!name=)[a-z][a-z_]+=(?!=)|allow_insecure", text)] == []
