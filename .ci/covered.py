"""Report the coverage of the default tests beside that of all, and fail where either is too little.

python covered.py DEFAULT_DATA SYSTEM_DATA
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from coverage import Coverage

DEFAULT_PART = 0.95
"""What the default tests must cover at least, of the lines and branches that all tests cover."""


def totals(data_file: Path) -> dict[str, Any]:
    """The sums over all files of what these data say."""
    measured = Coverage(data_file=str(data_file))
    measured.load()
    written = data_file.with_suffix(".json")
    measured.json_report(outfile=str(written))
    counted: dict[str, Any] = json.loads(written.read_text())["totals"]
    return counted


def combined(*parts: Path) -> Path:
    """One file with the data of all parts."""
    whole = parts[0].with_name("coverage-all")
    measured = Coverage(data_file=str(whole))
    measured.combine([str(part) for part in parts], keep=True)
    measured.save()
    return whole


def main(default: Path, system: Path) -> int:
    """Print a table; 1 where the default part is too small, 2 where all tests cover too little."""
    whole = combined(default, system)
    print(f"{'tests':<8}  {'lines':>15}  {'branches':>15}")
    covered = []
    for name, data_file in (("default", default), ("all", whole)):
        of = totals(data_file)
        lines, branches = of["covered_lines"], of["covered_branches"]
        print(f"{name:<8}  {lines:>6} of {of['num_statements']:>5}  {branches:>6} of {of['num_branches']:>5}")
        covered.append(lines + branches)
    part = covered[0] / covered[1]
    print(f"The default tests cover {part:.1%} of what all tests cover; at least {DEFAULT_PART:.0%} are expected.\n")
    measured = Coverage(data_file=str(whole))
    measured.load()
    share = measured.report()
    needed = float(measured.get_option("report:fail_under") or 0)  # type: ignore[arg-type]
    if share < needed:
        print(f"All tests cover {share:.1f} %; at least {needed:g} % are expected.", file=sys.stderr)
        return 2
    return 0 if part >= DEFAULT_PART else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
