"""What a service sent, made safe for a terminal and for a log. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SUSPECT: Final = re.compile(r"[^\x20-\x7e\t\n]")
_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""The categories of what is not seen but acts: controls, formats (they turn the direction of text, or hide in it as
tags), halves of surrogate pairs, which no terminal can be sent, and the separators of lines and paragraphs."""

# Joiners and the soft hyphen, without which words of many languages are spelled wrong, and Arabic signs that are seen.
_SPELLING: Final = frozenset("\u200c\u200d\u00ad\u06dd" + "".join(map(chr, range(0x600, 0x606))))


def escape(text: str) -> str:
    r"""The text with each control character as its JSON escape: ESC becomes `\u001b`.

    Line feeds and tabs stay. Works character by character, so pieces of a text may be escaped one by one; a line of
    JSON keeps its meaning.
    """
    return text if text.isprintable() else _SUSPECT.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    if sign.isprintable() or unicodedata.category(sign) not in _HIDDEN or sign in _SPELLING:
        return sign
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def log_line(text: str) -> str:
    r"""The text escaped, with line feeds as `\n`: nothing in it can look like a line of the log's own."""
    return escape(text).replace("\n", "\\n")


def one_line(text: str) -> str:
    """The text escaped and on one line: each run of blanks, tabs and line breaks is one blank."""
    return escape(" ".join(text.split()))
