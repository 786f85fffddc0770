"""Run a command, pass on what it writes, and fail unless it wrote in pieces, as a streamed answer does.

python3 streams.py COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import subprocess
import sys

FEWEST_PIECES = 3
"""Words come one by one; what was held back comes in one piece, or in two with its last line break."""


def main(command: list[str]) -> int:
    """The command's exit status, or 1 if it succeeded without streaming."""
    pieces = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        while piece := os.read(process.stdout.fileno(), 65536):
            pieces += bool(piece.strip())
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    print(f"\nThe output came in {pieces} pieces.", flush=True)
    if process.returncode == 0 and pieces < FEWEST_PIECES:
        print(f"No answer streamed: at least {FEWEST_PIECES} pieces are expected.", file=sys.stderr)
        return 1
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
