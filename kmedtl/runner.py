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
from kmedtl.edge.predictor import probabilities
from kmedtl.errors import UserError
from kmedtl.evaluate.calibration import fit_temperature
from kmedtl.evaluate.metrics import judge
from kmedtl.evaluate.operating_point import youden
from kmedtl.export.formats import write_all
from kmedtl.export.parity import Parity, compare
from kmedtl.finetune import stages
from kmedtl.finetune.classifiers import fit_classifier
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.importance import check_stage
from kmedtl.finetune.presets import pick, stages_of
from kmedtl.finetune.range_test import suggest
from kmedtl.finetune.sources import predict_logits
from kmedtl.finetune.state import State
from kmedtl.finetune.task import Task
from kmedtl.heads.classification import build_classifier
from kmedtl.pooled import Pooled
from kmedtl.prepare import Prepared, prepare
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
        _build(recipe)  # first of all, so that missing weights or a misspelt block are refused before hours of decoding

        data = prepare(recipe.data, recipe.seed)
        _refuse(data, recipe)
        page.write(data.audit, data.store, data.table, folder)
        if recipe.data.folds:
            result = _cross_validate(recipe, data, folder, say)
        else:
            table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
            result = _train_and_judge(recipe, data, table, folder, say)
    return result, final


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

    model, recipe, learned = _learn(recipe, parts, folder, say)

    predictions = _predict(model, parts)
    info = _settle(recipe, data.manifest, predictions)
    predictions["probability"] = probabilities(predictions["logit"], info.temperature)
    test = predictions[predictions["split"] == "test"]
    metrics = judge(test, info.threshold, recipe.evaluation.resamples, recipe.seed)

    calibration = parts["train"].sample(recipe.export.calibration_images, recipe.seed)
    parity = _export(model, info, calibration, recipe.export.formats, parts["test"], test, folder)

    used = replace(data.manifest, table=table)
    result = Result(recipe, used, data.audit, learned, predictions, info, metrics, parity)
    results.write(result, folder)
    log_result(recipe, folder, {name: estimate.value for name, estimate in metrics.estimates.items()})
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
    recipe: Recipe, data: dict[str, Pipeline], folder: Path, say: Callable[[str], None]
) -> tuple[keras.Model, Recipe, State | None]:
    """Return the trained model in float32, the recipe with the stages as they turned out, and how it learned."""
    if recipe.schedule in CLASSIFIERS:
        with tracking(recipe, folder):
            model, _ = _build(recipe)
            return fit_classifier(model, recipe.schedule, data, recipe.seed, say), recipe, None
    with devices(recipe.training), tracking(recipe, folder) as after_epoch:
        model, blocks = _build(recipe)
        planned = _stages(recipe, len(data["train"].table), blocks, say)
        task = replace(_task(recipe, model, blocks, data, say), after_epoch=after_epoch, folder=folder)
        learned = stages.fine_tune(task, planned)
    whole, _ = _build(recipe)  # of float32, on one device
    whole.set_weights(model.get_weights())
    schedule = "stages" if planned else recipe.schedule
    return whole, replace(recipe, stages=tuple(learned.stages), schedule=schedule), learned


def _task(
    recipe: Recipe,
    model: keras.Model,
    blocks: Sequence[Block],
    data: dict[str, Pipeline],
    say: Callable[[str], None],
) -> Task:
    """Return what fine-tuning is given: the test is no part of it."""
    seen = {split: data[split] for split in ("train", "val")}
    return Task(model, blocks, seen, recipe.data.augment, recipe.training, recipe.seed, say)


def find_rate(
    recipe: Recipe, number: int, say: Callable[[str], None] = print
) -> tuple[list[float], list[float], float]:
    """Train the stages before `number`, and return its range test: rates, smoothed losses, the rate to choose.

    Raises:
        UserError: no such stage, or what `run` refuses.
    """
    tf.config.experimental.enable_op_determinism()
    _build(recipe)
    data = prepare(recipe.data, recipe.seed)
    _refuse(data, recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = _divided(recipe, data, table)
    with devices(recipe.training):
        task = _task(recipe, *_build(recipe), parts, say)
        planned = _stages(recipe, len(parts["train"].table), task.blocks, say)
        if not 0 <= number < len(planned):
            raise UserError(f"--stage: expected 0 to {len(planned) - 1}. Received: {number}.")
        rates, losses = stages.find_rate(task, planned[: number + 1])
    return rates, losses, suggest(rates, losses)


def _build(recipe: Recipe) -> tuple[keras.Model, tuple[Block, ...]]:
    keras.utils.set_random_seed(recipe.seed)
    model = build_classifier(recipe.backbone, recipe.head, recipe.data.size, recipe.data.channels, findings=1)
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
    if len(manifest.findings) != 1:
        raise UserError(
            f"{manifest.source}: a run answers one question, yes or no. Received: {', '.join(manifest.classes)}; set "
            "data.classes to two classes, or to one finding of several."
        )
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


def _predict(model: keras.Model, data: dict[str, Pipeline]) -> pd.DataFrame:
    """Return the logits of validation and test as a table."""
    columns = ["id", "patient", "split", "label"]
    parts = [
        data[split].table[columns].assign(logit=predict_logits(model, data[split])[:, 0]) for split in ("val", "test")
    ]
    return pd.concat(parts, ignore_index=True)


def _settle(recipe: Recipe, manifest: Manifest, predictions: pd.DataFrame) -> ModelInfo:
    """Fit the temperature and choose the operating point, both on validation."""
    validation = predictions[predictions["split"] == "val"]
    labels, logits = validation["label"].to_numpy(), validation["logit"].to_numpy()
    temperature = fit_temperature(logits, labels)
    return ModelInfo(
        classes=manifest.classes,
        size=recipe.data.size,
        channels=recipe.data.channels,
        temperature=temperature,
        threshold=youden(labels, probabilities(logits, temperature)),
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
    predictions: pd.DataFrame,
    folder: Path,
) -> tuple[Parity, ...]:
    """Write the wanted formats and run each file over the test images."""
    images, labels, logits = test.pixels(), predictions["label"].to_numpy(), predictions["logit"].to_numpy()
    files, parity = write_all(model, folder, calibration, formats), []
    for path in tqdm(files, "Exporting", 1 + len(formats), unit="file", leave=False):
        model_info.attach(info, path)
        parity.append(compare(path, images, labels, logits, info))
    return tuple(parity)
