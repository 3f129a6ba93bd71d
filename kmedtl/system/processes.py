"""Processes of our own with a connection to them, and a limit to their time."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any

TOOK_TOO_LONG = 1  # the exit code of a process whose time was up, as `faulthandler` gives it
FAILED = 70  # of one that failed by itself


def start(command: Sequence[str], environment: dict[str, str]) -> tuple[subprocess.Popen, Connection]:
    """Start a process that gets the number of its end of a connection as its last argument; nothing else joins them.

    Ctrl-C reaches this process alone, which stops the other.
    """
    here, there = connection.Pipe()
    number = there.fileno()
    bound: dict[str, Any]
    if sys.platform == "win32":
        os.set_handle_inheritable(number, True)
        only = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [number]})
        bound = {"startupinfo": only, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        bound = {"pass_fds": [number], "process_group": 0}
    nothing = subprocess.DEVNULL  # also for what C libraries say before they crash
    process = subprocess.Popen(
        [*command, str(number)], env=environment, stdin=nothing, stdout=nothing, stderr=nothing, **bound
    )
    there.close()
    return process, here


def connected(number: str) -> Connection:
    """Return the end of the connection that a process was started with."""
    if sys.platform == "win32":
        return connection.PipeConnection(int(number))
    return Connection(int(number))


def begin_time(seconds: float) -> None:
    """End this process in so many seconds, within C code too, unless `end_time` is called before."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def end_time() -> None:
    """Take the limit off again."""
    faulthandler.cancel_dump_traceback_later()


def told(code: int) -> str:
    """Return what an exit code says."""
    names = {int(number): number.name for number in signal.Signals}
    return names.get(-code, f"signal {-code}") if code < 0 else f"exit {code}"
