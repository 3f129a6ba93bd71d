"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.images.decode import Facts, decode_all
from kmedtl.images.reading import Reading

Runtime = Callable[[np.ndarray], np.ndarray]  # uint8 (N, size, size, C) → logits float32 (N, findings)
NOTHING = "none"  # the decision where no finding is called


@dataclass(frozen=True)
class Model:
    """What answers, and what it says of itself.

    Attributes:
        runtime: runs it.
        reading: how a file becomes the pixels that it takes.
        info: None of a file that kmedtl did not write: its answers are raw outputs.
    """

    runtime: Runtime
    reading: Reading
    info: ModelInfo | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        image: the path as given.
        probabilities: of each finding, 0–1, calibrated; empty where the file could not be read.
        decision: the class at the operating point; of several findings those called, or `none`; None likewise.
        unlike_training: the score of `OutOfDistribution`; None where model or runtime have nothing to tell it by.
        out_of_distribution: the image is of another kind, so the answer says nothing. None likewise.
        logits: of a model without metadata only: its output, which nothing turns into probabilities.
        error: why there is no answer, or None.
        explanation: the file that shows which places the answer rests on, if one was asked for.
        dicom_report: the DICOM files that tell the answer, likewise.
    """

    image: str
    probabilities: dict[str, float] = field(default_factory=dict)
    decision: str | None = None
    unlike_training: float | None = None
    out_of_distribution: bool | None = None
    logits: tuple[float, ...] | None = None
    error: str | None = None
    explanation: str | None = None
    dicom_report: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ImageResult:
    """A prediction with what it was made of: the `pixels`, uint8 (size, size, C), are None where unreadable."""

    prediction: Prediction
    facts: Facts
    pixels: np.ndarray | None


def predict(runtime: Runtime, info: ModelInfo, paths: Sequence[str | Path]) -> Iterator[Prediction]:
    """Yield a prediction for each file, in order; an unreadable one is answered with its reason."""
    for seen in predict_files(Model(runtime, info.reading, info), [str(path) for path in paths]):
        yield seen.prediction


def predict_files(model: Model, paths: Sequence[str]) -> Iterator[ImageResult]:
    """Yield the prediction for each file, in order, with its pixels; shows a progress bar.

    Files are decoded in processes that may die of them (`kmedtl.images.workers`): a damaged one takes neither the time
    nor the memory of the others.
    """
    decoded = decode_all([(path, None) for path in paths], model.reading)
    for path, (facts, pixels) in zip(paths, decoded, strict=True):
        yield ImageResult(
            Prediction(path, error=facts.error) if pixels is None else answer_pixels(model, path, pixels), facts, pixels
        )


def decide(found: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return which findings are called, bool (N, F), of probabilities (N, F).

    Args:
        thresholds: a finding is called from its threshold on; none: the most probable is.
    """
    if len(thresholds):
        return found >= np.array(thresholds)
    return np.arange(found.shape[1]) == found.argmax(axis=1)[:, None]


def answer_pixels(model: Model, name: str, pixels: np.ndarray) -> Prediction:
    """Return the prediction for an image, uint8 (size, size, C), that is called `name`."""
    if model.info is None:
        return Prediction(name, logits=tuple(model.runtime(pixels[None])[0].tolist()))
    logits, *features = _outputs(model.runtime, model.info, pixels[None])
    found = probabilities(logits, model.info.calibration)
    if not all(np.isfinite(numbers).all() for numbers in (found, *features)):  # else it would count as below thresholds
        return Prediction(name, error="the model answers with what is no number")
    said = dict(zip(model.info.findings, found[0].tolist(), strict=True))
    decision = _named(decide(found, model.info.thresholds)[0], model.info)
    if not features:
        return Prediction(name, said, decision)
    known = model.info.out_of_distribution
    return Prediction(
        name, said, decision, float(known.score(*features)[0]), bool(known.unlike(*features, pixels[None])[0])
    )


def _outputs(runtime: Runtime, info: ModelInfo, images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the logits, and the features where the runtime has them and the model knows what they were in training."""
    tells = hasattr(runtime, "logits_and_features") and getattr(runtime, "has_features", True)
    return runtime.logits_and_features(images) if info.out_of_distribution and tells else (runtime(images),)


def _named(called: np.ndarray, info: ModelInfo) -> str:
    if info.kind == "binary":
        return info.classes[int(called[0])]
    return ", ".join(name for name, is_called in zip(info.findings, called, strict=True) if is_called) or NOTHING
