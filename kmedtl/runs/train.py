"""How a recipe becomes a trained model: built, its stages planned, fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from kmedtl.backbones.blocks import HEAD, Block, block_map, set_trainable, unfreeze
from kmedtl.backbones.build import check_backbone
from kmedtl.data.patches import random_patches, tiles
from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.edge.pooling import ATTENTION
from kmedtl.ensemble.soups import average_weights
from kmedtl.ensemble.teacher import with_teacher_targets
from kmedtl.errors import UserError
from kmedtl.finetune import stages
from kmedtl.finetune.batch_norm import adapt
from kmedtl.finetune.block_importance import check_stage
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.finetune.distribution import devices, is_plain
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.presets import AUTO, stages_of
from kmedtl.heads.build import BackboneGraph, build_model
from kmedtl.recipe import CLASSIFIERS, SOUPS, Recipe, Stage
from kmedtl.runs.fusion import in_training
from kmedtl.runs.tracking import tracking
from kmedtl.runs.update.start import begin_with_run
from kmedtl.tasks import task_of


def train(
    recipe: Recipe, question: Any, data: dict[str, Pipeline], folder: Path, log: Callable[[str], None]
) -> tuple[keras.Model, Recipe, Checkpoint | None]:
    """Return the trained model in float32, the recipe with the stages as they turned out, and how it learned.

    Fields that come in after training (`kmedtl.runs.fusion`) are no part of it yet.
    """
    data, fields = in_training(recipe, data)
    if recipe.schedule in CLASSIFIERS:
        log(f"Schedule {recipe.schedule}: no network trains; data.augment and training.* have no effect.")
        with tracking(recipe, folder):
            model, _ = build(recipe, question)
            return _closed_form(recipe)(model, recipe.schedule, data, recipe.seed, log), recipe, None
    if recipe.schedule in SOUPS:
        with tracking(recipe, folder):
            model, _ = build(recipe, question)
            average_weights(model, recipe, question, data, log)
        return model, recipe, None
    with devices(recipe.training), tracking(recipe, folder) as after_epoch:
        learned, parts = on_patches(recipe, data, log)
        model, blocks = build(learned, question, fields)
        if recipe.update.run:
            begin_with_run(model, recipe)
        elif recipe.head.standardise:
            set_trainable(model, blocks, HEAD)
            adapt(model, blocks[-1:], parts["train"])
        planned = plan_stages(learned, len(parts["train"].table), blocks, log)
        job = training_job(learned, model, blocks, parts, question, log)
        trained = stages.fine_tune(replace(job, after_epoch=after_epoch, folder=folder), planned)
        as_built = learned is recipe and is_plain()
    if not as_built:  # of float32, on one device, at the size of whole images
        learned_weights = model.get_weights()
        model, blocks = build(recipe, question, fields)
        model.set_weights(learned_weights)
    unfreeze(model, blocks, "all", "trainable")  # what the last stage froze is no business of the file
    schedule = "stages" if planned else recipe.schedule
    return model, replace(recipe, stages=tuple(trained.stages), schedule=schedule), trained


def on_patches(
    recipe: Recipe, data: dict[str, Pipeline], log: Callable[[str], None]
) -> tuple[Recipe, dict[str, Pipeline]]:
    """Return what a network is built and trained by: with `data.patch`, a recipe of images of that size, and patches.

    Training images give patches at random places, which follow from the seed; validation images the tiles that cover
    them. Without `data.patch` both are what they were.
    """
    side, count = recipe.data.patch, recipe.data.patches
    if not side:
        return recipe, data
    train, validation = random_patches(data["train"], side, count, recipe.seed), tiles(data["val"], side)
    log(
        f"Patches of {side}×{side} pixels: {len(train.table)} of {len(data['train'].table)} training images; "
        f"{len(validation.table)} tiles of {len(data['val'].table)} validation images."
    )
    return replace(recipe, data=replace(recipe.data, size=side, patch=0)), data | {"train": train, "val": validation}


def training_job(
    recipe: Recipe,
    model: keras.Model,
    blocks: Sequence[Block],
    data: dict[str, Pipeline],
    question: Any,
    log: Callable[[str], None],
) -> TrainingJob:
    """Return what fine-tuning is given: the test is no part of it, but that no teacher may know its patients."""
    seen = {split: data[split] for split in ("train", "val")}
    if recipe.distill:
        seen["train"] = with_teacher_targets(recipe, data, log)
    return TrainingJob(
        model,
        blocks,
        seen,
        recipe.data.augment,
        recipe.training,
        recipe.seed,
        task_of(recipe.task),
        question,
        distilled=bool(recipe.distill),
        domain=recipe.data.domain,
        goes_on=bool(recipe.update.run),
        log=log,
        while_gaining=recipe.schedule == AUTO,
        unlabelled=data.get(UNLABELLED),
        evaluation=recipe.evaluation,
    )


def build(
    recipe: Recipe, question: Any, fields: int = 0, on: Callable[[Recipe], BackboneGraph] | None = None
) -> tuple[keras.Model, tuple[Block, ...]]:
    """Return the recipe's model, the same each time, and its blocks.

    Args:
        fields: how many numbers an image come in beside it, in training already.
        on: returns the backbone where it need not be built anew.

    Raises:
        UserError: weights that cannot be had, a block that is not there.
    """
    keras.utils.set_random_seed(recipe.seed)
    network = task_of(recipe.task).network()
    data = recipe.data
    model = build_model(
        recipe.backbone,
        recipe.head,
        data.size,
        data.channels,
        lambda found: network.outputs(question, found),
        fields,
        attends=data.slices == ATTENTION and not recipe.task.is_local,
        views=0 if recipe.task.is_local else len(data.views),
        on=on(recipe) if on else None,
    )
    blocks = block_map(model, recipe.backbone.name)
    for stage in recipe.stages:
        check_stage(stage, blocks)
    return model, blocks


def check_network(recipe: Recipe) -> None:
    """Refuse a network that could not be built or trained, without building it.

    Raises:
        UserError: an unknown backbone or block, weights that cannot be had, an image too small, or a stage that names
            no block.
    """
    backbone, data = recipe.backbone, recipe.data
    size = data.patch or data.size  # the smallest that is built
    names = check_backbone(backbone.name, backbone.weights, backbone.truncate_at, size, data.channels)
    blocks = [Block(name, (), ()) for name in (*names, HEAD)]
    for stage in recipe.stages:
        check_stage(stage, blocks)


def _closed_form(recipe: Recipe) -> Callable[..., keras.Model]:
    """Return what fits the head of a schedule that trains no network.

    Raises:
        UserError: the task has none of that name.
    """
    known = task_of(recipe.task).network().closed_form
    if recipe.schedule not in known:
        others = f" ({', '.join(known)})" if known else ""
        raise UserError(
            f"schedule: expected one that the task {recipe.task.kind} has{others}, or stages. "
            f"Received: {recipe.schedule}."
        )
    return known[recipe.schedule]


def plan_stages(recipe: Recipe, images: int, blocks: Sequence[Block], log: Callable[[str], None]) -> tuple[Stage, ...]:
    """Return the recipe's stages, or those that its schedule makes of so many training images."""
    if recipe.schedule in ("stages", "untrained"):
        return recipe.stages
    planned = stages_of(recipe.schedule, images, recipe.data.batch_size, blocks)
    listed = "; ".join(f"{stage.name} ({stage.train}) {stage.epochs} epochs" for stage in planned)
    until = ", as long as each gains on validation" if recipe.schedule == AUTO else ""
    log(f"Schedule ({recipe.schedule}) for {images} training images{until}: {listed}")
    return planned
