"""How a command ends, whichever program it is of: an exit code, and one line for an error."""

from __future__ import annotations

import _thread
import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from kmedtl.errors import UserError
from kmedtl.system.disk import FULL
from kmedtl.system.printable import shown, shown_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SOON = 0.05  # seconds
INTERRUPTED = 130  # as a shell reports SIGINT
MOVES = ("\x1b[A", "\n\t\r")  # what a progress bar needs of a terminal's commands: a line up, and to its beginning


class _Interrupt:
    """Answers Ctrl-C with KeyboardInterrupt, and remembers it: C++ code may hand it on as an error of its own.

    One that comes while Python destroys an object is lost there (`__del__` may not raise), so it is raised again.
    """

    def __init__(self) -> None:
        self.noticed = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._answer)
            sys.unraisablehook = self._again

    def _answer(self, *_: object) -> None:
        self.noticed = True
        raise KeyboardInterrupt

    def _again(self, lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(SOON, _thread.interrupt_main).start()
        else:
            sys.__unraisablehook__(lost)


def carry_out(command: Callable[[argparse.Namespace], int], options: argparse.Namespace, lasting: bool = False) -> int:
    """Return the command's exit code, 2 for an error (told in one line; `options.debug` raises it), 130 for Ctrl-C.

    Args:
        lasting: the command goes on when the reader of its output leaves (`kmedtl run … | head -1`); else it ends, as
            Unix' tools do, with 0.
    """
    with _outputs(lasting):
        return _carry_out(command, options)


def _carry_out(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    interrupt = _Interrupt()
    try:
        return command(options)
    except BrokenPipeError:
        _close(sys.stdout.fileno())
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
        return shown(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{shown(error.filename or 'output')}: no space left on the disk; make room, or write elsewhere."
    text = shown(" ".join(str(error).split())[:300])
    return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"


@contextlib.contextmanager
def _outputs(lasting: bool) -> Iterator[None]:
    """Make standard output and standard error what a command needs while it runs."""
    before = sys.stdout, sys.stderr
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _Output(sys.stdout, lasting, "", "\n\t")
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = _Output(sys.stderr, lasting, *MOVES)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                try:
                    stream.flush()
                except BrokenPipeError:
                    _close(stream.fileno())
        sys.stdout, sys.stderr = before


class _Raw(io.FileIO):
    """A file descriptor; `lasting`: where nobody takes what is written, it is written to nowhere from then on."""

    def __init__(self, descriptor: int, lasting: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lasting = lasting

    def write(self, content: ReadableBuffer) -> int:
        try:
            return super().write(content)
        except OSError:  # also of a terminal that was closed, or a log on a full disk
            if not self._lasting:
                raise
            _close(self.fileno())
            return memoryview(content).nbytes


class _Output(io.TextIOWrapper):
    """Text in which only kmedtl's own commands to the terminal are obeyed; a letter that it lacks ends nothing."""

    def __init__(self, stream: TextIO, lasting: bool, sequence: str, kept: str) -> None:
        raw = io.BufferedWriter(_Raw(stream.fileno(), lasting))
        super().__init__(raw, stream.encoding, "backslashreplace", line_buffering=True)
        self._sequence, self._kept = sequence, kept

    def __reduce__(self) -> tuple:
        """Travel to another process, as Ray's workers are, as what that one writes to."""
        return getattr, (sys, "stdout" if self is sys.stdout else "stderr")

    def write(self, text: str) -> int:
        if self._sequence:
            parts = (shown_lines(part, self._kept) for part in text.split(self._sequence))
            super().write(self._sequence.join(parts))
        else:
            super().write(shown_lines(text, self._kept))
        return len(text)


def _close(descriptor: int) -> None:
    """Send what is still written there to nowhere, so that Python does not complain again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
