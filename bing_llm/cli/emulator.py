"""`bing-llm emulator`: the emulator as a server, its set-up lines and its log of requests."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bing_llm._urls import is_loopback, local_url
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.loop import Loop
from bing_llm.cli.streams import print_to_stderr
from bing_llm.emulator import Brain, Emulator, Obedient, Script, Upstream
from bing_llm.emulator.brains.rules import PACE_S
from bing_llm.emulator.request_log import frames_log, requests_log
from bing_llm.errors import ConfigurationError

_IS_WINDOWS = os.name == "nt"
_AGENT = "P_writer.emulator"


def choose_brain(*, upstream: str | None, model: str | None, api_key: str | None, pace: float | None) -> Brain:
    """What gives the emulator's answers.

    Args:
        upstream: Base URL of an OpenAI-compatible server; None for the built-in answers.
        model: The model there.
        api_key: The key of that server; None if it has none.
        pace: Seconds between two words of the built-in answers; None for their own.

    Raises:
        ConfigurationError: Only one of URL and model is given, or one is not allowed.
    """
    if upstream is None and model is None:
        return Obedient(pace=PACE_S if pace is None else pace)
    if upstream is None or model is None:
        raise ConfigurationError("--upstream and --upstream-model go together.", hint="Give both, or none.")
    return Upstream(upstream, model, api_key=api_key)


def read_script(path: Path | None, *, upstream: str | None, pace: float | None) -> Script | None:
    """The script of a file; None for none.

    Args:
        path: The file.
        upstream: Whose model would answer, too.
        pace: How fast the built-in answers would come.

    Raises:
        ConfigurationError: It is not a script, or its answers would take the place of others that were asked for.
    """
    if path is None:
        return None
    script = Script.read(path)
    if script.answers is not None and upstream is not None:
        msg = "The script has answers, so --upstream would have none to give."
        raise ConfigurationError(msg, hint="Leave out --upstream, or let the script have faults alone.")
    if script.answers is not None and pace is not None:
        msg = "--pace is of the built-in answers, and the script has its own."
        raise ConfigurationError(msg, hint="Leave it out; in the script, each answer may have a pace.")
    return script


def serve(
    brain: Brain,
    *,
    host: str,
    port: int,
    script: Script | None = None,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
) -> ExitCode:
    """Run the emulator until Ctrl-C, and log its requests to stderr.

    Args:
        brain: As of `Emulator`, like those that follow.
        host: The address.
        port: The port.
        script: What it plays; None for the brain alone.
        token: The token of its Work IQ.
        allowed_hosts: More names.
        allowed_origins: More origins.

    Raises:
        ConfigurationError: The address cannot be listened on, or a name or an origin is not one.
    """
    made = Emulator(
        brain, host=host, port=port, token=token, allowed_hosts=allowed_hosts, allowed_origins=allowed_origins
    )
    if script is not None:
        made.play(script)
    with _logged_requests(), Loop() as loop, suppress(KeyboardInterrupt):
        loop.run(_serve(made, host))
    print("\nThe emulator has ended.", flush=True)
    return ExitCode.OK


async def _serve(emulator: Emulator, host: str) -> None:
    async with emulator:
        print(*_setup_lines(emulator), sep="\n", flush=True)
        if not is_loopback(host):
            print_error(
                f"{host} is not a loopback address: anyone who can reach it can use this emulator, which has no login. "
                "Programs on other machines need BingClient(..., allow_insecure=True): it speaks plain http."
            )
        await asyncio.Event().wait()


# --- set-up lines -----------------------------------------------------------------------------------------------------


def _setup_lines(emulator: Emulator) -> list[str]:
    """What to paste into another shell: all of it, or one part. Each part works whatever the environment says there.

    Made for a POSIX shell, and on Windows for PowerShell.
    """
    url, rest, a2a = map(local_url, (emulator.url, emulator.workiq_url, emulator.a2a_url))
    show = "Invoke-RestMethod" if _IS_WINDOWS else "curl -gs"  # -g: brackets of an IPv6 address are no pattern
    return [
        f"The emulator listens on {emulator.url} (Ctrl-C ends it). Paste into another shell:",
        "",
        "# ChatHub",
        _set_variables(BING_LLM_BACKEND="chathub", BING_LLM_ENDPOINT=url),
        'bing-llm ask "What is new in Python?"',
        "",
        "# Work IQ, over REST",
        _set_variables(BING_LLM_BACKEND="workiq", BING_LLM_ENDPOINT=rest, WORKIQ_TOKEN=emulator.token),
        'bing-llm ask --time-zone UTC "What is new in Python?"',
        "",
        "# An agent of Work IQ, over A2A",
        _set_variables(BING_LLM_BACKEND="workiq", BING_LLM_ENDPOINT=a2a, WORKIQ_TOKEN=emulator.token),
        f'bing-llm ask --agent {_AGENT} --time-zone UTC "What is 6 * 7?"',
        "",
        "# What the emulator was sent",
        f"{show} {shlex.quote(f'{url}/_emulator/requests')}",
        "",
    ]


def _set_variables(**variables: str) -> str:
    if _IS_WINDOWS:
        return "; ".join(f"$env:{name}='{value}'" for name, value in variables.items())
    return " ".join(["export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())])


# --- the log ----------------------------------------------------------------------------------------------------------


@contextmanager
def _logged_requests() -> Iterator[None]:
    """Log requests to stderr for as long as the emulator runs; frames too, if all of the package is logged."""
    handler = _RequestHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    loggers = (requests_log, frames_log)
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    requests_log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (propagate, level) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)


class _RequestHandler(logging.Handler):
    """Writes lines that are safe for a terminal already."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        print_to_stderr(self.format(record))
