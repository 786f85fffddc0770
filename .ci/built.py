"""Check what was built.

python3 built.py contents WHEEL SDIST    what is inside, and what is not
python -I built.py import                with nothing installed but the wheel
python -I built.py entry-points          with the wheel, its `cli` extra and pytest installed
python -I built.py adapters              with the wheel and the extras of the adapters installed
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGES = ("bing_llm", "langchain_bing", "llama_index/llms/bing")
ADAPTERS = {"langchain_bing": "ChatBing", "llama_index.llms.bing": "Bing"}
NEVER_SHIPPED = ("uv.lock", "/_build/", "/.ci/", "/.venv", "__pycache__")


def contents(*archives: str) -> None:
    """The wheel is typed and holds our packages alone, the sdist also tests and protocol, and neither scratch."""
    (wheel,) = (name for name in archives if name.endswith(".whl"))
    (sdist,) = (name for name in archives if name.endswith(".tar.gz"))
    with zipfile.ZipFile(wheel) as zipped:
        shipped = zipped.namelist()
    with tarfile.open(sdist) as tar:
        sources = tar.getnames()
    folders = tuple(f"{package}/" for package in PACKAGES)  # what stands above them may belong to others too
    others = {name for name in shipped if not name.startswith(folders) and ".dist-info/" not in name}
    expect(not others, f"the wheel should hold {PACKAGES} and their metadata, not {others}")
    for package in PACKAGES:
        expect(f"{package}/py.typed" in shipped, f"the wheel lacks {package}/py.typed")
    expect(any("/tests/" in name for name in sources), "the sdist lacks the tests")
    for page in ("/docs/conf.py", "/docs/start.md", "/docs/protocol/chathub.md", "/benchmarks/README.md"):
        expect(any(name.endswith(page) for name in sources), f"the sdist lacks {page}, to which the README leads")
    scratch = [name for name in shipped + sources if any(part in name for part in NEVER_SHIPPED)]
    expect(not scratch, f"these should not be shipped: {scratch}")


def import_alone() -> None:
    """The package imports, from where it was installed, and says the version it was built as."""
    package = importlib.import_module("bing_llm")
    built = importlib.metadata.version("bing-llm")
    expect(package.__version__ == built, f"bing_llm says {package.__version__}, its metadata {built}")
    place = Path(package.__file__ or "").parent
    expect((place / "py.typed").is_file(), f"py.typed was not installed to {place}")
    expect(place.is_relative_to(sys.prefix), f"bing_llm came from {place}, not from the wheel")


def entry_points() -> None:
    """Each entry point leads to something that exists."""
    declared = importlib.metadata.distribution("bing-llm").entry_points
    expect(bool(declared), "the wheel declares no entry points")
    for each in declared:
        print(f"{each.group}: {each.name} = {each.load()!r}")


def adapters() -> None:
    """Each adapter loads what its framework needs."""
    for module, name in ADAPTERS.items():
        print(f"{module}: {getattr(importlib.import_module(module), name)!r}")


def expect(truth: bool, complaint: str) -> None:  # noqa: FBT001 - as assert
    """End with the complaint unless it is true."""
    if not truth:
        sys.exit(complaint)


if __name__ == "__main__":
    checks = {"contents": contents, "import": import_alone, "entry-points": entry_points, "adapters": adapters}
    checks[sys.argv[1]](*sys.argv[2:])
