"""The targets of the fuzzer hold for what they start from and for what hypothesis thinks of: so they stay usable."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import fuzz_chathub, fuzz_sse

TARGETS = pytest.mark.parametrize("target", [fuzz_chathub, fuzz_sse], ids=["chathub", "sse"])


@TARGETS
def test_a_target_holds_for_its_seeds(target: ModuleType) -> None:
    """What the service sends breaks no rule, whole or cut off anywhere near its end."""
    for seed in target.seeds():
        for end in range(len(seed) - 20, len(seed) + 1):
            target.check(seed[:end])


@TARGETS
@given(st.binary())
def test_a_target_holds_for_any_bytes(target: ModuleType, data: bytes) -> None:
    """Nor do bytes that are not of the protocol at all."""
    target.check(data)
