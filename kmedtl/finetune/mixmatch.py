"""MixMatch: guessed answers are sharpened, then labelled and unlabelled images are mixed with each other.

Berthelot et al., MixMatch: A Holistic Approach to Semi-Supervised Learning, NeurIPS 2019: section 3, with its settings
(K = 2 views, T = 0.5, α = 0.75). Unlike there the activations at the stage's cut are mixed, not pixels, since what lies
before the cut is computed once: where a stage trains all blocks, that is the images themselves. Manifold Mixup (Verma
et al., ICML 2019) mixes there likewise. The weight of the unlabelled part does not rise over the training.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops

from kmedtl.data.manifest import UNKNOWN
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.stage_data import Losses
from kmedtl.finetune.unlabelled_steps import LossOfBoth, Step, as_inputs
from kmedtl.recipe import Stage
from kmedtl.tasks.task import Targets

TEMPERATURE, ALPHA = 0.5, 0.75
VIEWS = 2


class Brier(keras.losses.Loss):
    """The mean squared difference of probabilities (N, F) and targets, over each image's known ones.

    Args:
        probabilities: from logits to probabilities.
    """

    def __init__(self, probabilities: Any) -> None:
        super().__init__(name="brier")
        self.probabilities = probabilities

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        known = ops.cast(ops.not_equal(y_true, UNKNOWN), "float32")
        apart = ops.square(self.probabilities(y_pred) - y_true) * known
        return ops.sum(apart, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1)


def partners(random: np.random.Generator, labelled: int, unlabelled: int) -> tuple[np.ndarray, np.ndarray]:
    """Return with which row each row of a batch is mixed, int32 (N,), and its own share, float32 (N,) in 0.5–1.

    N is one row for each labelled image and one for each view of an unlabelled one.
    """
    rows = labelled + VIEWS * unlabelled
    shares = random.beta(ALPHA, ALPHA, rows)
    return random.permutation(rows).astype(np.int32), np.maximum(shares, 1 - shares).astype(np.float32)


def mixed(array: tf.Tensor, order: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Return share · array + (1 − share) · array[order], row by row."""
    own = tf.reshape(share, (-1, *[1] * (len(array.shape) - 1)))
    return own * array + (1 - own) * tf.gather(array, order)


def mixed_targets(targets: tf.Tensor, order: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Return targets (N, F) mixed likewise; `UNKNOWN` where one of both is."""
    known = targets != UNKNOWN
    return tf.where(known & tf.gather(known, order), mixed(targets, order, share), UNKNOWN)


def mixmatch(job: TrainingJob, stage: Stage, suffix: keras.Model, count: int, steps: int) -> Step:
    """Return the step of this objective."""
    soft = job.soft

    def before(inputs: tuple, targets: Targets) -> tuple[Any, dict[str, tf.Tensor]]:
        *arrays, order, share = inputs
        half = len(arrays) // VIEWS
        views = [arrays[:half], arrays[half:]]
        answers = [
            soft.probabilities(job.question, suffix(as_inputs([one[count:] for one in view]), training=False))
            for view in views
        ]
        mean = {name: (answers[0][name] + answers[1][name]) / VIEWS for name in targets}
        guessed = soft.sharpened(job.question, mean, TEMPERATURE)
        whole = [tf.concat([first, second[count:]], axis=0) for first, second in zip(*views, strict=True)]
        found = {
            name: mixed_targets(tf.concat([array[:count], guessed[name], guessed[name]], axis=0), order, share)
            for name, array in targets.items()
        }
        return as_inputs([mixed(one, order, share) for one in whole]), found

    def losses(found: Losses) -> Losses:
        def brier(name: str) -> Brier:
            return Brier(lambda logits: soft.probabilities(job.question, {name: logits})[name])

        return {name: LossOfBoth(loss, count, brier(name), stage.unlabelled_weight) for name, loss in found.items()}

    return Step(before, losses)
