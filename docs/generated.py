"""What pages of the site take from the code, as Markdown: settings, errors, commands, and the reference of names.

A page names what it takes in a comment, which the site replaces and a reader of the repository does not see:
`<!-- generated: settings -->`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import typer
from typer import Context

from bing_llm import services
from bing_llm.cli.app import app
from bing_llm.errors import RETRY_TABLE, BingError
from bing_llm.limits import Limits, Retries, Timeouts
from bing_llm.services import SERVICES, WorkIQ, settings_of

_COMMENT: Final = re.compile(r"^<!-- generated: (\w+) ?(.*?) -->$", re.MULTILINE)


def insert_generated(page: str) -> str:
    """A page whose comments are replaced by what they name.

    Raises:
        KeyError: There is nothing of that name.
    """
    return _COMMENT.sub(lambda found: PARTS[found[1]](*found[2].split()), page)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- settings ---------------------------------------------------------------------------------------------------------

_SHORT_TYPES: Final = MappingProxyType(
    {
        r"\b(?:typing|collections\.abc|bing_llm\.\w+|ssl)\.": "",
        r"^Callable\[.*": "a credential, a function or `str`",
        r"<class '(\w+)'>": r"\1",
        r"<class '[\w.]+\.(\w+)'>": r"\1",
    }
)


def show_type(annotation: object) -> str:
    """A type as a reader would write it; None as a possible value is left out, since the description says it."""
    text = str(annotation)
    for pattern, short in _SHORT_TYPES.items():
        text = re.sub(pattern, short, text)
    if "AsyncTokenCredential" in text or "TokenProvider" in text or "Callable" in text:
        return "`str`, a function, or a credential"
    optional = re.fullmatch(r"Optional\[(.*)\]", text)
    return f"`{optional[1] if optional else text.removesuffix(' | None')}`"


def settings() -> str:
    """The settings of each service, as `services.py` declares them."""
    return "\n\n".join(_settings_of(kind) for kind in SERVICES.values())


def _settings_of(kind: Any) -> str:
    rows = []
    for name, (annotation, setting) in settings_of(kind).items():
        variable = f" Environment: `{setting.variable}`." if setting.variable else ""
        default = f"`{services.default_of(kind, name)!r}`"
        rows.append((f"`{name}`: {show_type(annotation)}", default, setting.doc + variable))
    header = ("setting", "default", "meaning")
    doc = (inspect.getdoc(kind) or "").partition("\n")[0]
    return f'### {kind.title[0].upper()}{kind.title[1:]}\n\n`backend="{kind.name}"`: {doc}\n\n{table(header, rows)}'


def attributes_of(kind: type) -> dict[str, str]:
    """What the `Attributes:` section of a docstring says of each one."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def limits() -> str:
    """The time limits, retries and limits of size, with their defaults."""
    own = {"Timeouts": WorkIQ.time_limits}
    parts = []
    kinds: dict[str, type[msgspec.Struct]] = {"timeouts": Timeouts, "retries": Retries, "limits": Limits}
    for name, kind in kinds.items():
        docs = attributes_of(kind)
        rows = []
        for field in msgspec.structs.fields(kind):
            default = f"`{field.default}`"
            if field.name in own.get(kind.__name__, {}):
                default += f"; Work IQ `{own[kind.__name__][field.name]}`"
            rows.append((f"`{field.name}`", default, docs[field.name]))
        first = (inspect.getdoc(kind) or "").partition("\n")[0]
        parts.append(f"### `{name}={kind.__name__}(...)`\n\n{first}\n\n{table(('name', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


# --- errors -----------------------------------------------------------------------------------------------------------


def error_table() -> str:
    """Each error with what it means, what to do, and whether the turn is tried again."""
    parts = []
    groups: list[type[BingError]] = [BingError, *BingError.__subclasses__()]
    for group in groups:
        leaves = [each for each in RETRY_TABLE if group in each.__bases__]
        if not leaves:
            continue
        title = "Others" if group is BingError else f"{group.__name__}: {_meaning(group)}"
        parts.append(f"### {title}\n\n{table(('error', 'when', 'what to do', 'again'), map(_error_row, leaves))}")
    return "\n\n".join([*parts[1:], parts[0]])


def _meaning(error: type[BingError]) -> str:
    return re.sub(r"^Abstract: ", "", (inspect.getdoc(error) or "").partition("\n")[0]).rstrip(".")


def _error_row(error: type[BingError]) -> tuple[str, str, str, str]:
    rule = RETRY_TABLE[error]
    again = ["yes"] * rule.transient + {
        "never": [],
        "after use": ["in a new conversation, after use"],
        "always": ["in a new conversation"],
    }[rule.fresh]
    doc = (inspect.getdoc(error) or "").replace("\n\n", " ")
    return f"`{error.__name__}`", doc, error.default_hint, ", ".join(again) or "no"


# --- the command line -------------------------------------------------------------------------------------------------


def commands() -> str:
    """Each command of `bing-llm`, as typer knows it."""
    group: Any = typer.main.get_command(app)
    first, *others = _walk("bing-llm", group)
    return "\n\n".join([_command(*first, None), *(_command(*each, group.epilog) for each in others)])


def _walk(name: str, command: Any) -> Iterable[tuple[str, Any]]:
    yield name, command
    for inner, subcommand in getattr(command, "commands", {}).items():
        if not subcommand.hidden:
            yield from _walk(f"{name} {inner}", subcommand)


def _command(name: str, command: Any, group_epilog: str | None) -> str:
    context: Any = Context(command, info_name=name)
    usage = command.get_usage(context).partition(":")[2].strip()
    parts = [f"## {name}", f"```text\n{usage}\n```", inspect.cleandoc(command.help or "")]
    for title, kind in (("argument", "argument"), ("option", "option")):
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
        rows = [(f"`{shown}`", _prose(text)) for shown, text in filter(None, records)]
        if rows:
            parts.append(table((title, "meaning"), rows))
    if command.epilog and command.epilog != group_epilog:
        parts.append(_prose(inspect.cleandoc(command.epilog)))
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    """Text of a terminal as Markdown: nothing in it is markup but backticks."""
    return re.sub(r"([*<\[\]])", r"\\\1", text)


# --- names ------------------------------------------------------------------------------------------------------------


def api(module: str, *names: str) -> str:
    """The reference of names of a module, from their docstrings; of all public ones where none is given."""
    owner = importlib.import_module(module)
    lines = []
    for name in names or owner.__all__:
        lines += [_directive(module, name, getattr(owner, name)), ""]
    return "\n".join(["```{eval-rst}", f".. currentmodule:: {module}", "", *lines, "```"])


def _directive(module: str, name: str, value: object) -> str:
    path = f"{module}.{name}"
    if inspect.isclass(value):
        options = ["   :members:"]
        if issubclass(value, BaseException):
            options = ["   :show-inheritance:"]
        signature = "(**settings)" if hasattr(value, "model_fields") else ""
        return "\n".join([f".. autoclass:: {path}{signature}", *options])
    if inspect.isroutine(value):
        return f".. autofunction:: {path}"
    return f".. autodata:: {path}\n   :no-value:"


def public_names() -> dict[str, Sequence[str]]:
    """The public names of each public module: those that the reference must have."""
    modules = ("bing_llm", "bing_llm.batch", "bing_llm.emulator", "bing_llm.serve", "bing_llm.tools")
    adapters = ("langchain_bing", "llama_index.llms.bing", "bing_llm.testing.llama_index")
    names = (*modules, *adapters)
    return {name: importlib.import_module(name).__all__ for name in names}


_CLASSES: Final = re.compile(r"[A-Z]\w+")


@functools.cache
def _places() -> Mapping[str, str]:
    """Where the classes of the reference are, by their names alone; a name that two modules have leads nowhere."""
    places: dict[str, set[str]] = {}
    for module, names in public_names().items():
        for name in filter(_CLASSES.fullmatch, names):
            places.setdefault(name, set()).add(f"{module}.{name}")
    return {name: min(paths) for name, paths in places.items() if len(paths) == 1}


def place_of(code: str) -> str:
    """The path of the class that a page names, as in `BingClient`, `ChatBing(...)` or `Reply.text`; "" for none."""
    name = re.split(r"[.(]", code, maxsplit=1)[0]
    return _places().get(name, "")


def load_all() -> None:
    """Import everything public now: autodoc would import it as a type checker does, which pydantic cannot stand."""
    for module, names in public_names().items():
        for name in names:
            getattr(importlib.import_module(module), name)


PARTS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {"settings": settings, "limits": limits, "errors": error_table, "commands": commands, "api": api}
)
"""What a comment may name."""
