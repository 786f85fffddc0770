"""`python -m docs.terminal`: make the picture of a terminal that the README shows, from what the commands write."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

PICTURE: Final = Path(__file__).with_name("images") / "terminal.svg"

COLUMNS: Final = 64  # on a phone, more would make the letters too small to read
LIMIT_S: Final = 60.0

SESSION: Final = (
    "export BING_LLM_BACKEND=emulator",
    'bing-llm ask "What is the latest news about the tides?"',
    'echo "What is 6 times 7?" | bing-llm ask',
    'bing-llm ask --json "What is 6 times 7?" | head -n 2',
)
"""What is typed. The first line sets what holds for the others."""

# rich's own form, without the fonts that it would load from a server
_FORM: Final = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code, ", "")


def record() -> Console:
    """A console on which the commands were typed, with what they wrote."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    with tempfile.TemporaryDirectory() as home:
        for line in SESSION:
            console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
            console.print(Text.from_ansi(run(f"{SESSION[0]}; {line}", home)), end="")
        console.print(Text("$", "bold green"))  # the picture cuts the last line off below its letters
    return console


def run(command: str, home: str) -> str:
    """What a shell's command writes to a terminal. Its stderr is none, so no sign of life is drawn over.

    Args:
        command: The command.
        home: A folder for what the command keeps.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours, theirs = pty.openpty()
    environment = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor has no path
        child = subprocess.Popen(  # noqa: S603 - our own commands
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment
        )
        os.close(theirs)
        written = b""
        try:
            while chunk := terminal.read(65536):
                written += chunk
        except OSError:  # Linux says so that nobody has the other end open any more
            pass
        _, errors = child.communicate(timeout=LIMIT_S)
    if child.returncode:
        sys.exit(f"{command}: {errors.decode()}")
    return written.decode().replace("\r\n", "\n")


def text_of(svg: str) -> str:
    """What a picture shows, line by line."""
    lines: dict[float, str] = {}
    for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 - our own picture
        if "clip-path" in element.attrib:
            place = float(element.attrib["y"])
            lines[place] = lines.get(place, "") + (element.text or "")
    return "\n".join(lines[place].replace("\xa0", " ").rstrip() for place in sorted(lines))


def picture() -> str:
    """The picture."""
    return record().export_svg(title="bing-llm", theme=SVG_EXPORT_THEME, code_format=_FORM, unique_id="terminal")


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
