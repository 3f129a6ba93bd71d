"""One TFLite model in several LiteRT interpreters, one for each core, so that several images are answered at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.system.native_logs import quiet_stderr

ITEMS_A_COPY = 4  # fewer are done sooner than another interpreter is ready

Found = TypeVar("Found")


class Interpreters:
    """Interpreters with their tensors allocated: the first at once, the others as soon as there is work for them.

    What is found is the same whichever of them finds it.
    """

    def __init__(self, model: str | bytes, threads: int = 1) -> None:
        """Make the first interpreter.

        Args:
            model: a file's path, or its content.
            threads: cores that each may use.

        Raises:
            ValueError, RuntimeError: not a TFLite model, or one that LiteRT cannot run.
        """
        self._model, self._threads = model, threads
        self._copies = [self._open()]

    @property
    def first(self) -> Interpreter:
        return self._copies[0]

    def each(self, work: Callable[[Interpreter, int], Found], count: int) -> list[Found]:
        """Return what `work` finds with an interpreter for each number below `count`, in order."""
        most = max(1, (os.cpu_count() or 1) // self._threads)
        while len(self._copies) < min(most, count // ITEMS_A_COPY):
            self._copies.append(self._open())
        shares = np.array_split(np.arange(count), max(1, min(len(self._copies), count // ITEMS_A_COPY)))
        with ThreadPoolExecutor(len(shares)) as pool:  # LiteRT computes without Python's lock
            found = pool.map(lambda copy, share: [work(copy, number) for number in share], self._copies, shares)
            return list(chain.from_iterable(found))

    def _open(self) -> Interpreter:
        given = {"model_path": self._model} if isinstance(self._model, str) else {"model_content": self._model}
        with quiet_stderr():
            interpreter = Interpreter(**given, num_threads=self._threads)
            interpreter.allocate_tensors()
            return interpreter
