"""`bing-llm models`."""

from __future__ import annotations

from bing_llm.services import SERVICES, default_of
from tests.cli.conftest import Command


def test_the_models_of_every_service_are_listed(command: Command) -> None:
    """Each after its service, the default first; nothing needs to be set up."""
    done = command("models")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert {tuple(row) for row in rows} == {
        (name, model) for name, kind in SERVICES.items() for model in kind.prompt_limits
    }
    firsts = dict(reversed(rows))
    assert firsts == {name: default_of(kind, "model") for name, kind in SERVICES.items()}
