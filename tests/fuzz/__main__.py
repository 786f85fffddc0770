"""`python -m tests.fuzz TARGET FOLDER [OPTION...]`: fuzz one target; see the README beside this file."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz until an option of libFuzzer ends it, or an input breaks the target's rule."""
    name, folder, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["bing_llm"]):
        target = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    corpus = Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
