"""The options that choose a service and its settings, the client that they make, and texts in their words.

The options of the settings are derived from `bing_llm.services`, which has their types, defaults and descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter
from typing import Annotated, Any, TypeAlias, cast, get_args

import msgspec
import typer
from typer.models import OptionInfo

from bing_llm.client import BingClient
from bing_llm.services import SERVICES, ChatHub, Emulated, ServiceSettings, WorkIQ, default_of, settings_of

OFFERED = ("model", "search", "endpoint", "agent", "protocol", "time_zone")
"""The settings that are options. Secrets never are, because a list of processes shows options."""

_SHORT = {"model": "-m"}
_MODELS = tuple(dict.fromkeys(model for kind in SERVICES.values() for model in kind.prompt_limits))

VARIABLES = {
    name: setting.variable
    for kind in SERVICES.values()
    for name, (_, setting) in settings_of(kind).items()
    if setting.variable and name not in OFFERED
}
"""The settings that are not options but environment variables."""


class NewClient(msgspec.Struct, frozen=True):
    """Makes the client that the options describe.

    Attributes:
        given: The values of `SERVICE_OPTIONS` that differ from their defaults.
    """

    given: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, object]) -> NewClient:
        """What makes the client of the values of all `SERVICE_OPTIONS`."""
        defaults = {option.name: option.default for option in SERVICE_OPTIONS}
        return cls({name: value for name, value in values.items() if value != defaults[name]})

    def resuming(self, options: Mapping[str, Any]) -> NewClient:
        """The same for a conversation that was held with these options: those that are given now come before.

        If they choose another service, the options of the first one are of no use.
        """
        if self.given.get("backend", options.get("backend")) != options.get("backend"):
            return self
        known = {option.name for option in SERVICE_OPTIONS}
        return NewClient({**{name: options[name] for name in options if name in known}, **self.given})

    def __call__(self) -> BingClient:
        """The client.

        Raises:
            ConfigurationError: The options cannot work.
        """
        settings = {**self.given}
        backend = settings.pop("backend", None)
        return BingClient(backend=backend, **cast("ServiceSettings", settings))


_NAME = re.compile(r"""(?<![^\s(])(`?)([a-z]+(?:_[a-z]+)*)(?![\w-])(?:(=)('[^']*'|"[^"]*"|[A-Za-z0-9]\w*)?)?\1""")


def in_option_words(text: str, options: Collection[str]) -> str:
    """A text of the library in the words of the command line.

    What it says about Python only is left out: a remark in parentheses, or the end of a sentence, with the words "in
    Python". An argument (`time_zone=`) becomes an option (`--time-zone`) or the environment variable that has the same
    meaning. So does a name without "=" that cannot be an English word: one with an underscore, or one that begins a
    sentence.

    Args:
        text: An error, or the description of a setting.
        options: The options of the command, by the names of their parameters.
    """

    def replace(match: re.Match[str]) -> str:
        _, name, equals, value = match.groups()
        is_argument = equals or "_" in name or not match.start() or match.string[: match.start()].endswith(". ")
        if is_argument and name in options:
            return " ".join([f"--{name.replace('_', '-')}", *([value.strip("'\"")] if value else [])])
        return VARIABLES[name] if is_argument and name in VARIABLES else match[0]

    return _NAME.sub(replace, _without_python(text)).replace("the DEBUG log shows", "--verbose shows")


def _without_python(text: str) -> str:
    text = re.sub(r" \([^()]*\bin Python\b[^()]*\)", "", text)
    sentences = re.split(r"(?<=\.) ", text)
    return " ".join(
        re.sub(r"[;,] in Python\b.*", ".", sentence) for sentence in sentences if not sentence.startswith("In Python")
    )


def setting_option(name: str, *services: str) -> OptionInfo:
    """The option of a setting, with the description that the setting has in these services.

    Args:
        name: The setting.
        services: The services that the command can use.
    """
    texts: dict[str, list[str]] = {}
    for service in services:
        if name in settings_of(SERVICES[service]):
            texts.setdefault(_describe(service, name), []).append(service)
    if [*texts.values()] == [[*services]]:
        [text] = texts
    else:
        text = " ".join(f"{', '.join(each)}: {text}" for text, each in texts.items())
    flag = name.replace("_", "-")
    is_flag = _kind_of(name) is bool
    option: OptionInfo = typer.Option(
        *([_SHORT[name]] if name in _SHORT else []),
        f"--{flag}/--no-{flag}" if is_flag else f"--{flag}",
        metavar=None if is_flag else "URL" if "URL" in text else "NAME",
        help=text,
        autocompletion=_completing(_MODELS) if name == "model" else None,
    )
    return option


def _completing(values: Collection[str]) -> Callable[[str], list[str]]:
    """What a shell completes the value of an option by."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def _describe(service: str, name: str) -> str:
    """The description of a setting, with its default."""
    _, setting = settings_of(SERVICES[service])[name]
    default = default_of(SERVICES[service], name)
    variable = f"{setting.variable}, else " if setting.variable else ""
    text = in_option_words(setting.doc.replace("`", ""), OFFERED)
    text, has_default = re.subn(r"[;.] None (?:takes|for) ", f". Default: {variable}", text)
    if not has_default and "default" not in text and default is not None and not isinstance(default, bool):
        text = f"{text} Default: {default}."
    return text


def _owner(name: str) -> type[ChatHub | Emulated | WorkIQ]:
    return next(service for service in SERVICES.values() if name in settings_of(service))


def _kind_of(name: str) -> type[bool | int | float | str]:
    """A flag or a number if the setting is one, else text."""
    annotation, _ = settings_of(_owner(name))[name]
    return next((kind for kind in (bool, int, float) if kind in (annotation, *get_args(annotation))), str)


def _parameter(name: str) -> Parameter:
    """The option of a setting as a parameter: a flag with the setting's default, or a value that may be left out."""
    kind, option = _kind_of(name), setting_option(name, *SERVICES)
    is_flag = kind is bool
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=default_of(_owner(name), name) if is_flag else None,
        annotation=Annotated[bool, option] if is_flag else Annotated[kind | None, option],
    )


_BACKEND: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=_completing(tuple(SERVICES)),
        help=f"The service: {', '.join(SERVICES)}. Default: BING_LLM_BACKEND, else the one that is set up.",
    ),
]
SERVICE_OPTIONS = (
    Parameter("backend", Parameter.KEYWORD_ONLY, default=None, annotation=_BACKEND),
    *map(_parameter, OFFERED),
)
"""The options of each command that uses a service."""
