"""The options that choose a service and its settings, and the client that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import Parameter
from typing import Annotated, TypeAlias

import typer

from bing_llm.backends.chathub.options import DEFAULT_MODEL, MODELS
from bing_llm.backends.workiq.options import DEFAULT_MODEL as WORKIQ_MODEL
from bing_llm.client import BingClient
from bing_llm.services import SERVICES

NewClient: TypeAlias = Callable[[], BingClient]
"""Makes the client that the options describe; raises ConfigurationError if they cannot work."""

Endpoint: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Base URL of the service. Default: BING_LLM_ENDPOINT, else the public hosts."),
]


def _option(name: str, kind: object, default: str | bool | None) -> Parameter:  # noqa: FBT001 - a default
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


SERVICE_OPTIONS = (
    _option(
        "backend",
        Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help=f"The service: {', '.join(SERVICES)}. Default: BING_LLM_BACKEND, else the one that is set up.",
            ),
        ],
        None,
    ),
    _option(
        "model",
        Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help=f"{', '.join(MODELS)}; of workiq: {WORKIQ_MODEL}. Default: {DEFAULT_MODEL}, or that one.",
            ),
        ],
        None,
    ),
    _option(
        "no_search",
        Annotated[bool, typer.Option("--no-search", help="Do not let the service search the web.")],
        False,  # noqa: FBT003 - a default
    ),
    _option("endpoint", Endpoint, None),
    _option(
        "time_zone",
        Annotated[
            str | None,
            typer.Option(
                metavar="NAME", help="workiq: your time zone, such as Europe/Zurich. Default: this machine's."
            ),
        ],
        None,
    ),
)
"""The settings of a client that are options. Secrets never are, because a list of processes shows options."""


def new_client_of(
    *, backend: str | None, model: str | None, no_search: bool, endpoint: str | None, time_zone: str | None
) -> NewClient:
    """What makes the client of these options."""
    return partial(
        BingClient, backend=backend, model=model, search=not no_search, endpoint=endpoint, time_zone=time_zone
    )
