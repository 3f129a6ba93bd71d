"""Which blocks a new task asks to change: the size of their gradient beside that of their weights.

The relative gradient norm ‖∇L‖ / ‖w‖ of a block is the criterion of Auto-RGN (Lee et al., Surgical Fine-Tuning Improves
Adaptation to Distribution Shifts, 2023, section 4). It needs one backward pass, where undoing each block's update would
need the updates first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kmedtl.backbones.blocks import HEAD, Block, select, set_trainable, trainable_kernels
from kmedtl.data.pipeline import Variation
from kmedtl.errors import UserError
from kmedtl.finetune.job import TrainingJob
from kmedtl.recipe import Stage
from kmedtl.system.progress import progress

BATCHES = 8  # of validation; a gradient's size needs no more


def is_adaptive(stage: Stage) -> bool:
    """Say whether a stage chooses its blocks when it begins."""
    return stage.train.startswith("adaptive")


def check_stage(stage: Stage, blocks: Sequence[Block]) -> None:
    """Refuse a stage that names no block, before anything trains.

    Raises:
        UserError: no such block, `adaptive` without a number, or more blocks than there are.
    """
    if is_adaptive(stage):
        _wanted(stage, blocks)
    else:
        select(blocks, stage.train)


def _wanted(stage: Stage, blocks: Sequence[Block]) -> int:
    most = len(blocks) - 1
    wanted = re.fullmatch(r"adaptive:(\d+)", stage.train)
    if not wanted or not 1 <= int(wanted[1]) <= most:
        raise UserError(
            f"stage {stage.name}: train: expected adaptive:1 to adaptive:{most}, the number of blocks. "
            f"Received: {stage.train!r}."
        )
    return int(wanted[1])


def most_important(job: TrainingJob, stage: Stage) -> tuple[str, dict[str, float]]:
    """Return what an adaptive stage trains, such as `block3,block7,head`, and each backbone block's importance."""
    importance = relative_gradient_norms(job)
    ranked = sorted(importance, key=importance.__getitem__, reverse=True)[: _wanted(stage, job.blocks)]
    return ",".join([*(name for name in importance if name in ranked), HEAD]), importance


def relative_gradient_norms(job: TrainingJob) -> dict[str, float]:
    """Return ‖∇L‖ / ‖w‖ of the kernels of each block of the backbone, from input to output, on validation."""
    model, images = job.model, job.data["val"]
    set_trainable(model, job.blocks, "all")
    losses = job.losses()
    kernels = trainable_kernels(model, job.blocks[:-1])
    flat = [variable.value for block in kernels.values() for variable in block]

    @tf.function
    def gradients(pixels: tf.Tensor, targets: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = model(pixels, training=False)
            value = sum(loss(targets[name], outputs[name]) for name, loss in losses.items())
        return tape.gradient(value, flat)

    steps = min(BATCHES, images.steps)
    batches = images.epoch(0, Variation()).take(steps)
    total = [np.zeros(variable.shape) for variable in flat]
    for pixels, targets, _ in progress(batches, "importance", steps, unit="step"):
        total = [past + gradient.numpy() for past, gradient in zip(total, gradients(pixels, targets), strict=True)]
    found = iter(total)
    return {
        name: _norm([next(found) / steps for _ in block]) / max(_norm([v.numpy() for v in block]), 1e-12)
        for name, block in kernels.items()
    }


def _norm(arrays: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array)) for array in arrays)))
