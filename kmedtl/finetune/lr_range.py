"""The range test: which rate to train with (Smith, Cyclical Learning Rates, 2017, section 3.3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from kmedtl.errors import UserError
from kmedtl.system.progress import progress

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100
SMOOTHING = 0.9  # decay of the moving average of the loss
DIVERGED = 4.0  # times the lowest loss: no higher rate is tried


class RangeTest(NamedTuple):
    """What a range test found.

    Attributes:
        rates, losses: of each step, the loss smoothed.
        lr: a tenth of the rate at which the loss was lowest: still falling, far from where it rises.
    """

    rates: list[float]
    losses: list[float]
    lr: float


def range_test(trainer: keras.Model, epoch: Callable[[int], Any], seed: int, name: str) -> RangeTest:
    """Train step by step, each with a higher rate than the last.

    The rates rise geometrically from 1e-6 to 1 in 100 steps, as far as the loss stays below four times its lowest. The
    weights are changed.

    Args:
        trainer: compiled, with a rate that can be assigned.
        epoch: from a seed to an epoch's batches (inputs, targets, weights).
        name: of the stage, for the progress bar.

    Raises:
        UserError: the loss is never finite.
    """
    rates, average = [], 0.0
    losses: list[float] = []
    steps = zip(np.geomspace(LOWEST, HIGHEST, STEPS), _batches(epoch, seed), strict=False)
    for number, (rate, batch) in enumerate(progress(steps, f"{name} lr", STEPS, unit="step"), 1):
        trainer.optimizer.learning_rate = rate
        trainer.reset_metrics()
        loss = float(np.ravel(trainer.train_on_batch(*batch))[0])
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING**number)
        if not np.isfinite(smoothed) or (losses and smoothed > DIVERGED * min(losses)):
            break
        rates.append(float(rate))
        losses.append(smoothed)
    if not rates:
        raise UserError(f"stage {name}: lr: the loss is not finite even at {LOWEST:g}; set a rate instead of auto.")
    return RangeTest(rates, losses, rates[int(np.argmin(losses))] / 10)


def _batches(epoch: Callable[[int], Any], seed: int) -> Iterator[tuple]:
    """Yield batches without end, epoch after epoch."""
    for number in itertools.count(seed):
        batches = epoch(number)
        if isinstance(batches, keras.utils.PyDataset):
            yield from (batches[index] for index in range(len(batches)))
        else:
            yield from batches
