"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Answer, Outputs
from kmedtl.images.decode import Facts, decode_all
from kmedtl.images.reading import Reading

Runtime = Callable[[np.ndarray], Outputs]  # of uint8 (N, size, size, C)


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
        answer: of the model's task; None where the file could not be read, or of a model without metadata.
        unlike_training: the score of `OutOfDistribution`; None where model or runtime have nothing to tell it by.
        out_of_distribution: the image is of another kind, so the answer says nothing. None likewise.
        outputs: of a model without metadata only: its first output, which nothing turns into an answer.
        error: why there is no answer, or None.
        explanation: the file that shows which places the answer rests on, if one was asked for.
        masks: the files of its masks, likewise.
        dicom_seg: the DICOM file of its masks, likewise.
        dicom_report: the DICOM files that tell the answer, likewise.
    """

    image: str
    answer: Answer | None = None
    unlike_training: float | None = None
    out_of_distribution: bool | None = None
    outputs: tuple[float, ...] | None = None
    error: str | None = None
    explanation: str | None = None
    masks: tuple[str, ...] | None = None
    dicom_seg: str | None = None
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
        if pixels is None:
            yield ImageResult(Prediction(path, error=facts.error), facts, None)
            continue
        size, spacing = (facts.width, facts.height), (facts.row_spacing, facts.column_spacing)
        yield ImageResult(answer_pixels(model, path, pixels, size, spacing), facts, pixels)


def _answer(outputs: Outputs, info: ModelInfo, size: tuple[int, int], spacing: tuple[float, float]) -> Answer:
    if info.task.place:
        return info.task.place(outputs, info.decoder, *size, spacing)
    (answer,) = info.task.decode(outputs, info.decoder)
    return answer


def first_output(outputs: Outputs) -> np.ndarray:
    """Return the output of a model that says nothing of itself."""
    return next(found for name, found in outputs.items() if name != FEATURES)


def answer_pixels(
    model: Model, name: str, pixels: np.ndarray, size: tuple[int, int], spacing: tuple[float, float] = (0.0, 0.0)
) -> Prediction:
    """Return the prediction for an image, uint8 (size, size, C), that is called `name`.

    Args:
        size: width and height of the image before it was brought to the model's size.
        spacing: distances between its rows and between its columns then, in mm; 0: unknown.
    """
    outputs, info = model.runtime(pixels[None]), model.info
    if info is None:
        return Prediction(name, outputs=tuple(first_output(outputs)[0].ravel().tolist()))
    if not all(np.isfinite(found).all() for found in outputs.values()):  # else it would count as below thresholds
        return Prediction(name, error="the model answers with what is no number")
    answer = _answer(outputs, info, size, spacing)
    known, features = info.out_of_distribution, outputs.get(FEATURES)
    if known is None or features is None:
        return Prediction(name, answer)
    score, unlike = known.score(features)[0], known.unlike(features, pixels[None])[0]
    return Prediction(name, answer, float(score), bool(unlike))
