"""`bing-llm serve`: the OpenAI-compatible front as a server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bing_llm._urls import is_loopback, local_url
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.loop import Loop
from bing_llm.cli.options import NewClient
from bing_llm.errors import ConfigurationError
from bing_llm.serve.record import ACCESS_LOG
from bing_llm.serve.server import Server

KEY_VARIABLE = "BING_LLM_SERVE_KEY"
"""The environment variable with the key that callers must send: a list of processes shows options."""

_LONGEST_KEY = 4096  # bytes; a file that is longer is another one


def read_key(file: Path | None) -> str | None:
    """The key that callers must send; None for none. A warning says if other users can read its file.

    It is not refused, because the secrets of containers are files that each user of the container can read.

    Args:
        file: The file that holds it, in one line; None for the environment variable.

    Raises:
        ConfigurationError: Both are given, or the file cannot be read or is empty.
    """
    variable = os.environ.get(KEY_VARIABLE) or None
    if file is None:
        return variable
    if variable is not None:
        raise ConfigurationError(f"--key-file and {KEY_VARIABLE} are both given.", hint="Use one of them.")
    try:
        with file.open(encoding="utf-8") as opened:
            key = opened.read(_LONGEST_KEY + 1).strip()
            mode = os.fstat(opened.fileno()).st_mode
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not text"
        raise ConfigurationError(f"The key file {str(file)!r} cannot be read: {reason}.") from exc
    if not key:
        raise ConfigurationError(f"The key file {str(file)!r} is empty.", hint="Write the key into it.")
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        print_error(f"Other users of this machine can read the key file {str(file)!r}. Run chmod 600 on it.")
    return key


def serve(
    new_client: NewClient,
    *,
    host: str,
    port: int,
    key: str | None,
    max_concurrency: int | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    agents: Sequence[str] = (),
    any_model: bool = False,
) -> ExitCode:
    """Run the front until SIGTERM or Ctrl-C; the arguments are those of `Server`.

    The first signal lets the running answers end, the second one ends at once.

    Raises:
        ConfigurationError: A setting is not allowed, or the address cannot be listened on.
    """
    _log_requests()
    client = new_client()
    server = Server(
        client,
        host=host,
        port=port,
        key=key,
        max_concurrency=max_concurrency,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        agents=agents,
        any_model=any_model,
    )

    def stop() -> bool:
        was_running = server.stop()
        if was_running:
            print_error("Running answers end, new requests get 503. A second signal ends at once.")
        return was_running

    async def run() -> None:
        task = asyncio.current_task()

        def terminate() -> None:
            if not stop() and task is not None:
                task.cancel()

        with suppress(NotImplementedError):  # Windows, which has no SIGTERM to wait for
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        async with client, server:
            print(f"The server listens on {server.url} (Ctrl-C ends it).")
            print(f"For clients: base_url={local_url(server.url)}, model={client.model}", flush=True)
            if not is_loopback(host):
                print_error("It speaks plain http: for callers on other machines, put a proxy with TLS before it.")
            await server.run()

    with Loop() as loop, suppress(KeyboardInterrupt):
        loop.run(run(), interrupt=stop)
    print("\nThe server has ended.", flush=True)
    return ExitCode.OK


def _log_requests() -> None:
    """Show a line for each request, where the log of the command goes."""
    logging.getLogger(ACCESS_LOG).setLevel(logging.INFO)
