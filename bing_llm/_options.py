"""The options of a backend, out of the arguments of a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from bing_llm.backends.chathub.options import DEFAULT_MODEL, MODELS, ChatHubOptions
from bing_llm.backends.workiq.options import MODELS as WORKIQ_MODELS
from bing_llm.backends.workiq.options import WorkIQOptions
from bing_llm.backends.workiq.time_zone import local_time_zone
from bing_llm.errors import ConfigurationError

__all__ = [
    "CHATHUB_ALONE",
    "WORKIQ_ALONE",
    "Options",
    "chathub_options",
    "model_names",
    "refuse_foreign",
    "workiq_options",
]

Options: TypeAlias = ChatHubOptions | WorkIQOptions

CHATHUB_ALONE = ("cookies", "ip_address", "locale", "persona", "compose", "option_sets")
WORKIQ_ALONE = ("token", "time_zone", "files", "entity_tags", "over_stream")


def model_names(options: Options) -> tuple[str, ...]:
    """The models of the backend whose options these are."""
    return tuple(WORKIQ_MODELS if isinstance(options, WorkIQOptions) else MODELS)


def refuse_foreign(backend: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse what this backend would drop in silence.

    Args:
        backend: The name of the backend.
        given: The arguments of the client, by name.
        defaults: What they are where nothing is given.

    Raises:
        ConfigurationError: One is another backend's.
    """
    foreign, owner = (CHATHUB_ALONE, "chathub") if backend == "workiq" else (WORKIQ_ALONE, "workiq")
    for name in foreign:
        if given[name] != defaults[name]:
            msg = f"{name} is an argument of the backend {owner}, and the backend is {backend}."
            raise ConfigurationError(msg, hint=f"Leave {name} out, or pass backend={owner!r}.")


def chathub_options(given: Mapping[str, Any], *, signed_in: bool) -> ChatHubOptions:
    """Those of a ChatHub.

    Raises:
        ConfigurationError: A value is not allowed.
    """
    sets = given["option_sets"]
    options = ChatHubOptions(
        model=given["model"] or DEFAULT_MODEL,
        search=given["search"],
        locale=given["locale"],
        location=given["location"],
        persona=given["persona"],
        compose=given["compose"],
        option_sets=tuple(sets) if isinstance(sets, list) else sets,
        prompt_limit=given["prompt_limit"],
        signed_in=signed_in,
    )
    options.check()
    return options


def workiq_options(given: Mapping[str, Any]) -> WorkIQOptions:
    """Those of Work IQ; without a time zone, that of this machine.

    Raises:
        ConfigurationError: A value is not allowed, or the machine's time zone cannot be told.
    """
    files = given["files"]
    chosen = {name: given[name] for name in ("model", "location", "prompt_limit") if given[name] is not None}
    options = WorkIQOptions(
        time_zone=local_time_zone() if given["time_zone"] is None else given["time_zone"],
        search=given["search"],
        files=tuple(files) if isinstance(files, list) else files,
        entity_tags=given["entity_tags"],
        over_stream=given["over_stream"],
        **chosen,
    )
    options.check()
    return options
