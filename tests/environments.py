"""Fresh virtual environments, and programs that run in them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

INSTALL_TIMEOUT_S = 300.0
"""How long an installation may take, in seconds: a cold download on a slow line."""
RUN_TIMEOUT_S = 100.0
"""How long a snippet may take, in seconds. Each needs a few; only one that hangs takes longer."""

UV = (os.environ.get("UV", "uv"), str(Path(sys.executable).with_name("uv")), str(ROOT / ".uv" / "bin" / "uv"), "uv")
"""Where uv may be: `uv run` says it; the README's test command installs it. Without one, pip does the same, slowly."""


def install_into(folder: Path, requirements: list[str], network: dict[str, str]) -> None:
    """Make a virtual environment with what a `pip install` of these arguments, in the checkout, brings."""
    uv = next(filter(None, map(shutil.which, UV)), None)
    python = str(folder / "bin" / "python")
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        make = [sys.executable, "-m", "venv", str(folder)]
        install = [python, "-m", "pip", "install", "--quiet"]
    for command in (make, [*install, *requirements]):
        done = run(command, ROOT, network, timeout_s=INSTALL_TIMEOUT_S)
        assert done.returncode == 0, output_of(done)


def run(
    command: list[str], folder: Path, env: dict[str, str], *, timeout_s: float = RUN_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with an empty stdin. After the time limit, it is killed with all that it started."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            output, errors = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output, errors = child.communicate()
            errors += f"killed after {timeout_s} s\n"
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def reader(venv: Path, folder: Path, **settings: str) -> dict[str, str]:
    """The environment variables of a reader who has activated a virtual environment and set nothing else."""
    return {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "VIRTUAL_ENV": str(venv),
        **settings,
    }


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a command wrote, for a failed assertion."""
    return f"{shlex.join(done.args)} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
