"""`bing-llm emulator`: the emulator as a server."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress

from bing_llm._urls import is_loopback
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.loop import Loop
from bing_llm.emulator import Brain, Emulator, Obedient, Upstream
from bing_llm.errors import ConfigurationError

_IS_WINDOWS = os.name == "nt"


def choose_brain(*, upstream: str | None, model: str | None, api_key: str | None, pace: float) -> Brain:
    """What gives the emulator's answers.

    Args:
        upstream: Base URL of an OpenAI-compatible server; None for the built-in answers.
        model: The model there.
        api_key: The key of that server; None if it has none.
        pace: Seconds between two words of the built-in answers.

    Raises:
        ConfigurationError: Only one of URL and model is given, or one is not allowed.
    """
    if upstream is None and model is None:
        return Obedient(pace=pace)
    if upstream is None or model is None:
        raise ConfigurationError("--upstream and --upstream-model go together.", hint="Give both, or none.")
    return Upstream(upstream, model, api_key=api_key)


def serve(
    brain: Brain,
    *,
    host: str,
    port: int,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
) -> ExitCode:
    """Run the emulator until Ctrl-C. The arguments are those of `Emulator`.

    Raises:
        ConfigurationError: The address cannot be listened on, or a name or an origin is not one.
    """
    made = Emulator(
        brain, host=host, port=port, token=token, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins
    )
    with Loop() as loop, suppress(KeyboardInterrupt):
        loop.run(_serve(made, host))
    print("\nThe emulator has ended.", flush=True)
    return ExitCode.OK


async def _serve(emulator: Emulator, host: str) -> None:
    async with emulator:
        print(f"The emulator listens on {emulator.url} (Ctrl-C ends it).")
        print(*_setup_lines(emulator), sep="\n", flush=True)
        if not is_loopback(host):
            print_error(
                f"{host} is not a loopback address: anyone who can reach it can use this emulator, which has no login. "
                "Programs on other machines need BingClient(..., allow_insecure=True): it speaks plain http."
            )
        await asyncio.Event().wait()


def _setup_lines(emulator: Emulator) -> list[str]:
    """What to type in another shell: each line works as it is, whatever the environment says there.

    Made for a POSIX shell, and on Windows for PowerShell.
    """
    url, workiq_url = (
        each.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        for each in (emulator.url, emulator.workiq_url)
    )
    as_chathub = _set_variables(BING_LLM_BACKEND="chathub", BING_LLM_ENDPOINT=url)
    as_workiq = _set_variables(BING_LLM_BACKEND="workiq", BING_LLM_ENDPOINT=workiq_url, WORKIQ_TOKEN=emulator.token)
    return [
        f'Try it:       bing-llm ask --backend chathub --endpoint {shlex.quote(url)} "What is new in Python?"',
        f"For programs: {as_chathub}",
        f"As Work IQ:   {as_workiq}",
        'An agent:     as Work IQ, with: bing-llm ask --agent P_writer.emulator "What is 6 * 7?"',
    ]


def _set_variables(**variables: str) -> str:
    if _IS_WINDOWS:
        return "; ".join(f"$env:{name}='{value}'" for name, value in variables.items())
    return " ".join(["export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())])
