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


class OfTheKnown(keras.losses.Loss):
    """The loss of a task times its weight, 0 for images of which the task knows nothing."""

    def __init__(self, of_task: keras.losses.Loss, weight: float) -> None:
        super().__init__(name="of_the_known")
        self.of_task, self.weight = of_task, weight

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        y_true = ops.cast(y_true, y_pred.dtype)
        inner = tuple(range(1, len(y_true.shape)))
        told = ops.logical_and(ops.not_equal(y_true, UNKNOWN), ops.not_equal(y_true, UNKNOWN_MASK))
        known = ops.any(told, axis=inner, keepdims=True)
        each = self.of_task.call(ops.where(known, y_true, 0.0), y_pred)
        return self.weight * each * ops.cast(ops.squeeze(known, axis=inner), each.dtype)


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
        found = {
            name: {
                output: OfTheKnown(loss, question.weights.get(name, 1.0))
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
