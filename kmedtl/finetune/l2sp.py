"""L2-SP: a penalty on how far the backbone strays from where it started (Li, Grandvalet & Davoine, ICML 2018)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras


class _PullToStart(keras.regularizers.Regularizer):
    """λ‖w − w₀‖², w₀ being the value at the time of making."""

    def __init__(self, strength: float, variable: keras.Variable) -> None:
        self.strength, self.start = strength, keras.ops.copy(variable.value)

    def __call__(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return self.strength * keras.ops.sum(keras.ops.square(x - self.start))


@contextlib.contextmanager
def pulled_to_start(variables: Sequence[keras.Variable], strength: float) -> Iterator[None]:
    """Add the penalty on these variables to the loss of every model that trains them, while the block runs."""
    before = [variable.regularizer for variable in variables]
    try:
        for variable in variables:
            variable.regularizer = _PullToStart(strength, variable)
        yield
    finally:
        for variable, regularizer in zip(variables, before, strict=True):
            variable.regularizer = regularizer
