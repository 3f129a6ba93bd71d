"""A trained model written to files, each decoder fitted anew, run over the test images and told what became of it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmedtl.data.bags import Bags
from kmedtl.edge import model_info
from kmedtl.edge.litert import LiteRTModel
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.edge.tasks.task import Outputs
from kmedtl.export.formats import FILES, NATIVE, write_all
from kmedtl.export.int8 import Int8Options, QuantizationAttempt, Sample, choose
from kmedtl.export.parity import QUANTIZED, Parity, aborted, failed_gates, parity
from kmedtl.export.runtimes import ModelFile, ask, open_runtime
from kmedtl.export.survival import survives
from kmedtl.recipe import Recipe
from kmedtl.statistics.out_of_distribution import PASSED
from kmedtl.system.progress import progress
from kmedtl.tasks.look import look_of
from kmedtl.tasks.task import Examples, Fit, Task

FORMAT_OF = {file: format for format, file in FILES.items()} | {NATIVE: "keras"}
AS_TRAINED = ("keras", "saved_model")  # they are the model itself, and keep its decoder


@dataclass(frozen=True)
class LabelledImages:
    """Images of a split, with what is known of them and what the model put out.

    Attributes:
        inputs: a row an image or slice.
        examples: a row an image or volume.
        bags: which slices are of which volume.
        held_out: by output what is added to a file's outputs, (N, …), so that they are as if nothing in the model had
            been fitted to these images; see `kmedtl.runs.fusion`. Empty: nothing was.
    """

    inputs: ModelInputs
    examples: Examples
    bags: Bags
    held_out: Outputs = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that its files are made of and measured by.

    Attributes:
        info: with the model's own decoder.
        task, question, fit: what is asked, and what validation chose for the model itself.
        headline: the figure by which files are compared with it.
        sample: returns about so many training images.
        validation: what each file's decoder and quantization are chosen on.
        test: what each file is measured on.
    """

    model: keras.Model
    info: ModelInfo
    recipe: Recipe
    task: Task
    question: Any
    fit: Fit
    headline: str
    sample: Sample
    validation: LabelledImages
    test: LabelledImages


def export(subject: TrainedModel, folder: Path, formats: Collection[str], thorough: bool = False) -> tuple[Parity, ...]:
    """Write `model.keras` and the wanted formats into `folder`; return a row a file.

    Every file carries its own decoder, fitted on validation through the file by the method that the model's was, and
    what it differs by from the model on the test images. Files that miss the recipe's gate are written as well; their
    rows say so.

    Args:
        thorough: choose the int8 file among all ways of `kmedtl.export.int8.choose`; else among those that take
            seconds.
    """
    settings = subject.recipe.export
    chosen: list[QuantizationAttempt] = []

    def int8(saved: Path, whole: bytes) -> bytes:
        ways = Int8Options(saved, whole, subject.sample, settings.calibration_images)
        chosen.extend(choose(ways, lambda file: _on_validation(subject, file, folder / FILES["int8"]), thorough))
        return chosen[-1].file

    decode, decoder, rows = subject.task.network().decode, subject.fit.decoder, []

    def decoded(found: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {} if subject.info.views else decode(found, decoder)  # of one image of several there is no answer

    files = write_all(subject.model, folder, None, formats, decoded, int8)
    for path in progress(files, "Exporting", 1 + len(formats), unit="file"):
        format = FORMAT_OF[path.name]
        if format in QUANTIZED and not survives(path.read_bytes()):
            rows.append(aborted(path, subject.headline, subject.task.drift_titles))
            continue
        runtime = open_runtime(path)
        outputs = subject.test.bags.outputs(ask(runtime, subject.test.inputs, path.name))
        fit, info = (subject.fit, subject.info) if format in AS_TRAINED else fitted(subject, runtime, path, format)[:2]
        row = _compared(subject, subject.test, path, format, outputs, fit)
        row = replace(row, made=_told(chosen) if format == "int8" else "")
        model_info.attach(_described(info, subject, outputs, fit, row), path)
        rows.append(row)
    return tuple(rows)


def fitted(subject: TrainedModel, runtime: ModelFile, path: Path, format: str) -> tuple[Fit, ModelInfo, Parity]:
    """Return what validation says of a file: its decoder, from when on an image is unlike, and how near it comes."""
    known, info = subject.validation, subject.info
    found, settings = ask(runtime, known.inputs, path.name), subject.recipe.evaluation
    outputs = known.bags.outputs(found)
    seen = replace(known.examples, outputs=outputs).shifted(known.held_out)
    fit = subject.task.fit_decoder(subject.question, settings, seen, subject.recipe.seed, subject.fit.decoder)
    row = _compared(subject, known, path, format, outputs, fit)
    kind = info.out_of_distribution
    if kind is not None:
        kind = replace(kind, threshold=float(np.quantile(kind.score(found[FEATURES]), PASSED, method="higher")))
    looked = look_of(seen, fit.decoder, settings.operating_point, kind)
    return fit, replace(info, decoder=fit.decoder, out_of_distribution=kind, validation=looked), row


def _compared(
    subject: TrainedModel, known: LabelledImages, path: Path, format: str, outputs: Outputs, fit: Fit
) -> Parity:
    task = subject.task
    found = task.drift(subject.question, known.examples, subject.fit.decoder, outputs, fit.decoder)
    row = parity(path, subject.headline, found)
    return replace(row, failed_gates=failed_gates(row, format, subject.recipe.export.gate, task.drift_titles))


def _on_validation(subject: TrainedModel, file: bytes, path: Path) -> Parity:
    path.write_bytes(file)
    if not survives(file):
        return aborted(path, subject.headline, subject.task.drift_titles)
    *_, row = fitted(subject, LiteRTModel(path), path, "int8")
    return row


def _told(attempts: list[QuantizationAttempt]) -> str:
    """Return which way was taken, and what the others did on validation."""
    *others, best = attempts
    lost = "; ".join(f"{other.way}: {other.parity.cost[-1]:.4f}" for other in others)
    return best.way + (f" (validation mean difference {best.parity.cost[-1]:.4f}; {lost})" if others else "")


def _described(info: ModelInfo, subject: TrainedModel, outputs: Outputs, fit: Fit, row: Parity) -> ModelInfo:
    examples = replace(subject.test.examples, outputs=outputs)
    figures = subject.task.figures(subject.question, subject.recipe.evaluation, examples, fit.decoder).estimates
    metrics = {
        name: (figure.value, figure.low, figure.high)
        for name, figure in figures.items()
        if not math.isnan(figure.value + figure.low + figure.high)
    }
    known = {name: value for name, value in row.document().items() if value == value and name not in ("file", "made")}
    return replace(info, metrics=metrics, made=row.made, parity=known)
