"""The texts of each language."""

from __future__ import annotations

import pytest

from bing_llm.emulator.obedience.texts import ENGLISH, RUSSIAN, Texts

VALUES = {"question": "Q", "topic": "T", "language": "python", "code": "C", "text": "X"}


@pytest.mark.parametrize("texts", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
def test_placeholders_are_known(texts: Texts) -> None:
    """Every text can be filled with the five placeholders, and says that the emulator wrote it."""
    for text in (texts.greeting, texts.plain, texts.code, texts.story, texts.list):
        filled = text.format(**VALUES)
        assert "{" not in filled
        assert "bing_llm" in filled
