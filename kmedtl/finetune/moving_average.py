"""The moving average of the weights, which often does better than the weights (Polyak & Juditsky, 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf


class MovingAverage(keras.callbacks.Callback):
    """Averages what a training changes, step by step: trainable weights, and BatchNorm's statistics with them.

    With a decay of 0 it does nothing. Early on the decay is (1 + steps) / (10 + steps) if that is less, so that the
    start is soon forgotten (as TensorFlow's ExponentialMovingAverage has it with `num_updates`).
    """

    def __init__(self, trainer: keras.Model, decay: float) -> None:
        super().__init__()
        self._decay = decay
        self._followed = [weight for weight in trainer.weights if _changes(weight)] if decay else []
        self._averages = [tf.Variable(variable.value) for variable in self._followed]
        self._steps = tf.Variable(0.0)
        self._step = tf.function(self._follow)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._decay:
            self._step()

    @property
    def steps(self) -> tf.Variable:
        """How many steps it has followed."""
        return self._steps

    def of(self, variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """Return the average of each variable; of one that does not change its value."""
        averages = {id(one): average for one, average in zip(self._followed, self._averages, strict=True)}
        return [averages[id(one)].value() if id(one) in averages else one.value for one in variables]

    @property
    def values(self) -> list[np.ndarray]:
        """The averages and the number of steps; empty without a decay."""
        return [variable.numpy() for variable in (*self._averages, self._steps)] if self._decay else []

    def restore(self, values: Sequence[np.ndarray]) -> None:
        """Go on from what `values` returned."""
        for variable, value in zip((*self._averages, self._steps), values, strict=bool(self._decay)):
            variable.assign(value)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averages while the block runs."""
        own = [variable.numpy() for variable in self._followed]
        for variable, average in zip(self._followed, self._averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self._followed, own, strict=True):
                variable.assign(value)

    def _follow(self) -> None:
        decay = tf.minimum(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps.assign_add(1)
        for average, variable in zip(self._averages, self._followed, strict=True):
            average.assign(decay * average + (1 - decay) * variable.value)


def _changes(weight: keras.Variable) -> bool:
    return weight.trainable or "moving" in weight.path
