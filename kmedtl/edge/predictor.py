"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from kmedtl.edge.batches import batches, one_ahead
from kmedtl.edge.examinations import Examination
from kmedtl.edge.fields import Fields, Values, encode, gaps
from kmedtl.edge.given_fields import Given
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Answer, Outputs
from kmedtl.edge.whole_answers import NO_EXAMINATION, of_examination, of_volume
from kmedtl.images.decode import Decoded, Facts, decode_all
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.reading import Reading
from kmedtl.images.slices import is_volume

NO_IMAGES = "an image, and the model answers volumes"
NOTHING: Mapping[str, object] = MappingProxyType({})  # is known beside an image


class Runtime(Protocol):
    """Runs a model: images are uint8 (N, size, size, C), fields float32 (N, D), None of a model that takes none."""

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> Outputs: ...


@dataclass(frozen=True)
class Model:
    """What answers, and what it says of itself.

    Attributes:
        runtime: runs it.
        reading: how a file becomes the pixels that it takes.
        info: None of a file that kmedtl did not write: its answers are raw outputs.
        decode: reads the files of images by `reading`; where a worker is at hand, it does so once.
    """

    runtime: Runtime
    reading: Reading
    info: ModelInfo | None = None
    decode: Callable[[Sequence[tuple[str, int | None]], Reading], Iterator[Decoded]] = decode_all

    @property
    def fields(self) -> Fields:
        """What it takes beside an image."""
        return self.info.fields if self.info else ()

    def outputs(self, images: np.ndarray, known: Values) -> Outputs:
        """Return the outputs for uint8 images (N, size, size, C), the same being known beside each of them."""
        return self.outputs_each(images, [known] * len(images))

    def outputs_each(self, images: np.ndarray, known: Sequence[Values]) -> Outputs:
        """Return the outputs for uint8 images (N, size, size, C), with what is known beside each."""
        return self.runtime(images, encode(self.fields, known)) if self.fields else self.runtime(images)


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
        fields_missing, fields_unseen: of a model that takes fields beside the image: those of which nothing is known,
            and those whose value it never learned from, which it takes as unknown.
        views_missing: of a model that answers examinations: those of which there is no image.
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
    fields_missing: tuple[str, ...] | None = None
    fields_unseen: tuple[str, ...] | None = None
    views_missing: tuple[str, ...] | None = None


class Seen(NamedTuple):
    """An image to be answered: what it is called, what is known of its file, and what is known beside it.

    `pixels` are uint8 (size, size, C), None of a file that could not be read.
    """

    name: str
    facts: Facts
    pixels: np.ndarray | None
    known: Values = NOTHING


@dataclass(frozen=True)
class ImageResult:
    """A prediction with what it was made of.

    Attributes:
        pixels: uint8 (size, size, C); None where unreadable.
        known: what is known beside the image.
    """

    prediction: Prediction
    facts: Facts
    pixels: np.ndarray | None
    known: Values = field(default_factory=dict)


def predict(
    runtime: Runtime, info: ModelInfo, paths: Sequence[str | Path], given: Given | None = None
) -> Iterator[Prediction]:
    """Yield a prediction for each file, in order; an unreadable one is answered with its reason.

    Args:
        given: of `kmedtl.edge.given_fields`; None: nothing is known beside the images.
    """
    for seen in predict_files(Model(runtime, info.reading, info), [str(path) for path in paths], given):
        yield seen.prediction


def predict_files(
    model: Model, places: Sequence[str | Examination], given: Given | None = None
) -> Iterator[ImageResult]:
    """Yield the prediction for each file, in order, with its pixels; shows a progress bar.

    Files are decoded in processes that may die of them (`kmedtl.images.workers`): a damaged one takes neither the time
    nor the memory of the others. A volume is answered as a whole, slice by slice, and an examination image by image.
    `given` is as of `predict`; it knows an examination by its name.
    """
    names = [place.name if isinstance(place, Examination) else place for place in places]
    beside = given(names) if given and model.fields else [NOTHING] * len(names)
    files = [file for place in places for file in (place.files.values() if isinstance(place, Examination) else [place])]
    decoded = model.decode([(file, None) for file in files if not is_volume(file)], model.reading)
    for whole, alike in groupby(zip(places, beside, strict=True), lambda one: _is_whole(one[0])):
        if whole:
            yield from (_answer_whole(model, place, known, decoded) for place, known in alike)
            continue
        at_once = 1 if model.reading.whole else None  # whole ones differ in size, and may be large
        gathered = (
            [Seen(str(place), *next(decoded), known) for place, known in batch] for batch in batches(alike, at_once)
        )
        for batch in one_ahead(gathered):
            yield from answer_images(model, batch)


def _is_whole(place: str | Examination) -> bool:
    """Tell whether a place holds more than one image that is answered by itself."""
    return isinstance(place, Examination) or is_volume(place)


def _answer(outputs: Outputs, info: ModelInfo, size: tuple[int, int], spacing: tuple[float, float]) -> Answer:
    if info.task.place:
        return info.task.place(outputs, info.decoder, *size, spacing)
    (answer,) = info.task.decode(outputs, info.decoder)
    return answer


def first_output(outputs: Outputs) -> np.ndarray:
    """Return the output of a model that says nothing of itself."""
    return next(found for name, found in outputs.items() if name != FEATURES)


def answer_images(model: Model, seen: Sequence[Seen]) -> list[ImageResult]:
    """Return the predictions for images, which go through the model together; for an unreadable one its reason."""
    if model.info is not None and model.info.takes_volumes:
        error = NO_EXAMINATION if model.info.views else NO_IMAGES
        return [_unanswered(one, error if one.pixels is not None else one.facts.error) for one in seen]
    readable = {number: one.pixels for number, one in enumerate(seen) if one.pixels is not None}
    found = [_unanswered(one, one.facts.error) for one in seen]
    if readable:
        images = np.stack(list(readable.values()))
        outputs = model.outputs_each(images, [seen[number].known for number in readable])
        for row, number in enumerate(readable):
            own = {name: values[row : row + 1] for name, values in outputs.items()}
            found[number] = _answered(model, seen[number], images[row], own)
    return found


def _unanswered(seen: Seen, error: str) -> ImageResult:
    return ImageResult(Prediction(seen.name, error=error), seen.facts, None, seen.known)


def _with_gaps(found: Prediction, fields: Fields, known: Values) -> Prediction:
    """Return the prediction with the fields that nothing is known of; of a model without fields as it is."""
    if not fields:
        return found
    missing, unseen = gaps(fields, known)
    return replace(found, fields_missing=missing, fields_unseen=unseen)


def _answered(model: Model, seen: Seen, pixels: np.ndarray, outputs: Outputs) -> ImageResult:
    """Return the prediction for an image by what the model says of it, float32 (1, …) an output."""
    found = _with_gaps(_prediction(model, seen, pixels, outputs), model.fields, seen.known)
    return ImageResult(found, seen.facts, pixels, seen.known)


def _prediction(model: Model, seen: Seen, pixels: np.ndarray, outputs: Outputs) -> Prediction:
    info, facts = model.info, seen.facts
    if info is None:
        return Prediction(seen.name, outputs=tuple(first_output(outputs)[0].ravel().tolist()))
    if not all(np.isfinite(found).all() for found in outputs.values()):  # else it would count as below thresholds
        return Prediction(seen.name, error="the model answers with what is no number")
    answer = _answer(outputs, info, (facts.width, facts.height), (facts.row_spacing, facts.column_spacing))
    kind, features = info.out_of_distribution, outputs.get(FEATURES)
    if kind is None or features is None:
        return Prediction(seen.name, answer)
    score, unlike = kind.score(features)[0], kind.unlike(features, pixels[None])[0]
    return Prediction(seen.name, answer, float(score), bool(unlike))


def _answer_whole(model: Model, place: str | Examination, known: Values, decoded: Iterator[Decoded]) -> ImageResult:
    """Return the answer for a volume or an examination, whose images are the next ones of `decoded`."""
    views = place.files if isinstance(place, Examination) else None
    missing = None if views is None or not model.info else tuple(one for one in model.info.views if one not in views)
    name = place.name if isinstance(place, Examination) else place
    images = {view: next(decoded) for view, file in (views or {}).items() if not is_volume(file)}
    try:
        if isinstance(place, str):
            whole = of_volume(model, place, known)
        else:
            whole = of_examination(model, place, known, images)
        found = Prediction(name, *whole, views_missing=missing)
        return ImageResult(_with_gaps(found, model.fields, known), Facts(), None, known)
    except UnreadableImageError as error:
        failed = Prediction(name, error=str(error), views_missing=missing)
        return ImageResult(failed, Facts(error=str(error)), None, known)
