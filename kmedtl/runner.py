"""One run, from a recipe to a finished run folder. Read it from the top: it is the picture in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import kmedtl
from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.audit import page
from kmedtl.audit.audit import Audit
from kmedtl.data import contact_sheet, splits
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.data.pseudonyms import hide_patients
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.ensemble.teacher import check_teacher
from kmedtl.errors import UserError
from kmedtl.evaluate.out_of_distribution import fit, fit_layout
from kmedtl.explain.features import logits_and_features
from kmedtl.explain.gallery import explained
from kmedtl.export.exporting import LabelledImages, TrainedModel, export
from kmedtl.export.provenance import hashes
from kmedtl.finetune import stages
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.lr_range import RangeTest
from kmedtl.recipe import Evaluation, Export, Recipe, Search, Training
from kmedtl.runs import cross_validation as pooled_results
from kmedtl.runs import result as results
from kmedtl.runs import run_folder
from kmedtl.runs.cross_validation import CrossValidation
from kmedtl.runs.environment import Start, now
from kmedtl.runs.prepare import Prepared, prepare, refuse
from kmedtl.runs.result import Result
from kmedtl.runs.tracking import log_result
from kmedtl.runs.train import build, plan_stages, train, training_job
from kmedtl.system.printable import shown
from kmedtl.tasks.classification.evaluation import Settled, judge, settle
from kmedtl.tasks.classification.prediction_table import answers_of, calibrated, predictions_of
from kmedtl.tasks.classification.summary import shortened

KNOWN_IMAGES = 1000  # of training, that tell what kind of image the model knows
MOST_TOLD = 3  # classes of a split, counted on one line of a terminal


def run(
    recipe: Recipe, out: Path | None = None, log: Callable[[str], None] = print, resume: bool = False
) -> tuple[Result | CrossValidation, Path]:
    """Carry out a recipe; return what it found and the run folder.

    Args:
        out: the folder to make; None: a new one under `saved_models/`.
        log: receives what a person reads, a few lines at a time.
        resume: go on with a run that stopped or was killed, after its last epoch; without `out`: with the youngest one
            of the recipe. It ends with the predictions that it would have ended with.

    Raises:
        UserError: whatever the user can mend; nothing is left half-written.
    """
    start = Start(now(), resume)
    final = run_folder.choose(out, recipe.name, resume)
    with run_folder.building(final, resume, log) as folder:
        log = run_folder.logged(log, folder)
        tf.config.experimental.enable_op_determinism()
        _begin(recipe, folder)
        data = _prepare(recipe)
        page.write(data.audit, data.store, data.manifest, data.table, folder)
        if recipe.data.folds:
            result = _cross_validate(recipe, data, folder, log, start)
        else:
            table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
            result = _train_and_judge(recipe, data, table, folder, log, start)
    return result, final


def _prepare(recipe: Recipe) -> Prepared:
    """Read, audit and decode the images, and refuse what would be trained in vain."""
    build(recipe)  # first of all, so that missing weights or a misspelt block are refused before hours of decoding
    if recipe.distill:
        check_teacher(recipe)
    data = prepare(recipe.data, recipe.seed)
    refuse(data, recipe)
    if recipe.distill:
        check_teacher(recipe, data.manifest.classes)
    return data


def _cross_validate(
    recipe: Recipe, data: Prepared, folder: Path, log: Callable[[str], None], start: Start
) -> CrossValidation:
    """Run once for each fold, in a folder of its own, and pool what the folds say of their tests."""
    found = {}
    divided = splits.folds(data.manifest, data.table, recipe.data.folds, recipe.data.validation, recipe.seed)
    # All at once: a fold that cannot be is refused before the first trains.
    for number, (name, table) in enumerate(list(divided), 1):
        log(f"\n{name}")
        place = folder / f"fold-{number}"  # a site's name may be anything
        place.mkdir(exist_ok=True)
        found[name] = _train_and_judge(recipe, data, table, place, log, Start(now(), start.resumed))
    pooled = pooled_results.pool(found, recipe, start)
    pooled_results.write(pooled, folder)
    return pooled


def _train_and_judge(
    recipe: Recipe, data: Prepared, table: pd.DataFrame, folder: Path, log: Callable[[str], None], start: Start
) -> Result:
    """Train on one division of the images, judge on its test, write everything into `folder`."""
    table, parts = _divided(recipe, data, table)
    log(_describe(data.audit, data.manifest, parts))

    model, recipe, trained = train(recipe, data.manifest.kind, parts, folder, log)

    manifest = replace(data.manifest, table=table)
    pixels = {split: parts[split].pixels() for split in ("val", "test")}
    predictions, kind = _predict(model, recipe, manifest, parts, pixels)
    settled = settle(answers_of(predictions, manifest, "val"), recipe.evaluation, recipe.seed)
    info = _describe_model(recipe, manifest, settled, kind)
    predictions = calibrated(predictions, info)
    test = answers_of(predictions, manifest, "test", settled.thresholds)
    judgement = judge(test, settled, recipe.evaluation, recipe.seed)

    validation = answers_of(predictions, manifest, "val", settled.thresholds)
    seen = LabelledImages(pixels["val"], validation), LabelledImages(pixels["test"], test)
    subject = TrainedModel(model, info, recipe, lambda count: parts["train"].sample(count, recipe.seed), *seen)
    parity = export(subject, folder, recipe.export.formats)
    hidden = data.audit.burned_in  # the text may be a name
    wanted = recipe.evaluation.explain, recipe.evaluation.cases, hidden
    tiles = explained(model, test, settled.thresholds, pixels["test"], *wanted)
    samples = contact_sheet.of_training(parts["train"], manifest, recipe, hidden)

    of_test = predictions, info, settled, judgement, parity
    result = Result(recipe, manifest, data.audit, trained, *of_test, start, tuple(tiles), tuple(samples))
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
        soup=(),
        search=Search(),
        training=replace(recipe.training, **anywhere),
        evaluation=Evaluation(),
        export=Export(),
    )


def find_rate(recipe: Recipe, number: int, log: Callable[[str], None] = print) -> RangeTest:
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
        task = training_job(recipe, *build(recipe, findings), parts, data.manifest.kind, log)
        planned = plan_stages(recipe, len(parts["train"].table), task.blocks, log)
        if not 0 <= number < len(planned):
            raise UserError(f"--stage: expected 0 to {len(planned) - 1}. Received: {number}.")
        return stages.find_rate(task, planned[: number + 1])


def _describe(audit: Audit, manifest: Manifest, data: dict[str, Pipeline]) -> str:
    lines = [f"Data: {audit.source}, {audit.used} of {audit.listed + audit.set_aside} images"]
    lines += [results.SYNTHETIC] if audit.synthetic else []
    for split in SPLITS:
        table = data[split].table
        told = [f"{rows.sum()} {shortened(name, 28)}" for name, rows in manifest.members(table).items()]
        more = f" and {len(told) - MOST_TOLD} more classes" if len(told) > MOST_TOLD else ""
        counts = ", ".join(told[:MOST_TOLD]) + more
        lines.append(f"  {split:<5} {table['patient'].nunique():>5} patients, {len(table):>5} images: {counts}")
    return "\n".join(map(shown, lines + [f"  Note: {warning}" for warning in audit.warnings]))


def _predict(
    model: keras.Model, recipe: Recipe, manifest: Manifest, data: dict[str, Pipeline], pixels: dict[str, np.ndarray]
) -> tuple[pd.DataFrame, OutOfDistribution]:
    """Return logits of validation and test as a table, with which images are of another kind, and what tells that."""
    known = data["train"].sample(KNOWN_IMAGES, recipe.seed)
    found = {split: logits_and_features(model, images) for split, images in pixels.items()}
    features = logits_and_features(model, known)[1]
    kind = replace(fit(features, found["val"][1]), layout=fit_layout(known, pixels["val"]))
    parts = [
        predictions_of(logits, data[split].table, manifest, recipe.evaluation.groups).assign(
            unlike_training=kind.unlike(features, pixels[split]).astype(int)
        )
        for split, (logits, features) in found.items()
    ]
    return pd.concat(parts, ignore_index=True), kind


def _describe_model(recipe: Recipe, manifest: Manifest, settled: Settled, kind: OutOfDistribution) -> ModelInfo:
    return ModelInfo(
        classes=manifest.classes,
        kind=manifest.kind,
        size=recipe.data.size,
        channels=recipe.data.channels,
        calibration=settled.calibration,
        thresholds=settled.thresholds,
        recipe=recipe.name,
        source=manifest.source_name,
        seed=recipe.seed,
        synthetic=manifest.synthetic,
        kmedtl=kmedtl.__version__,
        window=recipe.data.window,
        pixel_offset=recipe.data.pixel_offset,
        out_of_distribution=kind,
        **hashes(recipe, manifest.table),
    )
