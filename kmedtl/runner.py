"""One run, from a recipe to a finished run folder. Read it from the top: it is the picture in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

import kmedtl
from kmedtl import result as results
from kmedtl import run_folder
from kmedtl.backbones.blocks import block_map, select
from kmedtl.data import sources, splits, store
from kmedtl.data.audit import Audit, audit
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import probabilities
from kmedtl.evaluate.calibration import fit_temperature
from kmedtl.evaluate.metrics import judge
from kmedtl.evaluate.operating_point import youden
from kmedtl.export.formats import FILES, write_all
from kmedtl.export.parity import Parity, compare
from kmedtl.finetune.stages import fine_tune, predict_logits
from kmedtl.heads.classification import build_classifier
from kmedtl.recipe import Recipe
from kmedtl.result import Result


def run(recipe: Recipe, out: Path | None = None, say: Callable[[str], None] = print) -> tuple[Result, Path]:
    """Carry out a recipe; return what it found and the run folder.

    Args:
        out: the folder to make; None: a new one under `saved_models/`.
        say: receives what a person reads, a few lines at a time.

    Raises:
        UserError: whatever the user can mend; nothing is left half-written.
    """
    final = run_folder.choose(out, recipe.name)
    with run_folder.building(final) as folder:
        tf.config.experimental.enable_op_determinism()

        # First of all, so that missing weights or a misspelt block are refused before hours of decoding.
        keras.utils.set_random_seed(recipe.seed)
        model = build_classifier(recipe.backbone, recipe.head, recipe.data.size, recipe.data.channels, classes=2)
        blocks = block_map(model, recipe.backbone.name)
        for stage in recipe.stages:
            select(blocks, stage.train)

        manifest = sources.load(recipe.data, recipe.seed)
        if recipe.data.limit:
            manifest = replace(manifest, table=splits.limit(manifest.table, recipe.data.limit, recipe.seed))
        images = store.prepare(manifest.table, recipe.data.size, recipe.data.channels)
        findings, table = audit(manifest, images.facts, recipe.data.max_unreadable)
        table = splits.split(table, manifest.classes, recipe.data.validation, recipe.data.test, recipe.seed)
        data = pipelines(images, table, recipe.data.batch_size)
        say(_describe(findings, data))

        history = fine_tune(model, blocks, recipe.stages, data, recipe.data.augment, recipe.seed)

        predictions = _predict(model, data)
        info = _settle(recipe, manifest, predictions)
        predictions["probability"] = probabilities(predictions["logit"], info.temperature)
        test = predictions[predictions["split"] == "test"]
        metrics = judge(test, info.threshold, recipe.evaluation.resamples, recipe.seed)

        calibration = data["train"].sample(recipe.export.calibration_images, recipe.seed)
        parity = _export(model, info, calibration, data["test"], test["logit"].to_numpy(), folder)

        used = replace(manifest, table=table.drop(columns="record"))
        result = Result(recipe, used, findings, tuple(history), predictions, info, metrics, parity)
        results.write(result, folder)
    return result, final


def _describe(findings: Audit, data: dict[str, Pipeline]) -> str:
    lines = [f"Data: {findings.source}, {findings.used} of {findings.listed} images"]
    lines += [results.SYNTHETIC] if findings.synthetic else []
    for split in SPLITS:
        table = data[split].table
        counts = ", ".join(
            f"{count} {name}" for name, count in zip(findings.images, np.bincount(data[split].labels), strict=True)
        )
        lines.append(f"  {split:<5} {table['patient'].nunique():>5} patients, {len(table):>5} images: {counts}")
    return "\n".join(lines + [f"  Note: {warning}" for warning in findings.warnings])


def _predict(model: keras.Model, data: dict[str, Pipeline]) -> pd.DataFrame:
    """Return the logits of validation and test as a table."""
    columns = ["id", "patient", "split", "label"]
    parts = [data[split].table[columns].assign(logit=predict_logits(model, data[split])) for split in ("val", "test")]
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
    )


def _export(
    model: keras.Model,
    info: ModelInfo,
    calibration: np.ndarray,
    test: Pipeline,
    logits: np.ndarray,
    folder: Path,
) -> tuple[Parity, ...]:
    """Write every format and run each file over the test images."""
    images = test.pixels()
    parity = []
    for path in tqdm(write_all(model, folder, calibration), "Exporting", len(FILES), unit="file", leave=False):
        model_info.attach(info, path)
        parity.append(compare(path, images, test.labels, logits, info))
    return tuple(parity)
