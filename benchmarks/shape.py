"""The shape of the source: its modules, lines and imports, and how many files a turn and a setting involve.

`python -m benchmarks.shape [CHECKOUT]` measures this checkout, or another one of the project, such as one of an old
commit that `git worktree add` made. The figures are for comparison and have no bounds: they follow from a good shape.

- A module is a file of Python under `bing_llm` or `integrations`; an `__init__.py` counts.
- A line of code has more than blanks, a comment or a docstring.
- An import counts wherever it stands, also in a function or for the type checker only.
- A file names a setting if the name is an identifier, a keyword or a whole string in it.
- A turn walks through a file if a function of the file runs in any thread; see `benchmarks.walk`.
"""

# ruff: noqa: T201 - its work is to print

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks import walk

SETTINGS = ("over_stream", "entity_tags")
"""Two settings of Work IQ, as examples."""

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


class Module(NamedTuple):
    """One file of Python.

    Attributes:
        name: Its dotted name, as it is imported.
        is_package: Whether it is an `__init__.py`.
        source: Its text.
        tree: The syntax tree of the text.
    """

    name: str
    is_package: bool
    source: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, root: Path) -> Self:
        """The module of a file.

        Args:
            path: The file.
            root: The folder in which its dotted name begins.
        """
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        source = path.read_text(encoding="utf-8")
        return cls(".".join(parts[:-1] if is_package else parts), is_package, source, ast.parse(source))

    def code_lines(self) -> int:
        """How many lines have code."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
            if token.type not in _NO_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str())):  # a docstring, or one of an attribute
                    lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return len(lines)

    def imports(self, names: set[str]) -> set[str]:
        """Which of the other modules with these names it imports."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                members = {f"{base}.{alias.name}" for alias in node.names}
                found |= members
                if members - names:  # something that the module itself defines
                    found.add(base)
        return (found & names) - {self.name}

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        package = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*package, *([node.module] if node.module else [])])

    def mentions(self, name: str) -> int:
        """How often it has this identifier, keyword or whole string, without those of imports."""
        return sum(_name_of(node) == name for node in ast.walk(self.tree))


def _name_of(node: ast.AST) -> str | None:
    match node:
        case (
            ast.Name(id=name)
            | ast.Attribute(attr=name)
            | ast.arg(arg=name)
            | ast.keyword(arg=name)
            | ast.FunctionDef(name=name)
            | ast.AsyncFunctionDef(name=name)
            | ast.Constant(value=str(name))
        ):
            return name
        case _:
            return None


def read(checkout: Path) -> list[Module]:
    """The modules of a checkout."""
    return [
        Module.read(path, root)
        for folder, root in ((checkout / "bing_llm", checkout), (checkout / "integrations", checkout / "integrations"))
        for path in sorted(folder.rglob("*.py"))
    ]


def figures_of(modules: Sequence[Module]) -> dict[str, float]:
    """What the source of these modules says: each figure by its name."""
    names = {module.name for module in modules}
    importers = Counter(name for module in modules for name in module.imports(names))
    source_lines = sum(len(module.source.splitlines()) for module in modules)
    uses_of_any = sum(module.mentions("Any") for module in modules)
    return {
        "modules": len(modules),
        "source lines": source_lines,
        "lines of code": sum(module.code_lines() for module in modules),
        "modules imported by exactly one other": sum(count == 1 for count in importers.values()),
        "uses of Any in 1,000 source lines": round(1000 * uses_of_any / source_lines, 1),
        **{f"files that name {name}": sum(module.mentions(name) > 0 for module in modules) for name in SETTINGS},
    }


def walked(checkout: Path, turn: str) -> list[str]:
    """The files of a checkout that one of `walk.TURNS` walks through."""
    packages = os.pathsep.join(str(folder) for folder in (checkout, checkout / "integrations"))
    done = subprocess.run(  # noqa: S603 - a command of our own
        [sys.executable, "-P", walk.__file__, str(checkout), turn],
        env={**os.environ, "PYTHONPATH": packages},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    files: list[str] = json.loads(done.stdout)
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shape", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    this = Path(__file__).parents[1]
    parser.add_argument("checkout", nargs="?", type=Path, default=this, help="a folder; the default is this checkout")
    parser.add_argument("--no-turns", action="store_true", help="only read the source")
    parser.add_argument("--list", action="store_true", help="also list the files that each turn walks through")
    options = parser.parse_args(arguments)
    checkout: Path = options.checkout.resolve()
    figures = figures_of(read(checkout))
    files = {} if options.no_turns else {turn: walked(checkout, turn) for turn in walk.TURNS}
    figures |= {f"files of a turn of {turn}": len(names) for turn, names in files.items()}
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:>8,}")
    if options.list:
        for turn, names in files.items():
            print("", f"{turn}:", *names, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
