"""The commands and their options."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bing_llm._version import __version__
from bing_llm.cli.command import EPILOG, app, command
from bing_llm.cli.errors import ExitCode
from bing_llm.cli.logs_commands import logs
from bing_llm.cli.options import NewClient, setting_option
from bing_llm.cli.streams import print_traceback, set_stream_errors

__all__ = ["EMULATOR_TOKEN", "UPSTREAM_KEY", "app"]

_BATCH_EPILOG = """\
Exit codes: 0 each row asked has an answer; 1 rows failed, or the run was stopped: the service was lost, or the output
could not be written; 2 usage or configuration, nothing was sent; 130 Ctrl-C before all rows were done.

""" + EPILOG.partition("\n\n")[2]

UPSTREAM_KEY = "BING_LLM_UPSTREAM_KEY"
"""The environment variable with the key of `bing-llm emulator --upstream`: a list of processes shows options."""

EMULATOR_TOKEN = "BING_LLM_EMULATOR_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the token that the emulator's Work IQ takes."""

app.add_typer(logs, name="logs")


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
    set_stream_errors()
    sys.excepthook = print_traceback


_System: TypeAlias = Annotated[
    str | None, typer.Option("-s", "--system", metavar="TEXT", help="What the service should heed in its answers.")
]
_Continue: TypeAlias = Annotated[
    bool, typer.Option("-c", "--continue", help="Go on with the latest conversation of the log, and with its options.")
]
_Conversation: TypeAlias = Annotated[
    int | None, typer.Option(metavar="NUMBER", help="Go on with this conversation. `bing-llm logs` lists them.")
]
_Port: TypeAlias = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")]
_AllowedHosts: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Another name by which it may be reached; may be repeated.")
]
_AllowedOrigins: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="ORIGIN", help="The origin of a web page that may use it; may be repeated.")
]
_Log: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--log/--no-log", help="Whether the conversation is logged on this machine. Default: as set by logs on or off."
    ),
]


@command()
def ask(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What to ask. Piped input goes before it, or is the prompt if you give none; - stands for the input."
        ),
    ] = None,
    *,
    system: _System = None,
    goes_on: _Continue = False,
    conversation: _Conversation = None,
    log: _Log = None,
    image: Annotated[
        str | None, typer.Option(metavar="PATH_OR_URL", help="A PNG, JPEG, GIF or WebP picture to go with it.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A UTF-8 text file that the service gets as context.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the events, one JSON object a line, and nothing else.")
    ] = False,
    new_client: NewClient,
) -> ExitCode:
    """Ask once. The answer streams to stdout.

    In a terminal, sources, suggestions and quota follow. In a pipe only the sources do, one a line after an empty line.
    If the service rewrites what it has sent, a line says so, and the final text follows.
    """
    from bing_llm.cli.ask import Question  # noqa: PLC0415 - each command loads what it needs
    from bing_llm.cli.ask import ask as run_ask  # noqa: PLC0415 - as above
    from bing_llm.cli.recorder import begin  # noqa: PLC0415 - as above

    beginning = begin(new_client, system=system, goes_on=goes_on, conversation=conversation)
    return run_ask(beginning, Question(prompt=prompt, image=image, context=context), json=json, log=log)


@command()
def chat(
    *,
    system: _System = None,
    goes_on: _Continue = False,
    conversation: _Conversation = None,
    log: _Log = None,
    new_client: NewClient,
) -> ExitCode:
    """Hold a conversation. /help lists its commands.

    Ctrl-C stops a running answer and keeps the conversation; at the prompt it leaves. If messages are piped in, one a
    line, stdout gets the answers alone, and the first error ends the chat.
    """
    from bing_llm.cli.chat import chat as run_chat  # noqa: PLC0415 - each command loads what it needs
    from bing_llm.cli.recorder import begin  # noqa: PLC0415 - as above

    return run_chat(begin(new_client, system=system, goes_on=goes_on, conversation=conversation), log=log)


@command()
def models() -> ExitCode:
    """List the models of every service, each after its service. The first of a service is its default."""
    from bing_llm.cli.models import models as run_models  # noqa: PLC0415 - each command loads what it needs

    return run_models()


@command(_BATCH_EPILOG)
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
    ordered: Annotated[
        bool, typer.Option("--ordered", help="At the end, sort the output in the order of the input.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask the rows again that failed in an earlier run.")
    ] = False,
    patience: Annotated[
        float, typer.Option(metavar="MINUTES", help="How long to wait for a service that throttles or is away.")
    ] = 60.0,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ask from the machines of this Ray cluster; local starts one here."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="With --ray: how many processes ask.")] = None,
    new_client: NewClient,
) -> ExitCode:
    """Ask each row of a file, and write the answers to another.

    A row has a prompt, or messages. It may also have an id, a context and a model; all other columns are copied. Each
    row is written when it ends, and after an interruption of any kind the same command continues.

    The first Ctrl-C waits for the open turns; a second one stops at once.
    """
    from bing_llm.cli.batch import batch as run_batch  # noqa: PLC0415 - each command loads what it needs

    return run_batch(
        source,
        target,
        client=new_client,
        concurrency=concurrency,
        rate=rate,
        ordered=ordered,
        retry_failed=retry_failed,
        patience=patience * 60,
        ray=ray,
        workers=workers,
    )


@command()
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
    endpoint: Annotated[str | None, setting_option("endpoint", "workiq")] = None,
    plain_cache: Annotated[
        bool,
        typer.Option(
            "--plain-cache", help="Where there is no key store, keep the tokens in a file that is not encrypted."
        ),
    ] = False,
    claims: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The challenge of conditional access that another program was given. One that was met with this login "
            "is known.",
        ),
    ] = None,
) -> ExitCode:
    """Sign in to Work IQ with a work account.

    A code is shown, to be entered in a browser. The tokens are kept for later commands and programs of this user.
    """
    from bing_llm.cli.login import login as run_login  # noqa: PLC0415 - each command loads what it needs

    return run_login(client_id, tenant_id, endpoint=endpoint, plain_cache=plain_cache, claims=claims)


@command()
def logout() -> ExitCode:
    """Sign out of Work IQ: forget the login, and remove its tokens from this machine."""
    from bing_llm.cli.login import logout as run_logout  # noqa: PLC0415 - each command loads what it needs

    return run_logout()


@command()
def agents(
    agent_id: Annotated[
        str | None, typer.Argument(metavar="AGENT_ID", help="The agent. Default: Copilot itself.")
    ] = None,
    *,
    endpoint: Annotated[str | None, setting_option("endpoint", "workiq")] = None,
) -> ExitCode:
    """Show what an agent of Microsoft 365 Copilot says of itself: its name, its description and its skills.

    Without an id, it shows Copilot's, and says where the ids of agents are found.
    """
    from bing_llm.cli.agents import agents as run_agents  # noqa: PLC0415 - each command loads what it needs

    return run_agents(agent_id, endpoint=endpoint)


@command()
def emulator(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: _Port = 8765,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What it answers and what goes wrong: YAML or JSON; see docs/emulator.md."),
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="The pause between words of the built-in answers. Default: 0.01."),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=f"Base URL of an OpenAI-compatible server whose model answers. {UPSTREAM_KEY} holds its key.",
        ),
    ] = None,
    upstream_model: Annotated[str | None, typer.Option(metavar="NAME", help="The model there.")] = None,
    allow_host: _AllowedHosts = None,
    allow_origin: _AllowedOrigins = None,
) -> ExitCode:
    """Run the emulator as a server, until Ctrl-C.

    It prints what to paste into another shell, and logs each request to stderr in one line: method, path, conversation,
    turn and outcome. --verbose adds the frames. At /_emulator/ it is inspected and given another script over HTTP.

    Only programs may use it, not web pages: it refuses names that do not mean this machine, and other origins than
    those of the services. BING_LLM_EMULATOR_TOKEN sets the token of its Work IQ; without it, each run has another one.
    """
    from bing_llm.cli.emulator import choose_brain, read_script, serve  # noqa: PLC0415 - the others need no server

    key = os.environ.get(UPSTREAM_KEY)
    return serve(
        choose_brain(upstream=upstream, model=upstream_model, api_key=key, pace=pace),
        host=host,
        port=port,
        script=read_script(script, upstream=upstream, pace=pace),
        token=os.environ.get(EMULATOR_TOKEN) or None,
        allowed_hosts=allow_host or (),
        allowed_origins=allow_origin or (),
    )


@command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on. Beyond loopback, a key is required.")] = (
        "127.0.0.1"
    ),
    port: _Port = 8080,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file with the key that callers send. Default: BING_LLM_SERVE_KEY."),
    ] = None,
    max_concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many requests may be with the service at once; others wait."),
    ] = None,
    offer_agent: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An agent of Work IQ that the list of models names; may be repeated."),
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Answer unknown models with that of the client, instead of 404.")
    ] = False,
    allow_host: _AllowedHosts = None,
    allow_origin: _AllowedOrigins = None,
    new_client: NewClient,
) -> ExitCode:
    """Run a server with OpenAI's API over the service, until SIGTERM or Ctrl-C.

    For each tool that takes a base_url. The key that callers send is taken from BING_LLM_SERVE_KEY or a file. The first
    signal lets running answers end, a second one ends at once.
    """
    from bing_llm.cli.serve import read_key  # noqa: PLC0415 - the other commands need no server
    from bing_llm.cli.serve import serve as run_serve  # noqa: PLC0415 - as above

    return run_serve(
        new_client,
        host=host,
        port=port,
        key=read_key(key_file),
        max_concurrency=max_concurrency,
        allowed_hosts=allow_host or (),
        allowed_origins=allow_origin or (),
        agents=offer_agent or (),
        any_model=any_model,
    )
