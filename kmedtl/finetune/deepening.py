"""Whether a further, deeper stage is worth its time: by what the last one gained, and by the minutes that are left.

A stage gained something if the headline figure of validation rose by more than the standard error of that difference,
paired by image and with patients as the unit: the rule of one standard error (Breiman et al., Classification and
Regression Trees, 1984, section 3.4.3). What a stage will take is reckoned from its multiplications, at the rate that
the stages before it reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import numpy as np

from kmedtl.edge.tasks.task import Outputs
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.stage_plan import Plan
from kmedtl.statistics.confidence import Estimate, Z
from kmedtl.tasks.task import Examples

BACKWARD = 2  # times the multiplications of a forward pass
LEAST_EPOCHS = 2  # that a stage must have time for


def gain_of(job: TrainingJob, before: Outputs, after: Outputs) -> Estimate:
    """Return the headline figure of validation after a stage minus that before it, paired by image."""
    asked, (then, now) = job.question, (validation_examples(job, outputs) for outputs in (before, after))
    plain = job.task.plain(asked)
    return job.task.gain(asked, now, [then], plain, plain)


def is_worth_more(gain: Estimate) -> bool:
    """Say whether a gain is beyond its own noise, one standard error."""
    return not math.isnan(gain.low) and gain.value > (gain.high - gain.low) / 2 / Z


def epochs_within(job: TrainingJob, state: Checkpoint, once: float, epoch: float) -> int:
    """Return for how many epochs of the current stage `training.minutes` have time left.

    Args:
        once, epoch: its multiplications, see `work_of`.
    """
    if not job.training.minutes:
        return state.stage.epochs
    left = (60 * job.training.minutes - state.seconds) * state.work / state.seconds - once
    return min(state.stage.epochs, max(0, math.floor(left / epoch)))


def work_of(job: TrainingJob, planned: Plan) -> tuple[float, float]:
    """Return the multiplications of a stage's pass through the frozen part, and those of an epoch."""
    images, *others = (len(job.data[name].table) for name in ("train", *job.data.keys() - {"train"}))
    validation = sum(others)
    if planned.cut is None:
        return 0.0, multiplications(job.model) * ((1 + BACKWARD) * images + validation)
    once = multiplications(planned.cut.prefix) * (planned.views * images + validation)
    return once, multiplications(planned.cut.suffix) * ((1 + BACKWARD) * images + validation)


def multiplications(model: keras.Model) -> float:
    """Return those of a forward pass of one image: of each kernel, its size times the places that it is applied at."""
    return float(
        sum(
            np.prod(layer.output.shape[1:-1]) * np.prod(layer.kernel.shape)
            for layer in model.layers
            if getattr(layer, "kernel", None) is not None
        )
    )


def validation_examples(job: TrainingJob, outputs: Mapping[str, np.ndarray]) -> Examples:
    """Return the validation images with what the model put out for them; of slices, their volumes."""
    part = job.data["val"]
    bags, targets = part.bags, part.bags.known(part.targets)
    table = bags.table(part.table)
    ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
    return Examples(ids, patients, targets, bags.outputs(outputs), table[list(job.task.columns)])
