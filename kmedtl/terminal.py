"""How a command ends, whichever program it is of: an exit code, and one line for an error."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Callable

from kmedtl.errors import UserError

INTERRUPTED = 130  # as a shell reports SIGINT


class _Interrupt:
    """Answers Ctrl-C with KeyboardInterrupt, and remembers it: C++ code may hand it on as an error of its own."""

    def __init__(self) -> None:
        self.noticed = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._answer)

    def _answer(self, *_: object) -> None:
        self.noticed = True
        raise KeyboardInterrupt


def carry_out(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Return the command's exit code, 2 for an error (told in one line; `options.debug` raises it), 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter must not end a run
    interrupt = _Interrupt()
    try:
        return command(options)
    except BrokenPipeError:
        # The reader of our output left (`kmedtl … | head`); keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        if interrupt.noticed or isinstance(error, KeyboardInterrupt):
            print("\nstopped.", file=sys.stderr)
            return INTERRUPTED
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


def _one_line(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"
