"""Training steps on labelled and on unlabelled images together, over cached activations of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops

from kmedtl.finetune.frozen_prefix import Handed
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.finetune.stage_data import Losses

Draws = Callable[[np.random.Generator, int, int], tuple[np.ndarray, ...]]
Batch = tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]


def no_draws(random: np.random.Generator, labelled: int, unlabelled: int) -> tuple[np.ndarray, ...]:
    """Draw nothing."""
    return ()


def different_views(random: np.random.Generator, kept: int, images: int, views: int) -> np.ndarray:
    """Return so many different ones of the `kept` views of each image, drawn at random, int (views, images)."""
    each = np.tile(np.arange(kept), (images, 1))
    return random.permuted(each, axis=1).T[:views]


@dataclass(frozen=True)
class Step:
    """A training step on both kinds of images.

    Attributes:
        before: (inputs, targets) of a batch of `EpochOfBoth` → those that the model is trained on.
        losses: from the task's losses to those of such targets.
        begin: takes the average of the weights.
    """

    before: Callable[..., tuple[Any, dict[str, tf.Tensor]]]
    losses: Callable[[Losses], Losses]
    begin: Callable[[MovingAverage], None] = lambda average: None


class EpochOfBoth(keras.utils.PyDataset):
    """One epoch over cached activations of labelled and unlabelled images, as the seed says.

    A batch holds as many of both, the labelled ones first; it has fewer of a kind only where there are fewer. Of the
    kind of which there are more, an epoch visits every image about once; of the other, each in turn, again and again.

    Inputs are the activations of a view drawn for each image, then those of a second view where there are two, then
    what `draws` returns. Targets are by output, of both kinds.

    Args:
        views: 1 or 2: how many different views of each image a step takes.
        draws: from a generator and the numbers of labelled and unlabelled images in a batch to what else it is given.
    """

    def __init__(
        self,
        labelled: Handed,
        unlabelled: Handed,
        batch_size: int,
        seed: int,
        views: int = 1,
        draws: Draws = no_draws,
    ) -> None:
        super().__init__()
        self._parts, self._seed, self._draw = (labelled, unlabelled), seed, draws
        totals = [part.weights.shape[1] for part in self._parts]
        self.counts = [min(batch_size, total) for total in totals]
        self._steps = max(-(-total // count) for total, count in zip(totals, self.counts, strict=True))
        random = np.random.default_rng(seed)
        self._rows: list[np.ndarray] = []
        self._views: list[np.ndarray] = []
        for part, count in zip(self._parts, self.counts, strict=True):
            kept, total = part.weights.shape
            rounds = -(-self._steps * count // total)
            self._rows.append(np.concatenate([random.permutation(total) for _ in range(rounds)]))
            self._views.append(different_views(random, kept, len(self._rows[-1]), views))

    def __len__(self) -> int:
        return self._steps

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of the training table in a batch."""
        return self._where(number, 0)[0][1]

    def __getitem__(self, number: int) -> Batch:
        where = [self._where(number, view) for view in range(len(self._views[0]))]
        arrays = list(zip(*(part.arrays for part in self._parts), strict=True))
        inputs = [_both(pair, places) for places in where for pair in arrays]
        targets = {
            name: _both([part.targets[name] for part in self._parts], where[0]) for name in self._parts[0].targets
        }
        drawn = self._draw(np.random.default_rng([self._seed, number]), *self.counts)
        return (*inputs, *drawn), targets

    def _where(self, number: int, view: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return view and row of each labelled image of a batch, and of each unlabelled one."""
        places = [slice(number * count, (number + 1) * count) for count in self.counts]
        each = zip(self._views, self._rows, places, strict=True)
        return [(views[view][place], rows[place]) for views, rows, place in each]


def _both(arrays: Sequence[np.ndarray], where: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([array[place] for array, place in zip(arrays, where, strict=True)]).astype(np.float32)


class StepOnBoth(keras.Model):
    """A model whose training step begins with `before`: from inputs and targets to those that it trains on.

    Make it as a functional model: its layers are then those of the model whose inputs and outputs it is given.
    """

    before: Callable[..., tuple[Any, dict[str, tf.Tensor]]]

    def train_step(self, data: tuple) -> dict[str, tf.Tensor]:
        inputs, targets = data[:2]
        return super().train_step(self.before(inputs, targets))


def as_inputs(arrays: Sequence[tf.Tensor]) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Return tensors as a model takes them: one, or several as a tuple."""
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def counted_alone(losses: KerasTensor, images: Any) -> KerasTensor:
    """Return losses (n,) so scaled that the mean over a batch of so many images, as Keras takes it, is their own."""
    return losses * ops.cast(images, "float32") / ops.cast(ops.shape(losses)[0], "float32")


class LossOfBoth(keras.losses.Loss):
    """The mean loss of the labelled images of a batch, which come first, and `weight` times that of the others.

    Args:
        labelled: the loss of images with labels.
        count: how many of them a batch holds.
        unlabelled: that of the others.
    """

    def __init__(self, labelled: keras.losses.Loss, count: int, unlabelled: keras.losses.Loss, weight: float) -> None:
        super().__init__(name="loss_of_both")
        self.labelled, self.count, self.unlabelled, self.weight = labelled, count, unlabelled, weight

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        images, count = ops.shape(y_pred)[0], self.count
        known = counted_alone(self.labelled.call(y_true[:count], y_pred[:count]), images)
        others = counted_alone(self.unlabelled.call(y_true[count:], y_pred[count:]), images)
        return ops.concatenate([known, self.weight * others], axis=0)
