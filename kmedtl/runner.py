"""One run, from a recipe to a finished run folder. Read it from the top: it is the picture in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

import kmedtl
from kmedtl import config, run_folder
from kmedtl import pooled as pooled_results
from kmedtl import recipe as recipes
from kmedtl import result as results
from kmedtl.audit import page
from kmedtl.audit.audit import Audit
from kmedtl.backbones.blocks import Block, block_map
from kmedtl.data import splits
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.data.pseudonyms import hide_patients
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.errors import UserError, nearest
from kmedtl.evaluate.answers import Answers
from kmedtl.evaluate.judgement import Settled, judge, settle
from kmedtl.export.formats import write_all
from kmedtl.export.parity import Parity, compare
from kmedtl.finetune import stages
from kmedtl.finetune.classifiers import fit_classifier
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.importance import check_stage
from kmedtl.finetune.presets import pick, stages_of
from kmedtl.finetune.range_test import RangeTest
from kmedtl.finetune.sources import predict_logits
from kmedtl.finetune.state import State
from kmedtl.finetune.task import Task
from kmedtl.heads.classification import build_classifier
from kmedtl.pooled import Pooled
from kmedtl.predictions import answers_of, calibrated, predictions_of
from kmedtl.prepare import Prepared, prepare
from kmedtl.question import Kind
from kmedtl.recipe import CLASSIFIERS, Evaluation, Export, Recipe, Stage, Training
from kmedtl.result import Result
from kmedtl.tracking import log_result, tracking


def run(
    recipe: Recipe, out: Path | None = None, say: Callable[[str], None] = print, resume: bool = False
) -> tuple[Result | Pooled, Path]:
    """Carry out a recipe; return what it found and the run folder.

    Args:
        out: the folder to make; None: a new one under `saved_models/`.
        say: receives what a person reads, a few lines at a time.
        resume: go on with a run that stopped or was killed, after its last epoch; without `out`: with the youngest one
            of the recipe. It ends with the predictions that it would have ended with.

    Raises:
        UserError: whatever the user can mend; nothing is left half-written.
    """
    final = run_folder.choose(out, recipe.name, resume)
    with run_folder.building(final, resume, say) as folder:
        tf.config.experimental.enable_op_determinism()
        _begin(recipe, folder)
        data = _prepare(recipe)
        page.write(data.audit, data.store, data.table, folder)
        if recipe.data.folds:
            result = _cross_validate(recipe, data, folder, say)
        else:
            table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
            result = _train_and_judge(recipe, data, table, folder, say)
    return result, final


def _prepare(recipe: Recipe) -> Prepared:
    """Read, audit and decode the images, and refuse what would be trained in vain."""
    _build(recipe)  # first of all, so that missing weights or a misspelt block are refused before hours of decoding
    data = prepare(recipe.data, recipe.seed)
    _refuse(data, recipe)
    return data


def _cross_validate(recipe: Recipe, data: Prepared, folder: Path, say: Callable[[str], None]) -> Pooled:
    """Run once for each fold, in a folder of its own, and pool what the folds say of their tests."""
    found = {}
    divided = splits.folds(data.manifest, data.table, recipe.data.folds, recipe.data.validation, recipe.seed)
    # All at once: a fold that cannot be is refused before the first trains.
    for number, (name, table) in enumerate(list(divided), 1):
        say(f"\n{name}")
        place = folder / f"fold-{number}"  # a site's name may be anything
        place.mkdir(exist_ok=True)
        found[name] = _train_and_judge(recipe, data, table, place, say)
    pooled = pooled_results.pool(found, recipe)
    pooled_results.write(pooled, folder)
    return pooled


def _train_and_judge(
    recipe: Recipe, data: Prepared, table: pd.DataFrame, folder: Path, say: Callable[[str], None]
) -> Result:
    """Train on one division of the images, judge on its test, write everything into `folder`."""
    table, parts = _divided(recipe, data, table)
    say(_describe(data.audit, data.manifest, parts))

    model, recipe, learned = _learn(recipe, data.manifest.kind, parts, folder, say)

    manifest = replace(data.manifest, table=table)
    predictions = _predict(model, manifest, parts, recipe.evaluation.groups)
    settled = settle(answers_of(predictions, manifest, "val"), recipe.evaluation, recipe.seed)
    info = _describe_model(recipe, manifest, settled)
    predictions = calibrated(predictions, info)
    test = answers_of(predictions, manifest, "test", settled.thresholds)
    judgement = judge(test, settled, recipe.evaluation, recipe.seed)

    samples = parts["train"].sample(recipe.export.calibration_images, recipe.seed)
    parity = _export(model, info, samples, recipe.export.formats, parts["test"], test, folder)

    result = Result(recipe, manifest, data.audit, learned, predictions, info, settled, judgement, parity)
    results.write(result, folder)
    log_result(recipe, folder, {name: estimate.value for name, estimate in result.metrics.estimates.items()})
    return result


def _divided(recipe: Recipe, data: Prepared, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Pipeline]]:
    """Return the table of what is used, patients hidden, and a pipeline a split."""
    if recipe.data.train_limit:
        table = splits.limit_training(table, recipe.data.train_limit, recipe.seed)
    if not (recipe.data.keep_ids or data.manifest.synthetic):
        table = hide_patients(table)  # last, so that no choice depends on the salt
    return table, pipelines(data.store, data.manifest, table, recipe.data.batch_size)


def _begin(recipe: Recipe, folder: Path) -> None:
    """Write the recipe; where the folder has one already, see that it is the same up to stages and what follows them.

    Raises:
        UserError: the run began with other settings.
    """
    path = folder / "recipe.yaml"
    if path.is_file():
        began = recipes.read(path)
        changed = config.differences(_unchangeable(began), _unchangeable(recipe))
        if changed:
            name, (before, now) = next(iter(changed.items()))
            raise UserError(
                f"--resume: the run began with {name}={before}. Received: {now}; give the same settings, or leave "
                "--resume out."
            )
    recipes.write(recipe, path)


def _unchangeable(recipe: Recipe) -> Recipe:
    """Return what a run that goes on must have in common with its beginning; stages are looked at later."""
    anywhere = {name: getattr(Training(), name) for name in ("cache_gigabytes", "tensorboard", "mlflow")}
    return replace(
        recipe,
        stages=(),
        schedule="untrained",
        training=replace(recipe.training, **anywhere),
        evaluation=Evaluation(),
        export=Export(),
    )


def _learn(
    recipe: Recipe, kind: Kind, data: dict[str, Pipeline], folder: Path, say: Callable[[str], None]
) -> tuple[keras.Model, Recipe, State | None]:
    """Return the trained model in float32, the recipe with the stages as they turned out, and how it learned."""
    findings = data["train"].targets.shape[1]
    if recipe.schedule in CLASSIFIERS:
        say(f"Schedule {recipe.schedule}: no network trains; data.augment and training.* have no effect.")
        with tracking(recipe, folder):
            model, _ = _build(recipe, findings)
            return fit_classifier(model, recipe.schedule, data, recipe.seed, say), recipe, None
    with devices(recipe.training), tracking(recipe, folder) as after_epoch:
        model, blocks = _build(recipe, findings)
        planned = _stages(recipe, len(data["train"].table), blocks, say)
        task = replace(_task(recipe, model, blocks, data, kind, say), after_epoch=after_epoch, folder=folder)
        learned = stages.fine_tune(task, planned)
    whole, _ = _build(recipe, findings)  # of float32, on one device
    whole.set_weights(model.get_weights())
    schedule = "stages" if planned else recipe.schedule
    return whole, replace(recipe, stages=tuple(learned.stages), schedule=schedule), learned


def _task(
    recipe: Recipe,
    model: keras.Model,
    blocks: Sequence[Block],
    data: dict[str, Pipeline],
    kind: Kind,
    say: Callable[[str], None],
) -> Task:
    """Return what fine-tuning is given: the test is no part of it."""
    seen = {split: data[split] for split in ("train", "val")}
    return Task(model, blocks, seen, recipe.data.augment, recipe.training, recipe.seed, kind, say)


def find_rate(recipe: Recipe, number: int, say: Callable[[str], None] = print) -> RangeTest:
    """Train the stages before `number`, and return its range test.

    Raises:
        UserError: no such stage, or what `run` refuses.
    """
    tf.config.experimental.enable_op_determinism()
    data = _prepare(recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = _divided(recipe, data, table)
    with devices(recipe.training):
        findings = len(data.manifest.findings)
        task = _task(recipe, *_build(recipe, findings), parts, data.manifest.kind, say)
        planned = _stages(recipe, len(parts["train"].table), task.blocks, say)
        if not 0 <= number < len(planned):
            raise UserError(f"--stage: expected 0 to {len(planned) - 1}. Received: {number}.")
        return stages.find_rate(task, planned[: number + 1])


def _build(recipe: Recipe, findings: int = 1) -> tuple[keras.Model, tuple[Block, ...]]:
    keras.utils.set_random_seed(recipe.seed)
    model = build_classifier(recipe.backbone, recipe.head, recipe.data.size, recipe.data.channels, findings)
    blocks = block_map(model, recipe.backbone.name)
    for stage in recipe.stages:
        check_stage(stage, blocks)
    return model, blocks


def _stages(recipe: Recipe, images: int, blocks: Sequence[Block], say: Callable[[str], None]) -> tuple[Stage, ...]:
    """Return the recipe's stages, or those that its schedule makes of so many training images."""
    if recipe.schedule in ("stages", "untrained"):
        return recipe.stages
    planned = stages_of(recipe.schedule, images, recipe.data.batch_size, blocks)
    name = f"auto, {pick(images)}" if recipe.schedule == "auto" else recipe.schedule
    said = "; ".join(f"{stage.name} ({stage.train}) {stage.epochs} epochs" for stage in planned)
    say(f"Schedule ({name}) for {images} training images: {said}")
    return planned


def _refuse(data: Prepared, recipe: Recipe) -> None:
    """Refuse what would be trained in vain."""
    manifest, leaks = data.manifest, data.audit.leaks
    for column in recipe.evaluation.groups:
        if column not in manifest.table:
            raise UserError(f"evaluation.groups: {nearest(column, list(manifest.table))}")
    if leaks and not recipe.data.allow_leakage:
        raise UserError(
            f"{manifest.source}: patients or pictures in two of its splits: {len(leaks)}, first: "
            f"{' and '.join(leaks[0])}; the test would measure memory. Move them to one split, empty the split column, "
            "or say --set data.allow_leakage=true; `kmedtl audit` shows them all."
        )


def _describe(audit: Audit, manifest: Manifest, data: dict[str, Pipeline]) -> str:
    lines = [f"Data: {audit.source}, {audit.used} of {audit.listed} images"]
    lines += [results.SYNTHETIC] if audit.synthetic else []
    for split in SPLITS:
        table = data[split].table
        counts = ", ".join(f"{rows.sum()} {name}" for name, rows in manifest.members(table).items())
        lines.append(f"  {split:<5} {table['patient'].nunique():>5} patients, {len(table):>5} images: {counts}")
    return "\n".join(lines + [f"  Note: {warning}" for warning in audit.warnings])


def _predict(model: keras.Model, manifest: Manifest, data: dict[str, Pipeline], groups: Sequence[str]) -> pd.DataFrame:
    """Return the logits of validation and test as a table."""
    parts = [
        predictions_of(predict_logits(model, data[split]), data[split].table, manifest, groups)
        for split in ("val", "test")
    ]
    return pd.concat(parts, ignore_index=True)


def _describe_model(recipe: Recipe, manifest: Manifest, settled: Settled) -> ModelInfo:
    return ModelInfo(
        classes=manifest.classes,
        kind=manifest.kind,
        size=recipe.data.size,
        channels=recipe.data.channels,
        calibration=settled.calibration,
        thresholds=settled.thresholds,
        recipe=recipe.name,
        source=manifest.source,
        seed=recipe.seed,
        synthetic=manifest.synthetic,
        kmedtl=kmedtl.__version__,
        window=recipe.data.window,
    )


def _export(
    model: keras.Model,
    info: ModelInfo,
    calibration: np.ndarray,
    formats: Sequence[str],
    test: Pipeline,
    answers: Answers,
    folder: Path,
) -> tuple[Parity, ...]:
    """Write the wanted formats and run each file over the test images."""
    images = test.pixels()
    files, parity = write_all(model, folder, calibration, formats), []
    for path in tqdm(files, "Exporting", 1 + len(formats), unit="file", leave=False):
        model_info.attach(info, path)
        parity.append(compare(path, images, answers.targets, answers.logits, info))
    return tuple(parity)
