"""A trained model written to files, each calibrated anew, run over the test images and told what became of it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kmedtl.edge import model_info
from kmedtl.edge.litert import LiteRTModel
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import decide
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.evaluate.out_of_distribution import PASSED
from kmedtl.export.formats import FILES, NATIVE, write_all
from kmedtl.export.int8 import FIRST, Int8Options, QuantizationAttempt, Sample, choose
from kmedtl.export.parity import Parity, compare, failed_gates, size_of
from kmedtl.export.runtimes import ModelFile, open_runtime
from kmedtl.recipe import Recipe
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.evaluation import settle
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import measure

FORMAT_OF = {file: format for format, file in FILES.items()} | {NATIVE: "keras"}
AS_TRAINED = ("keras", "saved_model")  # they are the model itself, and keep its calibration


@dataclass(frozen=True)
class LabelledImages:
    """Images of a split, uint8 (N, size, size, C), and what the model answered to them."""

    images: np.ndarray
    answers: LabelledPredictions


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that its files are made of and measured by.

    Attributes:
        info: with the model's own calibration and operating point.
        sample: returns about so many training images.
        validation: what each file's calibration, operating point and quantization are chosen on.
        test: what each file is measured on.
    """

    model: keras.Model
    info: ModelInfo
    recipe: Recipe
    sample: Sample
    validation: LabelledImages
    test: LabelledImages


def export(subject: TrainedModel, folder: Path, formats: Collection[str], thorough: bool = False) -> tuple[Parity, ...]:
    """Write `model.keras` and the wanted formats into `folder`; return a row a file.

    Every file carries its own calibration and operating point, fitted on validation through the file by the method that
    the model's were, and what it differs by from the model on the test images. Files that miss the recipe's gate are
    written as well; their rows say so.

    Args:
        thorough: choose the int8 file among several ways, see `kmedtl.export.int8.choose`; else take the first, in
            seconds.
    """
    settings, chosen = subject.recipe.export, []
    samples = None if thorough or "int8" not in formats else subject.sample(settings.calibration_images)

    def int8(saved: Path, whole: bytes) -> bytes:
        ways = Int8Options(saved, whole, subject.sample, settings.calibration_images)
        chosen.extend(choose(ways, lambda file: _on_validation(subject, file, folder / FILES["int8"])))
        return chosen[-1].file

    calibration, rows = subject.info.calibration, []
    files = write_all(subject.model, folder, samples, formats, calibration, int8 if thorough else None)
    for path in progress(files, "Exporting", 1 + len(formats), unit="file"):
        format = FORMAT_OF[path.name]
        runtime = open_runtime(path)
        info = subject.info if format in AS_TRAINED else _settled_anew(subject, runtime)
        logits = runtime(subject.test.images)
        row = compare(path.name, size_of(path), subject.test.answers, logits, info)
        made = (_told(chosen) if chosen else FIRST) if format == "int8" else ""
        row = replace(row, made=made, failed_gates=failed_gates(row, format, settings.gate))
        model_info.attach(_described(info, subject, logits, row), path)
        rows.append(row)
    return tuple(rows)


def _settled_anew(subject: TrainedModel, runtime: ModelFile) -> ModelInfo:
    """Return what validation says of a file: calibration, operating point, and from when on an image is unlike."""
    known, info = subject.validation, subject.info
    logits, features = runtime.logits_and_features(known.images)
    evaluation = replace(subject.recipe.evaluation, calibration=info.calibration.method)
    settled = settle(replace(known.answers, logits=logits), evaluation, subject.recipe.seed)
    kind = info.out_of_distribution
    if kind is not None:
        kind = replace(kind, threshold=float(np.quantile(kind.score(features), PASSED, method="higher")))
    return replace(info, calibration=settled.calibration, thresholds=settled.thresholds, out_of_distribution=kind)


def _on_validation(subject: TrainedModel, file: bytes, path: Path) -> Parity:
    path.write_bytes(file)
    runtime, known = LiteRTModel(path), subject.validation
    info = _settled_anew(subject, runtime)
    row = compare(path.name, size_of(path), known.answers, runtime(known.images), info)
    return replace(row, failed_gates=failed_gates(row, "int8", subject.recipe.export.gate))


def _told(attempts: list[QuantizationAttempt]) -> str:
    """Return which way was taken, and what the others did on validation."""
    *others, best = attempts
    lost = "; ".join(f"{other.way}: {other.parity.mean_difference:.4f}" for other in others)
    return best.way + (f" (validation mean |Δp| {best.parity.mean_difference:.4f}; {lost})" if others else "")


def _described(info: ModelInfo, subject: TrainedModel, logits: np.ndarray, row: Parity) -> ModelInfo:
    found = probabilities(logits, info.calibration)
    answers = replace(
        subject.test.answers, logits=logits, probabilities=found, decisions=decide(found, info.thresholds)
    )
    figures = measure(answers, subject.recipe.evaluation.ordered).estimates
    metrics = {
        name: (figure.value, figure.low, figure.high)
        for name, figure in figures.items()
        if not math.isnan(figure.value + figure.low + figure.high)
    }
    parity = {name: value for name, value in asdict(row).items() if value == value and name not in ("file", "made")}
    return replace(info, metrics=metrics, made=row.made, parity=parity)
