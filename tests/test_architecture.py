"""The layers: which module may import what, read from the source without running it."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

import bing_llm
from tests.children import run_python

ROOT = Path(__file__).parents[1]

IO = ("asyncio", "aiohttp", "random", "socket", "ssl", "threading", "time")
FRAMEWORKS = ("langchain", "langchain_core", "langchain_community", "llama_index")
ABOVE_BACKENDS = (
    "bing_llm.bing",
    "bing_llm.cli",
    "bing_llm.client",
    "bing_llm.conversation",
    "bing_llm.turn",
    "bing_llm.sync",
    "bing_llm.sync_client",
    "bing_llm.pool",
)
VOCABULARY = ("bing_llm/errors.py", "bing_llm/events.py", "bing_llm/messages.py")
COMPLETION_WITHOUT_IO = tuple(f"bing_llm/completion/{name}.py" for name in ("output", "prompt", "request", "tokens"))
IO_SHELL = ("auth", "backend", "calls", "channel", "http", "transport")
"""The modules of `backends` that do I/O; a new module there may not, unless it is added here."""


@dataclass(frozen=True)
class Import:
    """One name that a file imports, as a dotted path; lazy if importing the file does not run it."""

    name: str
    line: int
    lazy: bool


@dataclass(frozen=True)
class Rule:
    """Files that match `where`, but not `but`, import nothing at or below `never`.

    Attributes:
        says: The rule as one sentence, for the reader of a failure.
        where: Patterns of paths from the project's root; `*` also matches `/`.
        never: Dotted names.
        broken_by: A path and a source that break the rule: the proof that it can fail.
        but: Patterns of paths to which the rule does not apply.
        lazily: Whether an import inside a function, or for type checkers only, is allowed.
    """

    says: str
    where: tuple[str, ...]
    never: tuple[str, ...]
    broken_by: tuple[str, str]
    but: tuple[str, ...] = ()
    lazily: bool = False

    def applies_to(self, path: str) -> bool:
        """Whether the rule speaks of this file."""
        return _matches(path, self.where) and not _matches(path, self.but)

    def breaches(self, path: str, source: str) -> list[str]:
        """The imports in `source` that break the rule, one line of text each."""
        return [
            f"{path}:{found.line} imports {found.name}"
            for found in imports(path, source)
            if any(f"{found.name}.".startswith(f"{name}.") for name in self.never) and not (self.lazily and found.lazy)
        ]


RULES = {
    "pure": Rule(
        says="What turns text into events does no I/O, reads no clock and draws no random numbers.",
        where=(
            *VOCABULARY,
            *COMPLETION_WITHOUT_IO,
            "bing_llm/fold.py",
            "bing_llm/tools/*",
            "bing_llm/backends/*",
            *(f"bing_llm/batch/{name}.py" for name in ("files", "jsonl", "progress", "rows")),
        ),
        but=tuple(f"bing_llm/backends/{folder}{name}.py" for folder in ("", "*/") for name in IO_SHELL),
        never=IO,
        broken_by=("bing_llm/backends/chathub/codec.py", "def now():\n    from time import monotonic"),
    ),
    "one-retry": Rule(
        says="Only _retry.py imports tenacity, so that retries cannot nest.",
        where=("bing_llm/*", "integrations/*"),
        but=("bing_llm/_retry.py",),
        never=("tenacity",),
        broken_by=("bing_llm/client.py", "import tenacity as t"),
    ),
    "one-exit": Rule(
        says="Only _loops.py registers with atexit, so that what ends a process stands in one place.",
        where=("bing_llm/*", "integrations/*"),
        but=("bing_llm/_loops.py",),
        never=("atexit",),
        broken_by=("bing_llm/sync.py", "import atexit"),
    ),
    "no-framework": Rule(
        says="bing_llm knows no framework; the adapters do, and the suite that tests them.",
        where=("bing_llm/*",),
        but=("bing_llm/testing/*",),
        never=FRAMEWORKS,
        broken_by=("bing_llm/messages.py", "from langchain_core.messages import BaseMessage"),
    ),
    "batch-on-top": Rule(
        says="Batches stand on the client; only the command line stands on them.",
        where=("bing_llm/*", "integrations/*"),
        but=("bing_llm/batch/*", "bing_llm/cli/*"),
        never=("bing_llm.batch",),
        broken_by=("bing_llm/client.py", "from bing_llm.batch import run"),
    ),
    "batch-without-cli": Rule(
        says="A batch is of use without the command line, and shows nothing itself.",
        where=("bing_llm/batch/*",),
        never=("bing_llm.cli", "rich", "typer"),
        broken_by=("bing_llm/batch/runner.py", "from rich.progress import Progress"),
    ),
    "ray-in-one-place": Rule(
        says="Only the engine of many machines knows Ray.",
        where=("bing_llm/*",),
        but=("bing_llm/batch/cluster.py",),
        never=("ray",),
        broken_by=("bing_llm/batch/engine.py", "import ray"),
    ),
    "backends-below-client": Rule(
        says="A backend is driven by the client and never calls it.",
        where=("bing_llm/backends/*",),
        never=ABOVE_BACKENDS,
        broken_by=("bing_llm/backends/chathub/backend.py", "from ...client import BingClient"),
    ),
    "backends-without-emulator": Rule(
        says="A backend knows no emulator.",
        where=("bing_llm/backends/*",),
        never=("bing_llm.emulator", "bing_llm.emulated"),
        broken_by=("bing_llm/backends/chathub/backend.py", "from bing_llm import emulator"),
    ),
    "backends-are-opened": Rule(
        says="A service opens its backend, which takes the service as a value: it needs only the type.",
        where=("bing_llm/backends/*",),
        never=("bing_llm.services",),
        lazily=True,
        broken_by=("bing_llm/backends/chathub/backend.py", "from bing_llm.services import ChatHub"),
    ),
    "services-below-client": Rule(
        says="A service is a value, which knows no client.",
        where=("bing_llm/services.py",),
        never=ABOVE_BACKENDS,
        broken_by=("bing_llm/services.py", "from bing_llm.client import BingClient"),
    ),
    "emulator-on-demand": Rule(
        says="The emulator is imported only when it is asked for.",
        where=("bing_llm/emulated.py", "bing_llm/services.py"),
        never=("bing_llm.emulator",),
        lazily=True,
        broken_by=("bing_llm/emulated.py", "from bing_llm.emulator import Emulator"),
    ),
    "vocabulary-at-the-bottom": Rule(
        says="Events, errors and messages know no backend.",
        where=VOCABULARY,
        never=("bing_llm.backends",),
        broken_by=("bing_llm/events.py", "from .backends.chathub import frames"),
    ),
    "front-without-io": Rule(
        says="Requests are decoded and answers encoded without I/O.",
        where=("bing_llm/serve/*",),
        but=tuple(f"bing_llm/serve/{name}.py" for name in ("app", "exchange", "middleware", "server")),
        never=IO,
        broken_by=("bing_llm/serve/chat.py", "from aiohttp import web"),
    ),
    "front-on-top": Rule(
        says="The front stands on completion: no service, no adapter and no emulator is known to it.",
        where=("bing_llm/serve/*",),
        never=("bing_llm.backends", "bing_llm.emulator", "bing_llm.batch", "bing_llm.cli"),
        broken_by=("bing_llm/serve/models.py", "from bing_llm.backends.workiq import options"),
    ),
    "traces-in-one-place": Rule(
        says="Only the front's module of spans knows OpenTelemetry, by its API alone.",
        where=("bing_llm/*", "integrations/*"),
        but=("bing_llm/serve/telemetry.py",),
        never=("opentelemetry",),
        broken_by=("bing_llm/serve/app.py", "from opentelemetry import trace"),
    ),
    "emulator-without-tools": Rule(
        says="The emulator imports neither the tools nor the client: it would prove itself.",
        where=("bing_llm/emulator/*",),
        never=("bing_llm.client", "bing_llm.tools"),
        broken_by=("bing_llm/emulator/brains/rules.py", "import bing_llm.tools.parser"),
    ),
    "tools-on-their-own": Rule(
        says="Tools know no client, no backend and no completion.",
        where=("bing_llm/tools/*",),
        never=(
            "bing_llm.backends",
            "bing_llm.client",
            "bing_llm.completion",
            "bing_llm.conversation",
            "bing_llm.turn",
        ),
        broken_by=("bing_llm/tools/parser.py", "from bing_llm.completion import request"),
    ),
    "prompt-on-its-own": Rule(
        says="Prompt building serves the adapters, continuation and batches: it knows messages and tools only.",
        where=("bing_llm/completion/prompt.py",),
        never=("bing_llm.backends", "bing_llm.client", "bing_llm.conversation", "bing_llm.turn", "pydantic"),
        broken_by=("bing_llm/completion/prompt.py", "from bing_llm.client import BingClient"),
    ),
    "adapters-above-backends": Rule(
        says="An adapter sees the client and its vocabulary, and no backend.",
        where=("integrations/*",),
        never=("bing_llm.backends", "bing_llm.emulator", "aiohttp"),
        broken_by=("integrations/langchain_bing/chat_models.py", "from bing_llm.backends.chathub import options"),
    ),
    "langchain-alone": Rule(
        says="The LangChain adapter does not need the LlamaIndex one.",
        where=("integrations/langchain_bing/*",),
        never=("llama_index",),
        broken_by=("integrations/langchain_bing/chat.py", "import llama_index.llms.bing"),
    ),
    "llama-index-alone": Rule(
        says="The LlamaIndex adapter does not need the LangChain one.",
        where=("integrations/llama_index/*",),
        never=("langchain", "langchain_bing", "langchain_core"),
        broken_by=("integrations/llama_index/llms/bing/base.py", "from langchain_bing import ChatBing"),
    ),
}


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


@functools.cache
def sources(*folders: str) -> tuple[tuple[str, str], ...]:
    """Path from the project's root, with `/`, and text of each Python file in the folders."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return tuple((file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files)


@functools.cache
def imports(path: str, source: str) -> tuple[Import, ...]:
    """Every import in a file, those inside functions included, with relative ones made absolute."""
    return tuple(_imports(path, source))


def _imports(path: str, source: str) -> Iterator[Import]:
    folder = path.split("/")[:-1]
    tree = ast.parse(source, path)
    lazy = {id(node) for part in ast.walk(tree) if _runs_later(part) for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, node.lineno, id(node) in lazy)


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def borrowed(path: str, source: str) -> list[str]:
    """Public names that a file takes from the top of `bing_llm` instead of the module that defines them."""
    return [
        f"{path}:{found.line} imports {found.name}; import it from the module that defines it"
        for found in imports(path, source)
        if found.name.startswith("bing_llm.") and found.name.removeprefix("bing_llm.") in bing_llm.__all__
        if found.name != "bing_llm.__version__"
    ]


def looks_at_processes(path: str, source: str) -> list[str]:
    """Uses of `os.getpid` and `os.register_at_fork` in a file, one line of text each."""
    return [
        f"{path}:{node.lineno} uses {node.attr}"
        for node in ast.walk(ast.parse(source, path))
        if isinstance(node, ast.Attribute) and node.attr in {"getpid", "register_at_fork"}
    ]


def prints(path: str, source: str) -> list[str]:
    """Calls of `print` in a file, one line of text each."""
    return [
        f"{path}:{node.lineno} prints"
        for node in ast.walk(ast.parse(source, path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_no_file_breaks_a_rule(rule: Rule) -> None:
    """Imports go one way: integrations, client, backends, events."""
    found = [
        breach
        for path, source in sources("bing_llm", "integrations")
        if rule.applies_to(path)
        for breach in rule.breaches(path, source)
    ]
    assert not found, "\n".join([rule.says, *found])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_each_rule_can_be_broken(rule: Rule) -> None:
    """The file that each rule names as its breach is found to be one."""
    path, source = rule.broken_by
    assert rule.applies_to(path)
    assert len(rule.breaches(path, source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "def start():\n    from bing_llm.emulator import Emulator",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bing_llm.emulator import Emulator",
    ],
)
def test_an_import_on_demand_is_seen_as_one(source: str) -> None:
    """An import inside a function, or for type checkers only, does not run when the file is imported."""
    assert not RULES["emulator-on-demand"].breaches("bing_llm/emulated.py", source)
    assert RULES["backends-without-emulator"].breaches("bing_llm/backends/other.py", source)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b, c", ["a.b", "c"]),
        ("from a.b import c as d, e", ["a.b.c", "a.b.e"]),
        ("from . import a", ["bing_llm.backends.a"]),
        ("from .a import b", ["bing_llm.backends.a.b"]),
        ("from ..a import b", ["bing_llm.a.b"]),
    ],
)
def test_imports_are_read_as_dotted_paths(source: str, names: list[str]) -> None:
    """An import counts by its full dotted path, however it is written."""
    assert [found.name for found in imports("bing_llm/backends/base.py", source)] == names


def test_a_name_that_only_starts_alike_breaks_no_rule() -> None:
    """Names are compared part by part: timeit is not time."""
    assert not RULES["pure"].breaches("bing_llm/events.py", "import timeit, bing_llm.time")


def test_the_package_does_not_borrow_from_its_own_top() -> None:
    """In the package a name comes from the module that defines it: the rules above see where it leads."""
    found = [
        borrow
        for path, source in sources("bing_llm")
        if not _matches(path, ("bing_llm/cli*",))
        for borrow in borrowed(path, source)
    ]
    assert not found, "\n".join(found)


def test_a_borrowed_name_is_seen() -> None:
    """A public name taken from `bing_llm` itself is found; its modules and version are not such names."""
    name = next(name for name in bing_llm.__all__ if name != "__version__")
    assert borrowed("bing_llm/sync.py", f"from bing_llm import {name}")
    assert not borrowed("bing_llm/sync.py", "from bing_llm import __version__, events")


CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "getrusage"}
STARTERS = {"run", "call", "check_call", "check_output"}
"""Functions of `subprocess` that wait for the end of a child."""


def waits(path: str, source: str) -> list[str]:
    """Where a test reads a clock, or waits for a child without a limit, one line of text each."""
    found = []
    for node in ast.walk(ast.parse(source, path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if owner in {"time", "resource"} and node.func.attr.removesuffix("_ns") in CLOCKS:
            found.append(f"{path}:{node.lineno} reads a clock")
        limited = any(keyword.arg == "timeout" for keyword in node.keywords)
        if owner == "subprocess" and node.func.attr in STARTERS and not limited:
            found.append(f"{path}:{node.lineno} waits for a child without a limit")
    return found


def test_no_test_depends_on_time() -> None:
    """No test reads a clock, whose seconds depend on the machine, and each waits for a child for a while only."""
    found = [breach for path, source in sources("tests") for breach in waits(path, source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("time.thread_time()", 1),
        ("time.monotonic_ns()", 1),
        ("subprocess.run(command)", 1),
        ("subprocess.run(command, timeout=1)", 0),
        ("time.sleep", 0),
    ],
)
def test_a_wait_is_seen(source: str, count: int) -> None:
    """A clock that is read, and a child without a limit, are found."""
    assert len(waits("tests/test_a.py", source)) == count


def test_one_module_looks_at_processes() -> None:
    """What a fork leaves is decided in `_loops.py`; the emulator is a server with a process of its own."""
    found = [
        breach
        for path, source in sources("bing_llm", "integrations")
        if not _matches(path, ("bing_llm/_loops.py", "bing_llm/emulator/*"))
        for breach in looks_at_processes(path, source)
    ]
    assert not found, "\n".join(found)


def test_a_look_at_processes_is_seen() -> None:
    """A process id is found wherever it is asked for."""
    assert looks_at_processes("bing_llm/a.py", "import os\nx = os.getpid()") == ["bing_llm/a.py:2 uses getpid"]


def test_the_library_never_prints() -> None:
    """Only the command line prints."""
    found = [
        breach
        for path, source in sources("bing_llm")
        if not _matches(path, ("bing_llm/cli*",))
        for breach in prints(path, source)
    ]
    assert not found, "\n".join(found)


def test_a_print_is_seen() -> None:
    """A call of print is found wherever it stands, and the word alone is not."""
    assert prints("bing_llm/a.py", "def f():\n    print(1)") == ["bing_llm/a.py:2 prints"]
    assert not prints("bing_llm/a.py", "'print(1)'; pprint(1); console.print(1)")


@pytest.mark.parametrize(
    "module", ["bing_llm", "bing_llm.emulator.pytest_plugin", "langchain_bing", "langchain_bing.chat_models"]
)
def test_importing_does_not_import_aiohttp(module: str) -> None:
    """Importing the package or its pytest plugin loads no network code: names are loaded when first used."""
    code = f"import sys, {module}; sys.exit('it imported aiohttp' if 'aiohttp' in sys.modules else 0)"
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")


def test_public_names_are_sorted() -> None:
    """`bing_llm.__all__` is in order and has no name twice."""
    assert list(bing_llm.__all__) == sorted(set(bing_llm.__all__))


def test_no_module_hides_a_public_name() -> None:
    """No public name is also a module of the package: imported, that would stand in the name's place."""
    assert [name for name in bing_llm.__all__ if importlib.util.find_spec(f"bing_llm.{name}")] == []


def test_public_names_can_be_imported() -> None:
    """Each name of `bing_llm.__all__` is there, and is listed by dir()."""
    missing = [name for name in bing_llm.__all__ if not hasattr(bing_llm, name)]
    assert missing == []
    assert set(bing_llm.__all__) <= set(dir(bing_llm))
