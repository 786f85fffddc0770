"""Estimates of token counts. The service does not report counts, and its tokenizer is unknown.

A token is taken as four bytes of UTF-8: four English letters, two Russian ones, or about one Chinese character. Use the
estimate for budgets, not for bills.
"""

from __future__ import annotations

_BYTES_PER_TOKEN = 4

CHARACTERS_PER_TOKEN = 4
"""For `max_tokens`, which cuts text by its length in characters."""

CONTEXT_TOKENS = 8_000
"""What adapters tell their frameworks to send at most, prompt and context together.

A ChatHub refused more (docs/protocol/chathub.md, sections b and j). No limit of Work IQ is documented.
"""


def count_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)


def token_ids(text: str) -> list[int]:
    """A number for each estimated token. The same text always gives the same numbers."""
    data = text.encode(errors="replace")
    return [int.from_bytes(data[at : at + _BYTES_PER_TOKEN], "big") for at in range(0, len(data), _BYTES_PER_TOKEN)]
