"""`bing-llm emulator`: the local services as a command."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from bing_llm._urls import is_loopback
from bing_llm.cli.reporting import ExitCode, complain
from bing_llm.cli.running import Loop
from bing_llm.cli.settings import UPSTREAM_KEY
from bing_llm.emulator import Brain, Emulator, Obedient, Upstream
from bing_llm.errors import ConfigurationError

__all__ = ["choose_brain", "serve"]


def choose_brain(*, upstream: str | None, upstream_model: str | None, pace: float) -> Brain:
    """Where the emulator's answers come from.

    Args:
        upstream: Base URL of an OpenAI-compatible server; None for the built-in answers.
        upstream_model: The model there.
        pace: Seconds between two words of the built-in answers.

    Raises:
        ConfigurationError: Only one of URL and model is given, or one is not allowed.
    """
    if upstream is None and upstream_model is None:
        return Obedient(pace=pace)
    if upstream is None or upstream_model is None:
        raise ConfigurationError("--upstream and --upstream-model go together.", hint="Give both, or none.")
    return Upstream(upstream, upstream_model, api_key=os.environ.get(UPSTREAM_KEY))


def serve(brain: Brain, *, host: str, port: int) -> ExitCode:
    """Run the emulator until Ctrl-C.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    with Loop() as loop, suppress(KeyboardInterrupt):
        loop.run(_serve(Emulator(brain, host=host, port=port), host))
    print("\nThe emulator has ended.", flush=True)
    return ExitCode.OK


async def _serve(emulator: Emulator, host: str) -> None:
    async with emulator:
        print(f"The emulator listens on {emulator.url} (Ctrl-C ends it).")
        url = emulator.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        print(f'Try it:       bing-llm ask --endpoint {url} "What is new in Python?"')
        print(f"For programs: set BING_LLM_ENDPOINT={url}")
        print(f"As Work IQ:   set BING_LLM_ENDPOINT={url}/rest and WORKIQ_TOKEN={emulator.token}", flush=True)
        if not is_loopback(host):
            complain(
                f"{host} is not a loopback address: anyone who can reach it can use this emulator, which has no login. "
                "Programs on other machines need BingClient(..., allow_insecure=True): it speaks plain http."
            )
        await asyncio.Event().wait()
