"""Takes secrets out of text before it is logged or put into an error."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["Redactor"]

_MASK = "***"
_SHORTEST = 6  # a shorter value would blank ordinary words


class Redactor:
    """Replaces known secrets by `***`, percent-encoded ones too.

    Args:
        secrets: The values; those of under 6 characters are left alone, since they would blank ordinary words.
    """

    def __init__(self, *secrets: str) -> None:
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
        # Longest first, so that a secret inside another one does not leave the rest of it standing.
        self._secrets = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text
