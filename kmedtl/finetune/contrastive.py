"""SimCLR: a backbone learns without labels to tell two views of an image from all other images of its batch.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020: section 2.1, equation 1,
with the temperature of its appendix B.9 for small images. A small network, which is dropped afterwards, projects the
vector before the head; the loss compares projections. Unlike there the two views of a step are drawn from the `views`
cached ones of an image, the optimizer is the stage's, and what varies images is its preset. More images a batch
(`data.batch_size`) are more to be told from, and help more than anything else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops

from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.errors import UserError
from kmedtl.finetune.added_outputs import CONTRAST
from kmedtl.finetune.frozen_prefix import Activations, Handed, ModelSplit
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.stage_data import Source, validation
from kmedtl.finetune.stage_plan import Plan
from kmedtl.finetune.unlabelled_steps import StepOnBoth, as_inputs, different_views
from kmedtl.recipe import Stage

TEMPERATURE = 0.5
TIMED = range(2, 6)  # steps that tell what a step takes; those before them are traced and warm up
FAR = 1e9  # below any logit


class ContrastiveLoss(keras.losses.Loss):
    """NT-Xent (equation 1) of projections (2 N, D): N first views, then the second views of the same images.

    Returns (2 N,): for each view the cross-entropy of finding the other view of its image among all other views, by
    cosine similarity divided by `temperature`. The targets are not looked at.
    """

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        super().__init__(name="contrastive_loss")
        self.temperature = temperature

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        directions = ops.normalize(ops.cast(y_pred, "float32"), axis=-1)
        count = ops.shape(directions)[0]
        logits = ops.matmul(directions, ops.transpose(directions)) / self.temperature
        logits -= FAR * ops.eye(count)  # a view is not compared with itself
        others = (ops.arange(count) + count // 2) % count
        return ops.sparse_categorical_crossentropy(others, logits, from_logits=True)


class EpochOfPairs(keras.utils.PyDataset):
    """One epoch over cached images of all parts, as the seed says: inputs are two different views of each.

    Every image comes once, but for less than a batch of them: a smaller batch would be an easier question.
    """

    def __init__(self, parts: Sequence[Handed], batch_size: int, seed: int) -> None:
        super().__init__()
        self._parts, random = parts, np.random.default_rng(seed)
        counts = [part.weights.shape for part in parts]
        self._starts = np.cumsum([0, *(total for _, total in counts)])
        self._batch_size = min(batch_size, int(self._starts[-1]))
        self._order = random.permutation(self._starts[-1])
        self._views = different_views(random, counts[0][0], len(self._order), 2)

    def __len__(self) -> int:
        return len(self._order) // self._batch_size

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of the first part that are in a batch."""
        images = self._images(number)
        return images[images < self._starts[1]]

    def __getitem__(self, number: int) -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
        images = self._images(number)
        return self._view(0, images) + self._view(1, images), {CONTRAST: np.zeros((2 * len(images), 1), np.float32)}

    def _images(self, number: int) -> np.ndarray:
        return self._order[number * self._batch_size : (number + 1) * self._batch_size]

    def _view(self, which: int, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return one view of images, an array an input."""
        part_of = np.searchsorted(self._starts, images, side="right") - 1
        views, rows = self._views[which][images], images - self._starts[part_of]
        found = []
        for number in range(len(self._parts[0].arrays)):
            array = np.empty((len(images), *self._parts[0].arrays[number].shape[2:]), np.float32)
            for place, part in enumerate(self._parts):
                here = part_of == place
                array[here] = part.arrays[number][views[here], rows[here]]
            found.append(array)
        return tuple(found)


class CostCheck(keras.callbacks.Callback):
    """Tells what a stage will take as soon as a few steps are done, and ends it there if that is more than is accepted.

    Args:
        hours: that are accepted.
        log: is told about how long it takes.
    """

    def __init__(self, stage: Stage, steps: int, hours: float, log: Callable[[str], None]) -> None:
        super().__init__()
        self._stage, self._steps, self._hours, self._log = stage, steps, hours, log
        self._count, self._since, self._seconds = 0, 0.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._count in TIMED:
            self._seconds += time.perf_counter() - self._since
        self._count += 1
        if self._count == TIMED.stop:
            self._judge(self._seconds / len(TIMED))

    def _judge(self, seconds: float) -> None:
        stage, hours = self._stage, seconds * self._steps * self._stage.epochs / 3600
        took = f"{hours:.1f} hours" if hours >= 1 else f"{math.ceil(60 * hours)} minutes"
        told = f"stage {stage.name}: about {took} on this machine, {stage.epochs} epochs of {self._steps} steps"
        if hours > self._hours:
            raise UserError(
                f"{told}: more than training.accept_hours={self._hours:g}. Set it to {math.ceil(10 * hours) / 10:g} to "
                "go on, or lower epochs or data.size, or train on a GPU."
            )
        self._log(f"{told[0].upper()}{told[1:]}.")


def contrastive(
    job: TrainingJob, cut: ModelSplit, cached: dict[str, Activations], train: Pipeline, plan: Plan
) -> Source:
    """Return the source of a stage that learns to tell images apart: those of training and those without labels."""
    parts = [cached[name] for name in ("train", UNLABELLED) if name in cached]

    def epoch(seed: int) -> EpochOfPairs:
        return EpochOfPairs(parts, train.batch_size, seed)

    def before(inputs: tuple, targets: dict[str, tf.Tensor]) -> tuple[Any, dict[str, tf.Tensor]]:
        half = len(inputs) // 2
        return as_inputs([tf.concat(pair, axis=0) for pair in zip(inputs[:half], inputs[half:], strict=True)]), targets

    trainer, steps = StepOnBoth(cut.suffix.inputs, {CONTRAST: cut.suffix.output[CONTRAST]}), len(epoch(0))
    trainer.before = before
    return Source(
        trainer,
        epoch,
        steps,
        lambda seed, step: epoch(seed).rows(step),
        validation(cut, cached, train.batch_size),
        losses=lambda _: {CONTRAST: ContrastiveLoss()},
        callbacks=(CostCheck(plan.stage, steps, job.training.accept_hours, job.log),),
        is_judged=False,
    )
