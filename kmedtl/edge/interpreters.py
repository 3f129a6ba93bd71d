"""One TFLite model in several LiteRT interpreters, one on each core, so that several images are answered at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.system.cores import usable_cores
from kmedtl.system.native_logs import quiet_stderr

ITEMS_A_COPY = 4  # fewer are done sooner than another interpreter is ready
MOST = 16  # interpreters: each has memory of its own
ROUND = 16  # items a copy, after which Ctrl-C or an error ends the work

Found = TypeVar("Found")


class Interpreters:
    """Interpreters with their tensors allocated: the first at once, the others as soon as there is work for them.

    What is found is the same whichever of them finds it.
    """

    def __init__(self, content: bytes, threads: int = 1) -> None:
        """Make the first interpreter.

        Args:
            content: of a TFLite file.
            threads: cores that each may use.

        Raises:
            ValueError, RuntimeError: not a TFLite model, or one that LiteRT cannot run.
        """
        self._content, self._threads = content, threads
        self._copies = [self._open()]

    @property
    def first(self) -> Interpreter:
        return self._copies[0]

    def each(self, work: Callable[[Interpreter, int], Found], count: int) -> list[Found]:
        """Return what `work` finds with an interpreter for each number below `count`, in order."""
        most = max(1, min(MOST, usable_cores() // self._threads))
        while len(self._copies) < min(most, count // ITEMS_A_COPY):
            self._copies.append(self._open())
        if len(self._copies) == 1 or count == 1:
            return [work(self.first, number) for number in range(count)]
        found: list[Found] = []
        with ThreadPoolExecutor(len(self._copies)) as pool:  # LiteRT computes without Python's lock
            step = ROUND * len(self._copies)
            for start in range(0, count, step):
                shares = np.array_split(np.arange(start, min(count, start + step)), len(self._copies))
                parts = pool.map(lambda copy, share: [work(copy, int(one)) for one in share], self._copies, shares)
                found += chain.from_iterable(parts)
        return found

    def _open(self) -> Interpreter:
        with quiet_stderr():
            interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
            interpreter.allocate_tensors()
            return interpreter
