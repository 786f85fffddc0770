"""`bing-llm models`: the models of every service."""

from __future__ import annotations

from bing_llm.cli.errors import ExitCode
from bing_llm.services import SERVICES, default_of


def models() -> ExitCode:
    """List each service with each of its models, the default first. Nothing is sent."""
    for name, kind in SERVICES.items():
        default = default_of(kind, "model")
        for model in sorted(kind.prompt_limits, key=lambda model: model != default):
            print(f"{name:<9} {model}")
    return ExitCode.OK
