"""What several tasks add to one Keras graph: the outputs, losses and answers of each, under its name."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from kmedtl.data.manifest import UNKNOWN, UNKNOWN_MASK
from kmedtl.edge.tasks.multi import MultiDecoder, joined, part_of
from kmedtl.heads.build import Features
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.multi.parts import Tasks, merged
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.task import Network, Targets

LEAST_LOSS = 1e-4  # what a task has learned wholly pulls no harder than this


class OfTheKnown(keras.losses.Loss):
    """The loss of a task times its weight, 0 for images of which the task knows nothing.

    Args:
        is_relative: its logarithm over the batch instead of itself.
    """

    def __init__(self, of_task: keras.losses.Loss, weight: float, is_relative: bool = False) -> None:
        super().__init__(name="of_the_known")
        self.of_task, self.weight, self.is_relative = of_task, weight, is_relative

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        y_true = ops.cast(y_true, y_pred.dtype)
        inner = tuple(range(1, len(y_true.shape)))
        told = ops.logical_and(ops.not_equal(y_true, UNKNOWN), ops.not_equal(y_true, UNKNOWN_MASK))
        known = ops.any(told, axis=inner, keepdims=True)
        each = self.of_task.call(ops.where(known, y_true, 0.0), y_pred)
        is_known = ops.cast(ops.squeeze(known, axis=inner), each.dtype)
        return self.weight * (_logarithm(each * is_known, is_known) if self.is_relative else each * is_known)


def _logarithm(losses: KerasTensor, is_known: KerasTensor) -> KerasTensor:
    """Return what has the logarithm of the known losses' mean as its mean, and as its gradient theirs over that mean.

    Args:
        losses: of images, or of their pixels, 0 where unknown.
        is_known: 1 where an image is known, else 0, of the same shape or one that spreads to it.
    """
    is_known = is_known + ops.zeros_like(losses)
    mean = ops.sum(losses) / ops.maximum(ops.sum(is_known), 1.0)
    mean = ops.stop_gradient(ops.maximum(mean, LEAST_LOSS))
    return losses / mean + is_known * (ops.log(mean) - 1)


def network(tasks: Tasks) -> Network:
    """Return what the tasks add to the graph, together."""
    each = {name: task.network() for name, task in tasks.items()}

    def outputs(question: MultiQuestion, features: Features, scope: str = "") -> dict[str, KerasTensor]:
        return merged(
            {name: one.outputs(question.tasks[name], features, scope + joined(name, "")) for name, one in each.items()}
        )

    def losses(
        question: MultiQuestion,
        stage: Stage | None,
        training: Training,
        distilled: bool,
        known: Targets | None = None,
    ) -> dict[str, keras.losses.Loss]:
        is_relative = stage is not None and question.weighting == "uncertainty"
        found = {
            name: {
                output: OfTheKnown(loss, question.weights.get(name, 1.0), is_relative)
                for output, loss in one.losses(
                    question.tasks[name], stage, training, distilled, part_of(name, known) if known else None
                ).items()
            }
            for name, one in each.items()
        }
        return merged(found)

    def decode(found: dict[str, tf.Tensor], decoder: MultiDecoder) -> dict[str, tf.Tensor]:
        return merged({name: one.decode(part_of(name, found), decoder.tasks[name]) for name, one in each.items()})

    return Network(outputs, losses, decode)
