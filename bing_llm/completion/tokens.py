"""Counting tokens without a tokenizer: the service gives no counts, and its tokenizer is not known.

A token is taken as four bytes of UTF-8: four letters of English, two of Russian, about one of Chinese. It is an
estimate, good for budgets and not for bills.
"""

from __future__ import annotations

_BYTES_PER_TOKEN = 4

CHARACTERS_PER_TOKEN = 4
"""For `max_tokens`, which cuts text by its length in characters."""

CONTEXT_TOKENS = 8_000
"""The tokens of prompt and context together that a ChatHub refused (docs/protocol/chathub.md, sections b and j)."""


def count_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)


def token_ids(text: str) -> list[int]:
    """A number for each of these tokens; the same text gives the same numbers."""
    data = text.encode(errors="replace")
    return [int.from_bytes(data[at : at + _BYTES_PER_TOKEN], "big") for at in range(0, len(data), _BYTES_PER_TOKEN)]
