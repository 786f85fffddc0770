"""The command line, `bing-llm` or `python -m bing_llm`. `bing_llm.cli.app` has the commands.

====  ===========================================================================================
exit  meaning
====  ===========================================================================================
0     ok; also when the reader of a pipe has had enough, or a chat, an emulator or a server was ended
1     the service refused, failed or withdrew its answer, or the output could not be written; of a
      chat whose messages are piped in: any error; of a batch: rows failed, or it was stopped, also
      because the reader of a pipe has left
2     usage or configuration; nothing was sent
130   Ctrl-C before the answer was complete, or before all rows were done
====  ===========================================================================================

Needs the extra `cli`. Importing this module does not import the extra, so that a missing one is an error of one line.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

_EXTRA = {"platformdirs", "prompt_toolkit", "rich", "typer"}
_USAGE, _INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: What follows the command's name; None takes it from the process.

    Raises:
        SystemExit: Always, with one of the codes above.
    """
    # Nothing has begun before the command, and nothing is left to do after it. There Ctrl-C ends the process at once:
    # as an exception, it would come out of an import or of a handler of the exit, with a traceback.
    is_process = arguments is None and threading.current_thread() is threading.main_thread()
    if is_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, exit_at_once)
    try:
        _run(arguments)
    finally:
        if is_process and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, exit_at_once)


def _run(arguments: list[str] | None) -> None:
    try:
        from bing_llm.cli.app import app  # noqa: PLC0415 - see the module docstring

        app(arguments, prog_name="bing-llm")
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _EXTRA:
            raise
        print('bing-llm: the command line needs its extra: pip install "bing-llm[cli]"', file=sys.stderr)
        raise SystemExit(_USAGE) from None
    except KeyboardInterrupt:  # the import takes a moment; the commands see to themselves
        raise SystemExit(_INTERRUPTED) from None


def begin_command() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` from here on, which commands clean up after."""
    if signal.getsignal(signal.SIGINT) is exit_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def exit_at_once(_number: int, _frame: FrameType | None) -> None:
    """Handle Ctrl-C where there is no command: end the process with 130, and keep what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it is closed, or nobody reads it
            stream.flush()
    os._exit(_INTERRUPTED)
