"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bing_llm._version import __version__
from bing_llm.backends.chathub.options import DEFAULT_MODEL, MODELS
from bing_llm.backends.workiq.options import DEFAULT_MODEL as WORKIQ_MODEL
from bing_llm.cli.asking import Question
from bing_llm.cli.asking import ask as run_ask
from bing_llm.cli.chatting import chat as run_chat
from bing_llm.cli.reporting import ExitCode, guarded, log_to_stderr, tolerate_any_character
from bing_llm.cli.settings import UPSTREAM_KEY, Settings
from bing_llm.services import SERVICES

__all__ = ["app"]

_EPILOG = """\
Exit codes: 0 ok; 1 the service refused, failed or withdrew its answer, or the output could not be written; 2 usage or
configuration, nothing was sent; 130 Ctrl-C before the answer was complete.

Secrets are taken from the environment only (BING_COOKIES, WORKIQ_TOKEN) or from what login has kept, never from
options: lists of processes show those."""

_BATCH_EPILOG = """\
Exit codes: 0 each row asked has an answer; 1 rows failed, or the run was stopped: the service was lost, or the output
could not be written; 2 usage or configuration, nothing was sent; 130 Ctrl-C before all rows were done.

""" + _EPILOG.partition("\n\n")[2]

app = typer.Typer(
    help="Microsoft's Bing and Copilot chat on the command line.",
    epilog=_EPILOG,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_Backend: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"The service: {', '.join(SERVICES)}. Default: BING_LLM_BACKEND, else the one that is set up.",
    ),
]
_Model: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"{', '.join(MODELS)}; of workiq: {WORKIQ_MODEL}. Default: {DEFAULT_MODEL}, or that one."
    ),
]
_NoSearch: TypeAlias = Annotated[bool, typer.Option("--no-search", help="Do not let the service search the web.")]
_Endpoint: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Base URL of the service. Default: BING_LLM_ENDPOINT, else the public hosts."),
]
_TimeZone: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="workiq: your time zone, such as Europe/Zurich. Default: this machine's."),
]
_Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", help="Log to stderr what is sent and received.")]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it so
    if wanted:
        print(f"bing-llm {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    *,
    version: Annotated[  # noqa: ARG001 - the callback has seen it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    tolerate_any_character()


@app.command(epilog=_EPILOG)
def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.")],
    *,
    image: Annotated[
        str | None, typer.Option(metavar="PATH_OR_URL", help="A PNG, JPEG, GIF or WebP picture to go with it.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 text that the service shall know.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the events, one JSON object a line, and nothing else.")
    ] = False,
    backend: _Backend = None,
    model: _Model = None,
    no_search: _NoSearch = False,
    endpoint: _Endpoint = None,
    time_zone: _TimeZone = None,
    verbose: _Verbose = False,
) -> None:
    """Ask once. The answer streams to stdout.

    In a terminal, sources, suggestions and quota follow. In a pipe only the sources do, one a line after an empty line.
    If the service rewrites what it has sent, the final text follows whole, after a line that says so.
    """
    log_to_stderr(verbose=verbose)
    settings = Settings(backend=backend, model=model, search=not no_search, endpoint=endpoint, time_zone=time_zone)
    question = Question(prompt=prompt, image=image, context=context)
    raise typer.Exit(guarded(lambda: run_ask(settings, question, json=json)))


@app.command(epilog=_EPILOG)
def chat(
    *,
    backend: _Backend = None,
    model: _Model = None,
    no_search: _NoSearch = False,
    endpoint: _Endpoint = None,
    time_zone: _TimeZone = None,
    verbose: _Verbose = False,
) -> None:
    """Hold a conversation. /help lists its commands.

    Ctrl-C stops a running answer and keeps the conversation; at the prompt it leaves.
    """
    log_to_stderr(verbose=verbose)
    settings = Settings(backend=backend, model=model, search=not no_search, endpoint=endpoint, time_zone=time_zone)
    raise typer.Exit(guarded(lambda: run_chat(settings)))


@app.command(epilog=_BATCH_EPILOG)
def batch(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="The rows: .jsonl, .csv or .parquet; - reads JSONL from stdin.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="Where they go with their answers; - writes JSONL to stdout.")
    ],
    *,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="How many turns may be open at once.")] = 4,
    rate: Annotated[
        float | None, typer.Option(metavar="TURNS_PER_MINUTE", help="How many turns may begin. Default: no limit.")
    ] = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="Sort the output as the input is, at the end.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask those rows again that failed in an earlier run.")
    ] = False,
    patience: Annotated[
        float, typer.Option(metavar="MINUTES", help="How long to wait for a service that throttles or is away.")
    ] = 60.0,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ask from the machines of this Ray cluster; local starts one here."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="With --ray: how many processes ask.")] = None,
    backend: _Backend = None,
    model: _Model = None,
    no_search: _NoSearch = False,
    endpoint: _Endpoint = None,
    time_zone: _TimeZone = None,
    verbose: _Verbose = False,
) -> None:
    """Ask each row of a file, and write the rows with their answers to another.

    A row has a prompt, or messages; an id, context and model if you like; the rest is carried through. Rows are written
    as they end, and the same command goes on where an earlier one was ended, however that was.

    Ctrl-C ends the open turns first; a second one stops at once.
    """
    log_to_stderr(verbose=verbose)
    settings = Settings(backend=backend, model=model, search=not no_search, endpoint=endpoint, time_zone=time_zone)

    def work() -> ExitCode:
        from bing_llm.cli.batching import batch as run_batch  # noqa: PLC0415 - the other commands need none

        return run_batch(
            source,
            target,
            client=settings.client,
            concurrency=concurrency,
            rate=rate,
            ordered=ordered,
            retry_failed=retry_failed,
            patience=patience * 60,
            ray=ray,
            workers=workers,
        )

    raise typer.Exit(guarded(work))


@app.command(epilog=_EPILOG)
def login(
    *,
    client_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Your own app registration, a public client. Default: AZURE_CLIENT_ID."),
    ] = None,
    tenant_id: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Your tenant. Default: AZURE_TENANT_ID, else any work account's."),
    ] = None,
    endpoint: _Endpoint = None,
    plain_cache: Annotated[
        bool,
        typer.Option(
            "--plain-cache", help="Keep the tokens in a file that is not encrypted, where there is no key store."
        ),
    ] = False,
    verbose: _Verbose = False,
) -> None:
    """Sign in to Work IQ with a work account, by a code that is entered in a browser.

    The tokens are kept for later commands and programs of this user.
    """
    from bing_llm.cli.login import login as run_login  # noqa: PLC0415 - the other commands need none

    log_to_stderr(verbose=verbose)
    raise typer.Exit(guarded(lambda: run_login(client_id, tenant_id, endpoint=endpoint, plain_cache=plain_cache)))


@app.command(epilog=_EPILOG)
def emulator(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8765,
    pace: Annotated[float, typer.Option(min=0, help="Seconds between the words of the built-in answers.")] = 0.01,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"Base URL of an OpenAI-compatible server whose model shall answer. {UPSTREAM_KEY} holds its key.",
        ),
    ] = None,
    upstream_model: Annotated[str | None, typer.Option(metavar="NAME", help="The model there.")] = None,
    verbose: _Verbose = False,
) -> None:
    """Run the emulator as a server, until Ctrl-C."""
    from bing_llm.cli.serving import choose_brain, serve  # noqa: PLC0415 - the other commands need no server

    log_to_stderr(verbose=verbose)

    def work() -> ExitCode:
        return serve(choose_brain(upstream=upstream, upstream_model=upstream_model, pace=pace), host=host, port=port)

    raise typer.Exit(guarded(work))
