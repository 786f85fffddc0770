"""Any text is a script, or is refused with one line of ours."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bing_llm.emulator import Script
from bing_llm.emulator.fault_plan import KINDS, FaultPlan, Step
from bing_llm.emulator.faults import How
from bing_llm.emulator.script import ERRORS, Answer, rendered_fault
from bing_llm.errors import ConfigurationError

NAMES = st.sampled_from([*KINDS, *ERRORS, *get_args(Step), *get_args(How)])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | NAMES
OPTIONS = ("status", "body", "how", "pings", "seconds", "text", "size", "pause", "turn", "after", "optional", "results")
KEYS = st.sampled_from([*Answer.__struct_fields__, *OPTIONS, "name", "query", "url", "title"]) | st.text(max_size=5)
TREES: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
FAULTS = st.fixed_dictionaries(
    {"fault": st.sampled_from([*KINDS]), "step": st.sampled_from(get_args(Step))},
    optional=dict.fromkeys((*OPTIONS, "raw", "reply", "texts", "error", "retry_after"), SCALARS | TREES),
)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"answers": st.lists(TREES, max_size=3), "faults": st.lists(FAULTS | TREES, max_size=3)}
)


def check(text: str) -> None:
    """It can be played and shown, or the error is one line."""
    script, refusal = Script(), ""
    try:
        script = Script.parse(text)
    except ConfigurationError as exc:
        refusal = str(exc)
    assert refusal.isprintable()
    script.brain()
    plan = FaultPlan(script.plan())
    msgspec.json.encode([rendered_fault(fault) for fault in plan.left])


@given(DOCUMENTS | TREES)
def test_any_json(data: object) -> None:
    """Whatever it has for values."""
    check(json.dumps(data))


@given(st.text(alphabet="ansfult: -[]{}\n\t'\"|>&*!#%@`,?é\x00\x1b\ud800😀0123.~", max_size=60))
def test_any_yaml(text: str) -> None:
    """Whatever its signs are."""
    for begin in ("", "answers:\n- ", "faults:\n- step: mid\n  fault: "):
        check(begin + text)
