"""Mean teacher: answers must agree with those of the average of the weights, to another view of the image.

Tarvainen & Valpola, Mean Teachers Are Better Role Models, NeurIPS 2017: section 2, and appendix B for the ramp-up. The
teacher is the average that `ema` makes, which validation judges and the stage hands on. Unlike there it answers without
dropout, and the views are cached ones, drawn anew for each step: more of them (`views`) are closer to fresh noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.finetune.stage_data import Losses
from kmedtl.finetune.unlabelled_steps import Step, as_inputs, counted_alone
from kmedtl.recipe import Stage
from kmedtl.tasks.task import Targets


class Consistency(keras.losses.Loss):
    """The labels' mean loss, and `weight` times the mean squared difference of student's and teacher's probabilities.

    Targets are (N, 2 · F + 1): labels, the teacher's probabilities, and the share of the weight that counts yet, the
    same for all. Of the first `count` images labels are known; teacher and student are compared on all of them.

    Args:
        probabilities: from logits (N, F) to probabilities.
    """

    def __init__(self, labelled: keras.losses.Loss, count: int, weight: float, probabilities: Callable) -> None:
        super().__init__(name="consistency")
        self.labelled, self.count, self.weight, self.probabilities = labelled, count, weight, probabilities

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        width, count = y_pred.shape[-1], self.count
        labels, taught, counts = y_true[:, :width], y_true[:, width : 2 * width], y_true[:, -1]
        known = counted_alone(self.labelled.call(labels[:count], y_pred[:count]), ops.shape(y_pred)[0])
        apart = ops.mean(ops.square(self.probabilities(y_pred) - taught), axis=-1)
        return ops.concatenate([known, ops.zeros_like(apart[count:])], axis=0) + self.weight * counts * apart


def ramp_up(done: Any, steps: int) -> tf.Tensor:
    """Return exp(−5 (1 − t)²), t being the share of `steps` that are done, at most 1."""
    share = tf.minimum(1.0, tf.cast(done, tf.float32) / max(steps, 1))
    return tf.exp(-5.0 * tf.square(1.0 - share))


def mean_teacher(job: TrainingJob, stage: Stage, suffix: keras.Model, count: int, steps: int) -> Step:
    """Return the step of this objective; its ramp-up is as long as the warm-up of the rate."""
    soft, teacher, warmup = job.soft, Teacher(suffix), round(stage.warmup * steps)

    def before(inputs: tuple, targets: Targets) -> tuple[Any, dict[str, tf.Tensor]]:
        half = len(inputs) // 2
        answers = soft.probabilities(job.question, teacher(as_inputs(inputs[half:])))
        counts = tf.fill((tf.shape(inputs[0])[0], 1), ramp_up(teacher.steps, warmup))
        taught = {name: tf.concat([array, answers[name], counts], axis=1) for name, array in targets.items()}
        return as_inputs(inputs[:half]), taught

    def losses(found: Losses) -> Losses:
        def of(name: str) -> Callable:
            return lambda logits: soft.probabilities(job.question, {name: logits})[name]

        return {name: Consistency(loss, count, stage.unlabelled_weight, of(name)) for name, loss in found.items()}

    return Step(before, losses, teacher.follow)


class Teacher:
    """A model with averages for weights; before there are any, in a range test, it is the student itself."""

    def __init__(self, student: keras.Model) -> None:
        self._student = student
        self._average: MovingAverage | None = None

    def follow(self, average: MovingAverage) -> None:
        """Take the weights of an average from now on."""
        self._average = average

    @property
    def steps(self) -> Any:
        """How many steps are averaged; without an average as many as any ramp-up has."""
        return self._average.steps if self._average else tf.float32.max

    def __call__(self, inputs: Any) -> dict[str, tf.Tensor]:
        student = self._student
        if self._average is None:
            return student(inputs, training=False)
        trainable, others = (
            self._average.of(variables) for variables in (student.trainable_variables, student.non_trainable_variables)
        )
        outputs, _ = student.stateless_call(trainable, others, inputs, training=False)
        return outputs
