"""How a command is registered: its options, its help and its exit code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, NoReturn

import typer

from bing_llm.cli import begin_command
from bing_llm.cli.errors import ExitCode, exit_code_of
from bing_llm.cli.options import SERVICE_OPTIONS, VARIABLES, NewClient
from bing_llm.cli.streams import log_to_stderr

EPILOG = f"""\
Exit codes: 0 ok; 1 the service refused, failed or withdrew its answer, or the output could not be written; 2 usage or
configuration, nothing was sent; 130 Ctrl-C before the answer was complete.

Secrets are taken from the environment only ({", ".join(VARIABLES.values())}) or from what login has kept, never from
options: lists of processes show those."""

_VERBOSE = inspect.Parameter(
    "verbose",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--verbose", help="Log to stderr what is sent and received.")],
)

app = typer.Typer(
    help="Microsoft's Bing and Copilot chat on the command line.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def command(
    epilog: str = EPILOG, *, group: typer.Typer | None = None, name: str | None = None
) -> Callable[[Callable[..., ExitCode]], None]:
    """Register a function as a command, which ends with the exit code of the function or of its error.

    Each command has `--verbose`. One that takes `new_client` has the options of a service in its place.

    Args:
        epilog: What is below the options in its help.
        group: The command that it belongs to; None for `bing-llm` itself.
        name: Its name; None for that of the function.
    """

    def register(function: Callable[..., ExitCode]) -> None:
        parameters = dict(inspect.signature(function, eval_str=True).parameters)
        service_options = SERVICE_OPTIONS if parameters.pop("new_client", None) else ()
        names = {*parameters, *(option.name for option in service_options)}

        def run(*, verbose: bool, **given: object) -> NoReturn:
            if service_options:
                given["new_client"] = NewClient.of({option.name: given.pop(option.name) for option in service_options})
            run_command(lambda: function(**given), names, verbose=verbose)

        signature = inspect.Signature([*parameters.values(), *service_options, _VERBOSE])
        run.__signature__ = signature  # type: ignore[attr-defined]  # what typer reads options from
        run.__doc__ = function.__doc__
        (group or app).command(name or function.__name__, epilog=epilog)(run)

    return register


def run_command(function: Callable[[], ExitCode], names: Collection[str], *, verbose: bool = False) -> NoReturn:
    """Run a command with options of these names, and end with its exit code."""
    begin_command()
    log_to_stderr(verbose=verbose)
    raise typer.Exit(exit_code_of(function, options=names))
