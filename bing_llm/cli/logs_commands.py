"""The commands of `bing-llm logs`, and their options."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from bing_llm.cli.command import command, run_command
from bing_llm.cli.errors import ExitCode

_MOST_LISTED = 20
logs = typer.Typer(
    help="The log of conversations on this machine. Without a command, it lists the latest ones.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
_Count: TypeAlias = Annotated[int, typer.Option("-n", "--count", min=1, metavar="N", help="How many at most.")]


@logs.callback()
def _list_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        from bing_llm.cli.logs import list_logs  # noqa: PLC0415 - each command loads what it needs

        run_command(lambda: list_logs(_MOST_LISTED), ())


@command(group=logs, name="list")
def _list_logs(*, count: _Count = _MOST_LISTED) -> ExitCode:
    """List the latest conversations: number, time, service, model, turns and first prompt."""
    from bing_llm.cli.logs import list_logs  # noqa: PLC0415 - each command loads what it needs

    return list_logs(count)


@command(group=logs, name="show")
def _show_log(
    number: Annotated[int | None, typer.Argument(metavar="NUMBER", help="Which one. Default: the latest.")] = None,
) -> ExitCode:
    """Show a conversation as Markdown."""
    from bing_llm.cli.logs import show_log  # noqa: PLC0415 - each command loads what it needs

    return show_log(number)


@command(group=logs, name="search")
def _search_logs(
    text: Annotated[str, typer.Argument(help="What somebody said, whatever the case of its letters.")],
    *,
    count: _Count = _MOST_LISTED,
) -> ExitCode:
    """List the conversations in which a prompt or an answer has this text."""
    from bing_llm.cli.logs import list_logs  # noqa: PLC0415 - each command loads what it needs

    return list_logs(count, text)


@command(group=logs, name="path")
def _log_path() -> ExitCode:
    """Show where the log is. To delete it, remove that file."""
    from bing_llm.cli.logs import show_path  # noqa: PLC0415 - each command loads what it needs

    return show_path()


@command(group=logs, name="on")
def _log_on() -> ExitCode:
    """Log conversations from now on; so it is until logs off."""
    from bing_llm.cli.logs import switch_log  # noqa: PLC0415 - each command loads what it needs

    return switch_log(on=True)


@command(group=logs, name="off")
def _log_off() -> ExitCode:
    """Log no conversations from now on, and keep no history of a chat. What is there stays."""
    from bing_llm.cli.logs import switch_log  # noqa: PLC0415 - each command loads what it needs

    return switch_log(on=False)
