"""What a service sent, made safe for a terminal and for a log. Pure."""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL and C1, line and paragraph separators, bidi embeddings, overrides and isolates (which
# show text in another order than it is read), and surrogates, which no terminal can be sent.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    r"""The text with each control character as its JSON escape: ESC becomes `\u001b`.

    Line feeds and tabs stay. Works character by character, so pieces of a text may be escaped one by one; a line of
    JSON keeps its meaning.
    """
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def log_line(text: str) -> str:
    r"""The text escaped, with line feeds as `\n`: nothing in it can look like a line of the log's own."""
    return escape(text).replace("\n", "\\n")


def one_line(text: str) -> str:
    """The text escaped and on one line: each run of blanks, tabs and line breaks is one blank."""
    return escape(" ".join(text.split()))
