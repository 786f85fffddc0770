"""How many values a JSON text may have: counted before it is read, since each takes many times its text in memory."""

from __future__ import annotations

from typing import Final

from bing_llm.errors import ProtocolError

__all__ = ["MAX_VALUES", "check_values"]

# The largest recorded frame has some thousand, and prose of 16 Mi characters has some 200,000 commas. A frame of 16 MiB
# that is nothing but `{},` would take more than 1 GB.
MAX_VALUES: Final = 500_000


def check_values(text: str | bytes) -> None:
    """Refuse a text that may have more than 500,000 values: as many braces, brackets and commas, in strings or not.

    Raises:
        ProtocolError: It has.
    """
    if len(text) <= MAX_VALUES:
        return
    signs = (b"{", b"[", b",") if isinstance(text, bytes) else ("{", "[", ",")
    if sum(map(text.count, signs)) > MAX_VALUES:  # type: ignore[arg-type]  # signs are of the type of the text
        raise ProtocolError(f"The service sent a JSON text of over {MAX_VALUES:,} values.")
