"""Work on files in processes of their own, so that no file can crash, stall or starve the program.

A damaged file may send a C library into a crash or an endless loop, or expand to any size. Each worker therefore bounds
its own memory and time and may die: the item that it died of is reported, the next ones go to a new worker. Workers
import neither TensorFlow nor Keras, nor the user's script (as `multiprocessing` would).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from kmedtl.errors import UserError
from kmedtl.system import memory, processes
from kmedtl.system.cores import usable_cores

MAX_MEMORY = 1_000_000_000  # bytes, above what a worker starts with
ITEMS_A_WORKER = 100  # fewer are done sooner than another worker starts
AT_HAND = 8  # items that wait at each worker, so that it need not wait for the parent
AHEAD = 16  # results a worker that may be done before the one that is next in order: bounds memory

_READY = None  # a worker's first message
_SERVE = "from kmedtl.images.workers import serve; serve()"


@dataclass(frozen=True)
class Failure:
    """What stands for a result where the worker died of the item."""

    reason: str


@dataclass(frozen=True)
class Job:
    """What workers do.

    Attributes:
        work: a function of one item that other processes can import; it answers with anything but an exception.
        seconds: that it may take for one item.
        modules: what it will import, loaded before the first item: that time is no item's fault.
        memory: bytes that it may take, above what a worker starts with.
    """

    work: Callable[[Any], Any]
    seconds: float
    modules: tuple[str, ...] = ()
    memory: int = MAX_MEMORY


def in_workers(job: Job, items: Sequence[Any], title: str, first: Worker | None = None) -> Iterator[Any]:
    """Yield the result of each item, or a `Failure`, in order, with a progress bar.

    Args:
        first: a worker that was started before it was known what to do.

    Raises:
        UserError: the workers cannot start.
    """
    if not items:
        return
    from kmedtl.system.progress import progress  # tqdm is slow to import, and no worker needs it

    count = min(usable_cores(), -(-len(items) // ITEMS_A_WORKER))
    workers = [first] if first and not first.stopped else []
    todo = deque(range(len(items)))
    answers: dict[int, Any] = {}
    try:
        workers.extend(Worker() for _ in range(count - len(workers)))
        for worker in workers:
            worker.begin(job)
        for index in progress(range(len(items)), title, unit="file"):
            while True:
                _send(workers, todo, items, up_to=index + AHEAD * count)
                _receive(workers, todo, answers, timeout=0 if index in answers else None)
                if index in answers:
                    break
            yield answers.pop(index)
    finally:
        for worker in workers:
            worker.stop()


def _send(workers: list[Worker], todo: deque[int], items: Sequence[Any], up_to: int) -> None:
    for worker in sorted(workers, key=lambda one: len(one.unanswered)):
        while todo and todo[0] < up_to and len(worker.unanswered) < AT_HAND:
            worker.send(todo[0], items[todo[0]])
            todo.popleft()


def _receive(workers: list[Worker], todo: deque[int], answers: dict[int, Any], timeout: float | None) -> None:
    """Take what the workers have answered; replace one that died, of the first item that it had not answered."""
    ready = wait([worker.connection for worker in workers], timeout)
    for position, worker in enumerate(workers):
        if worker.connection not in ready:
            continue
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            reason = worker.reason_of_death()
            if worker.unanswered:
                answers[worker.unanswered.popleft()] = Failure(reason)
                todo.extendleft(reversed(worker.unanswered))
            workers[position] = Worker()
            workers[position].begin(worker.job)
            continue
        if answer is _READY:
            worker.started = True
        else:
            answers[worker.unanswered.popleft()] = answer


@contextmanager
def worker_at_hand(module: str) -> Iterator[Worker]:
    """Yield a worker that loads a module while this process gets ready as well, and stop it in the end."""
    worker = Worker(module)
    try:
        yield worker
    finally:
        worker.stop()


class Worker:
    """The parent's end of a process that runs `serve`."""

    job: Job

    def __init__(self, module: str = "") -> None:
        """Start the process.

        Args:
            module: what it loads while it waits for its job; empty: nothing.
        """
        self.unanswered: deque[int] = deque()  # positions of the items sent to it, in order
        self.started = self.stopped = False
        variables = {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-c", (f"import {module}; " if module else "") + _SERVE]
        self.process, self.connection = processes.start(command, os.environ | variables)

    def begin(self, job: Job) -> None:
        """Tell the process what to do with the items to come."""
        self.job = job
        with suppress(OSError):  # it has died: `recv` will tell
            self.connection.send(job)

    def send(self, index: int, item: Any) -> None:
        self.unanswered.append(index)
        with suppress(OSError):  # it has died: `recv` will tell
            self.connection.send(item)

    def reason_of_death(self) -> str:
        """Clean up after a worker that closed its connection.

        Raises:
            UserError: it failed before the first file.
        """
        self.connection.close()
        code = self.process.wait()
        if not self.started and code > 0:
            raise UserError(
                f"decoding: a worker process does not start. See what `{sys.executable} -c '{_SERVE}'` says."
            )
        if code == processes.TOOK_TOO_LONG:
            return f"took longer than {self.job.seconds:g} s"
        return f"the decoder crashed on it ({processes.told(code)})"

    def stop(self) -> None:
        self.stopped = True
        self.connection.close()
        self.process.kill()
        self.process.wait()


def serve() -> None:
    """Do the job for the items that come through the connection named on the command line, until it is closed."""
    with processes.connected(sys.argv[1]) as parent:
        job = parent.recv()
        for module in job.modules:
            importlib.import_module(module)
        memory.bound(job.memory)
        parent.send(_READY)
        sys.excepthook = lambda *_: os._exit(processes.FAILED)
        while True:
            try:
                item = parent.recv()
            except EOFError:
                return
            processes.begin_time(job.seconds)
            answer = job.work(item)
            processes.end_time()
            parent.send(answer)
