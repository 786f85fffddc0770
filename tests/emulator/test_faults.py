"""Which faults there may be, and where."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.emulator.faults import Fault, Service, Step, What, fits
from bing_llm.emulator.wire_faults import (
    Cut,
    Duplicate,
    HandshakeRefused,
    HttpAnswer,
    Merge,
    NewMessage,
    Raw,
    Silence,
    Split,
)

TURN = "first mid last"
GENTLY: Any = "gently"


@pytest.mark.parametrize(
    ("what", "chathub", "workiq"),
    [
        (HttpAnswer(503), "creation upgrade", "creation request"),
        (Cut(), f"creation upgrade handshake {TURN}", f"creation request {TURN}"),
        (Cut("close 1000"), f"handshake {TURN}", ""),
        (Cut("type 7"), f"handshake {TURN}", ""),
        (Cut("type 3"), TURN, ""),
        (Cut("end"), "", TURN),
        (Silence(), f"creation upgrade handshake {TURN}", f"creation request {TURN}"),
        (Silence(pings=True), TURN, TURN),
        (Raw("{"), f"handshake {TURN}", TURN),
        (Split(), f"creation handshake {TURN}", f"creation {TURN}"),
        (Merge(), "first mid", "first mid"),
        (Duplicate(), TURN, TURN),
        (NewMessage(), "first mid", "first mid"),
        (HandshakeRefused(), "handshake", ""),
        (errors.Throttled(), f"creation {TURN}", f"creation {TURN}"),
        (errors.SessionExpired(), TURN, TURN),
        (errors.CaptchaRequired(), TURN, ""),
        (ev.TextRevised("new"), TURN, TURN),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fault_fits_some_steps(what: What, chathub: str, workiq: str) -> None:
    """Each kind may hit the steps of the table in the docstring, and is refused for those of no service."""
    allowed: dict[Service, list[str]] = {"chathub": chathub.split(), "workiq": workiq.split()}
    for step in get_args(Step):
        places = [service for service, steps in allowed.items() if step in steps]
        if places:
            Fault(what, step)
            assert [service for service in allowed if fits(what, service, step)] == places
        else:
            with pytest.raises(errors.ConfigurationError):
                Fault(what, step)


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        (Cut(), {"step": "middle"}, "'middle'; it must be one of creation, upgrade"),
        (Cut(), {"step": "mid", "after": 0}, "after of a fault is 0"),
        (Cut(), {"step": "mid", "turn": "2"}, "turn of a fault is '2'"),
        (Cut(), {"step": "last", "after": 2}, "after is of step 'mid' alone"),
        (
            Cut(GENTLY),
            {"step": "mid"},
            "'gently'.*abort",
        ),
        (HttpAnswer(101), {"step": "upgrade"}, "101; it must be from 200 to 599"),
        (Split(0), {"step": "mid"}, "size from 1 on"),
        (Split(1, pause=-1), {"step": "mid"}, "pause of 0 or more"),
        (Merge(), {"step": "last"}, r"Merge\(\) cannot hit the step 'last'"),
        (errors.UploadFailed(), {"step": "first"}, "cannot play UploadFailed"),
        (errors.TimedOut(), {"step": "creation"}, "refuse a creation with TimedOut"),
        (ev.Restarted("why"), {"step": "mid"}, "cannot send Restarted"),
        ("text", {"step": "mid"}, "cannot play a str"),
        (Cut, {"step": "mid"}, "cannot play the class Cut"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(what: Any, options: dict[str, Any], said: str) -> None:
    """The error says what is wrong and what is allowed."""
    with pytest.raises(errors.ConfigurationError, match=said):
        Fault(what, **options)
