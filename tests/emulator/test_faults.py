"""What may happen to a connection."""

from __future__ import annotations

from typing import get_args

from bing_llm.emulator.faults import WIRE_FAULTS, Raw, WireFault


def test_all_wire_faults_are_known_at_run_time() -> None:
    """The tuple and the union have the same kinds."""
    assert get_args(WireFault) == WIRE_FAULTS


def test_a_long_record_is_not_shown() -> None:
    """The repr of a record of 20 MB tells its length."""
    assert repr(Raw("x" * 20_000_000)) == "Raw(<20,000,000 characters>)"
    assert repr(Raw("{")) == "Raw('{')"
