"""Pick the oldest and the newest CPython from what uv finds, without prereleases and free-threaded builds.

    uv python list --only-installed --output-format json | python3 pythons.py

Writes one line for each: its version and the path of its executable. One line if there is only one version.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

OLDEST = (3, 11)
"""As `requires-python` in pyproject.toml."""


def counts(build: dict[str, Any]) -> bool:
    """Whether this is a plain release of CPython that the project supports."""
    plain = build["implementation"] == "cpython" and build["variant"] == "default"
    return plain and re.fullmatch(r"[\d.]+", build["version"]) is not None and minor(build) >= OLDEST


def minor(build: dict[str, Any]) -> tuple[int, int]:
    """Its version, as far as it tells Pythons apart."""
    return build["version_parts"]["major"], build["version_parts"]["minor"]


def executable(build: dict[str, Any]) -> str:
    """The interpreter itself: the path may be a shim that needs a setting to find it."""
    command = [build["path"], "-c", "import sys; print(sys.executable)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Read what uv found from standard input, write the choice."""
    builds = sorted(filter(counts, json.load(sys.stdin)), key=minor)
    for build in {minor(build): build for build in (builds[0], builds[-1])}.values():
        print(build["version"], executable(build))


if __name__ == "__main__":
    main()
