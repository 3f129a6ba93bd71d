"""The learning rate of a stage, found by a range test before a run is made."""

from __future__ import annotations

from collections.abc import Callable

from kmedtl.data import splits
from kmedtl.errors import UserError
from kmedtl.finetune import stages
from kmedtl.finetune.determinism import deterministic
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.lr_range import RangeTest
from kmedtl.recipe import Recipe
from kmedtl.runs.divide import divided
from kmedtl.runs.fusion import in_training
from kmedtl.runs.prepare import prepare_run
from kmedtl.runs.train import build, on_patches, plan_stages, training_job


def find_rate(recipe: Recipe, number: int, log: Callable[[str], None] = print) -> RangeTest:
    """Train the stages before `number`, and return its range test.

    Raises:
        UserError: no such stage, or what `run` refuses.
    """
    data = prepare_run(recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = divided(recipe, data, table)
    with deterministic(), devices(recipe.training):
        parts, fields = in_training(recipe, parts)
        learned, parts = on_patches(recipe, parts, log)
        job = training_job(learned, *build(learned, data.question, fields), parts, data.question, log)
        planned = plan_stages(learned, len(parts["train"].table), job.blocks, log)
        if not 0 <= number < len(planned):
            raise UserError(f"--stage: expected 0 to {len(planned) - 1}. Received: {number}.")
        return stages.find_rate(job, planned[: number + 1])
