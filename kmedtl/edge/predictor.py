"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from kmedtl.edge.fields import Fields, Values, encode, gaps
from kmedtl.edge.given_fields import Given
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.pooling import along, pooled
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Answer, Outputs, Slice
from kmedtl.images.background import is_background, without_say
from kmedtl.images.decode import Facts, decode_all
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.reading import Reading
from kmedtl.images.slices import is_volume, slice_grid

NO_VOLUMES, NO_IMAGES = "a volume, and the model answers images", "an image, and the model answers volumes"
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
    """

    runtime: Runtime
    reading: Reading
    info: ModelInfo | None = None

    @property
    def fields(self) -> Fields:
        """What it takes beside an image."""
        return self.info.fields if self.info else ()

    def outputs(self, images: np.ndarray, known: Values) -> Outputs:
        """Return the outputs for uint8 images (N, size, size, C), the same being known beside each of them."""
        if not self.fields:
            return self.runtime(images)
        return self.runtime(images, np.repeat(encode(self.fields, [known]), len(images), axis=0))


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


def predict_files(model: Model, paths: Sequence[str], given: Given | None = None) -> Iterator[ImageResult]:
    """Yield the prediction for each file, in order, with its pixels; shows a progress bar.

    Files are decoded in processes that may die of them (`kmedtl.images.workers`): a damaged one takes neither the time
    nor the memory of the others. A volume is answered as a whole, slice by slice. `given` is as of `predict`.
    """
    beside = given(paths) if given and model.fields else [NOTHING] * len(paths)
    decoded = decode_all([(path, None) for path in paths if not is_volume(path)], model.reading)
    for path, known in zip(paths, beside, strict=True):
        if is_volume(path):
            yield _answer_volume(model, path, known)
            continue
        facts, pixels = next(decoded)
        if pixels is not None and model.info and model.info.takes_volumes:
            yield ImageResult(Prediction(path, error=NO_IMAGES), facts, None, known)
            continue
        if pixels is None:
            yield ImageResult(Prediction(path, error=facts.error), facts, None, known)
            continue
        size, spacing = (facts.width, facts.height), (facts.row_spacing, facts.column_spacing)
        yield ImageResult(answer_pixels(model, path, pixels, size, spacing, known), facts, pixels, known)


def _answer(outputs: Outputs, info: ModelInfo, size: tuple[int, int], spacing: tuple[float, float]) -> Answer:
    if info.task.place:
        return info.task.place(outputs, info.decoder, *size, spacing)
    (answer,) = info.task.decode(outputs, info.decoder)
    return answer


def first_output(outputs: Outputs) -> np.ndarray:
    """Return the output of a model that says nothing of itself."""
    return next(found for name, found in outputs.items() if name != FEATURES)


def answer_pixels(
    model: Model,
    name: str,
    pixels: np.ndarray,
    size: tuple[int, int],
    spacing: tuple[float, float] = (0.0, 0.0),
    known: Values = NOTHING,
) -> Prediction:
    """Return the prediction for an image, uint8 (size, size, C), that is called `name`.

    Args:
        size: width and height of the image before it was brought to the model's size.
        spacing: distances between its rows and between its columns then, in mm; 0: unknown.
        known: what is known beside the image, by the names of the model's fields.
    """
    return _with_gaps(_answered(model, name, pixels, size, spacing, known), model.fields, known)


def _with_gaps(found: Prediction, fields: Fields, known: Values) -> Prediction:
    """Return the prediction with the fields that nothing is known of; of a model without fields as it is."""
    if not fields:
        return found
    missing, unseen = gaps(fields, known)
    return replace(found, fields_missing=missing, fields_unseen=unseen)


def _answered(
    model: Model, name: str, pixels: np.ndarray, size: tuple[int, int], spacing: tuple[float, float], known: Values
) -> Prediction:
    outputs, info = model.outputs(pixels[None], known), model.info
    if info is None:
        return Prediction(name, outputs=tuple(first_output(outputs)[0].ravel().tolist()))
    if not all(np.isfinite(found).all() for found in outputs.values()):  # else it would count as below thresholds
        return Prediction(name, error="the model answers with what is no number")
    answer = _answer(outputs, info, size, spacing)
    kind, features = info.out_of_distribution, outputs.get(FEATURES)
    if kind is None or features is None:
        return Prediction(name, answer)
    score, unlike = kind.score(features)[0], kind.unlike(features, pixels[None])[0]
    return Prediction(name, answer, float(score), bool(unlike))


def _answer_volume(model: Model, path: str, known: Values) -> ImageResult:
    """Return the answer for a volume as for an image: its slices go through the model one at a time.

    What a task does not answer of volumes itself is decoded of the slices' outputs, pooled as in the run; slices of
    background have no say, as there. Of a model that tells images of another kind, the score is the median of the
    slices, and the volume is of another kind where most of them are.

    Args:
        known: what is known beside it, by the names of the model's fields.
    """
    try:
        found = _of_volume(model, path, known)
        return ImageResult(_with_gaps(found, model.fields, known), Facts(), None, known)
    except UnreadableImageError as error:
        return ImageResult(Prediction(path, error=str(error)), Facts(error=str(error)), None, known)


def _of_volume(model: Model, path: str, known: Values) -> Prediction:
    info = model.info
    if info is None or not info.takes_volumes:
        raise UnreadableImageError(NO_VOLUMES)
    asked = _asked(model, path, known)
    if info.slices:
        every = list(asked)
        mute = without_say(np.array([one.dark for one in every]), np.zeros(len(every), int))
        frames = np.flatnonzero(~mute)
        used, of = [every[frame] for frame in frames], np.zeros(len(frames), int)
        outputs = {name: np.concatenate([one.slice.outputs[name] for one in used]) for name in used[0].slice.outputs}
        (answer,) = info.task.decode(pooled(outputs, of, info.slices, along(frames, of)), info.decoder)
    else:
        assert info.task.of_volume is not None  # as of every task whose decoders are of volumes
        used = []
        answer = info.task.of_volume(info.decoder, slice_grid(path).count, _noted(asked, used))
    if any(one.unlike is None for one in used):
        return Prediction(path, answer)
    scores, unlike = np.median([one.score for one in used]), np.mean([bool(one.unlike) for one in used])
    return Prediction(path, answer, float(scores), bool(unlike > 0.5))


class _Asked(NamedTuple):
    """What a model says of a slice: how far it is from those of training, and whether too far, where it can tell; and
    whether the slice is background.
    """

    slice: Slice
    score: float | None
    unlike: bool | None
    dark: bool


def _noted(asked: Iterator[_Asked], used: list[_Asked]) -> Iterator[Slice]:
    """Yield slices, and note of each all but its outputs, which may be large."""
    for one in asked:
        yield one.slice
        used.append(one._replace(slice=one.slice._replace(outputs={})))


def _asked(model: Model, path: str, known: Values) -> Iterator[_Asked]:
    """Yield what the model says of each slice; one at a time goes through it."""
    kind = model.info.out_of_distribution if model.info else None
    wanted = [(path, index) for index in range(slice_grid(path).count)]
    for facts, pixels in decode_all(wanted, model.reading):
        if pixels is None:
            raise UnreadableImageError(facts.error)
        outputs = dict(model.outputs(pixels[None], known))
        if not all(np.isfinite(found).all() for found in outputs.values()):
            raise UnreadableImageError("the model answers with what is no number")
        features, score, unlike = outputs.pop(FEATURES, None), None, None
        if kind is not None and features is not None:
            score, unlike = float(kind.score(features)[0]), bool(kind.unlike(features, pixels[None])[0])
        spacing = facts.slice_spacing, facts.row_spacing, facts.column_spacing
        told = Slice(outputs, facts.width, facts.height, spacing)
        yield _Asked(told, score, unlike, bool(is_background(pixels[None])[0]))
