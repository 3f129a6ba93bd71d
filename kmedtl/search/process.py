"""Trials in a process of their own: what TensorFlow leaves behind goes with it, and a crash costs one trial.

Nothing here imports TensorFlow before the log takes what it says while it loads.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from kmedtl.errors import UserError
from kmedtl.system.memory import bound_arenas

if TYPE_CHECKING:
    from kmedtl.search.trials import Job, Outcome

TRIALS = 25  # that a process carries out before a new one takes its place


class TrialError(Exception):
    """A trial that failed; its text is one line."""


class TrialProcess:
    """A process that carries out one trial after the other, a new one every so often and after a crash.

    What it prints goes to a log, progress bars among it.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pool = self._start()

    def carry_out(self, job: Job) -> Outcome:
        """Return what the trial found.

        Raises:
            TrialError: it failed, or its process died.
        """
        future = self._submit(job)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            raise TrialError(
                f"the process of the trial died, as if killed or out of memory; {self._log} has its last words"
            )
        if isinstance(error, UserError):
            raise TrialError(str(error))
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{error.__cause__}\n")  # the traceback, as the process sent it
        raise TrialError(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def _submit(self, job: Job) -> Future[Outcome]:
        try:
            return self._pool.submit(_serve, job)
        except BrokenProcessPool:  # of the trial before
            self._pool.shutdown(wait=False)
            self._pool = self._start()
            return self._pool.submit(_serve, job)

    def close(self) -> None:
        """End the process, after the trial that it is at."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> TrialProcess:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:  # such as Ctrl-C: do not wait for the trial
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(wait=error is None, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a forked TensorFlow deadlocks
        return ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(self._log,), max_tasks_per_child=TRIALS)


def _prepare(log: Path) -> None:
    """Set the process of the trials up."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    bound_arenas()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    gc.collect()
    gc.freeze()  # TensorFlow's own million objects need not be looked through after each trial


def _end_with_parent() -> None:
    """Leave when the search is gone, however it ended: nobody else would tell."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is the trials' process
    parent.join()
    os._exit(1)


def _serve(job: Job) -> Outcome:
    import keras

    from kmedtl.search.trials import carry_out

    try:
        return carry_out(job)
    finally:
        keras.utils.clear_session()
        gc.collect()
