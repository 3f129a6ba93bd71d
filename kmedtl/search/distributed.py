"""A search on several machines, by KerasTuner's chief and workers: what it needs besides to survive lost ones."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import grpc
import keras_tuner

from kmedtl.errors import UserError

ID, ADDRESS, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
REACH = 25.0  # seconds that a worker tries to reach the chief
BEAT = 2.0  # seconds between two signs of life
LOST = 20.0  # seconds without one after which a worker counts as lost
ALIVE = "workers"  # folder, a file a worker


def role() -> Literal["alone", "chief", "worker"]:
    """Return what KerasTuner's environment variables make of this process.

    Raises:
        UserError: some of them are set and others are missing.
    """
    if ADDRESS not in os.environ:
        return "alone"
    for name in (PORT, ID):
        if name not in os.environ:
            raise UserError(f"{ADDRESS} is set, which names the chief of a search: expected {name} as well.")
    return "chief" if "chief" in os.environ[ID] else "worker"


def check_port() -> None:
    """See that the chief can listen where it shall.

    Raises:
        UserError: an address that is another machine's, or a port in use.
    """
    address = os.environ[ADDRESS], _port()
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UserError(
            f"{ADDRESS}={address[0]}, {PORT}={address[1]}: the chief cannot listen there ({error.strerror}); "
            "give this machine's address and a free port."
        ) from None


def reach_chief(seconds: float = REACH) -> None:
    """Wait for the chief, so long at most.

    Raises:
        UserError: it does not answer.
    """
    address = f"{os.environ[ADDRESS]}:{_port()}"
    channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=seconds)
    except grpc.FutureTimeoutError:
        raise UserError(
            f"{address}: the chief of the search did not answer for {seconds:g} s; start it, or mend {ADDRESS} and "
            f"{PORT}. If the search is over, so is this worker's part."
        ) from None
    finally:
        channel.close()


def _port() -> int:
    text = os.environ[PORT]
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise UserError(f"{PORT}: expected a port from 1 to 65535. Received: {text!r}.")
    return int(text)


@contextlib.contextmanager
def beating(folder: Path) -> Iterator[None]:
    """Give signs of life of this worker while the block runs."""
    (folder / ALIVE).mkdir(exist_ok=True)
    with _repeating((folder / ALIVE / os.environ[ID]).touch):
        yield


@contextlib.contextmanager
def recovering(oracle: keras_tuner.Oracle, folder: Path) -> Iterator[None]:
    """Give out again what lost workers were at, while the block runs; KerasTuner itself would wait for them."""
    seen: dict[str, tuple[float, float]] = {}  # worker → its last sign of life, and when that was noticed here

    def recover() -> None:
        for worker in _workers(oracle):
            file = folder / ALIVE / worker
            sign = file.stat().st_mtime if file.is_file() else 0.0
            if worker not in seen or seen[worker][0] != sign:
                seen[worker] = sign, time.monotonic()
            elif time.monotonic() - seen[worker][1] > LOST:
                _release(oracle, worker)

    with _repeating(recover):
        yield


@keras_tuner.synchronized
def _workers(oracle: keras_tuner.Oracle) -> list[str]:
    """Return who asked for trials and was not sent away yet."""
    return list(oracle.tuner_ids)


@keras_tuner.synchronized
def _release(oracle: keras_tuner.Oracle, worker: str) -> None:
    """Take a lost worker's trial back, as invalid: the oracle gives such trials out again."""
    trial = oracle.ongoing_trials.get(worker)
    if trial:
        trial.status = "INVALID"
        with contextlib.redirect_stdout(io.StringIO()):  # it would say so on a line of its own
            oracle.end_trial(trial)
    oracle.tuner_ids.discard(worker)


@contextlib.contextmanager
def _repeating(what: Callable[[], None]) -> Iterator[None]:
    """Do something every `BEAT` seconds, at once for the first time, while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        while True:
            what()
            if over.wait(BEAT):
                return

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
