"""The answers for volumes and examinations: slices and images go through the model, pooled as in the run.

What a task does not answer of volumes itself is decoded of the pooled outputs; slices of background have no say. Of a
model that tells images of another kind, the score is the median of the slices and images, and the whole is of another
kind where most of them are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kmedtl.edge.batches import batches
from kmedtl.edge.examinations import Examination
from kmedtl.edge.fields import Values
from kmedtl.edge.pooling import Views, along, contributions, pooled
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Answer, Outputs, Slice
from kmedtl.images.background import is_background, without_say
from kmedtl.images.decode import Decoded, Facts, decode_all
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.slices import slice_grid

if TYPE_CHECKING:
    from kmedtl.edge.predictor import Model

NO_VOLUMES = "a volume, and the model answers images"
NO_VIEWS = "an examination, and the model answers images"
NO_EXAMINATION = "an image, and the model answers examinations"


class Whole(NamedTuple):
    """The answer, and as of `kmedtl.edge.predictor.Prediction` whether it is of images of another kind."""

    answer: Answer
    unlike_training: float | None = None
    out_of_distribution: bool | None = None


def of_volume(model: Model, path: str, known: Values) -> Whole:
    """Return the answer for a volume.

    Args:
        known: what is known beside it, by the names of the model's fields.

    Raises:
        UnreadableImageError: it cannot be read, or the model answers something else.
    """
    info = model.info
    if info is None or not info.takes_volumes:
        raise UnreadableImageError(NO_VOLUMES)
    if info.views:
        raise UnreadableImageError(NO_EXAMINATION)
    if info.slices:
        used, frames = _seen(model, path, known)
        of = np.zeros(len(frames), int)
        (answer,) = info.task.decode(pooled(_outputs(used), of, info.slices, along(frames, of)), info.decoder)
    else:
        assert info.task.of_volume is not None  # as of every task whose decoders are of volumes
        used = []
        asked = _asked(model, _slices(model, path), known)
        answer = info.task.of_volume(info.decoder, slice_grid(path).count, _noted(asked, used))
    return _judged(answer, used)


def of_examination(model: Model, examination: Examination, known: Values, images: Mapping[str, Decoded]) -> Whole:
    """Return the answer for an examination.

    Args:
        known: as of `of_volume`.
        images: view → what its file holds, of those that are no volumes.

    Raises:
        UnreadableImageError: an image cannot be read, there is none, or the model answers something else.
    """
    info, used, each = model.info, [], []
    if info is None or not info.views:
        raise UnreadableImageError(NO_VIEWS)
    if not examination.files:
        raise UnreadableImageError(f"no image of {', '.join(info.views)}")
    for view, path in examination.files.items():
        try:
            seen, frames = _seen(model, path, known, images.get(view))
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{view}: {error}") from None
        used += seen
        each += [(info.views.index(view), frame) for frame in frames]
    of, frames = np.array(each).T
    views, together = Views(of, len(info.views)), np.zeros(len(used), int)
    found = contributions(_outputs(used), together, info.slices, along(frames, of), views)
    (answer,) = info.task.decode(found.outputs(np.ones(len(info.views), bool)), info.decoder)
    return _judged(answer, used)


def _seen(model: Model, path: str, known: Values, image: Decoded | None = None) -> tuple[list[_Asked], np.ndarray]:
    """Return what the model says of an image, or of a volume's slices that have a say, and which those are, (n,)."""
    every = list(_asked(model, [image] if image else _slices(model, path), known))
    dark = np.array([one.dark and not image for one in every])
    frames = np.flatnonzero(~without_say(dark, np.zeros(len(every), int)))
    return [every[frame] for frame in frames], frames


def _outputs(used: Sequence[_Asked]) -> Outputs:
    return {name: np.concatenate([one.slice.outputs[name] for one in used]) for name in used[0].slice.outputs}


def _judged(answer: Answer, used: Sequence[_Asked]) -> Whole:
    """Return the answer with how far most of what it was made of is from the training images."""
    if any(one.unlike is None for one in used):
        return Whole(answer)
    scores, unlike = np.median([one.score for one in used]), np.mean([bool(one.unlike) for one in used])
    return Whole(answer, float(scores), bool(unlike > 0.5))


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


def _slices(model: Model, path: str) -> Iterator[Decoded]:
    yield from decode_all([(path, index) for index in range(slice_grid(path).count)], model.reading)


def _asked(model: Model, slices: Iterable[Decoded], known: Values) -> Iterator[_Asked]:
    """Yield what the model says of each slice, or of the image; a few at a time go through it."""
    for batch in batches(slices):
        images = np.stack([_pixels(*one) for one in batch])
        outputs = model.outputs(images, known)
        for row, (facts, _) in enumerate(batch):
            own = {name: found[row : row + 1] for name, found in outputs.items()}
            yield _judged_slice(model, facts, images[row : row + 1], own)


def _pixels(facts: Facts, pixels: np.ndarray | None) -> np.ndarray:
    if pixels is None:
        raise UnreadableImageError(facts.error)
    return pixels


def _judged_slice(model: Model, facts: Facts, pixels: np.ndarray, outputs: dict[str, np.ndarray]) -> _Asked:
    if not all(np.isfinite(found).all() for found in outputs.values()):
        raise UnreadableImageError("the model answers with what is no number")
    kind = model.info.out_of_distribution if model.info else None
    features, score, unlike = outputs.pop(FEATURES, None), None, None
    if kind is not None and features is not None:
        score, unlike = float(kind.score(features)[0]), bool(kind.unlike(features, pixels)[0])
    spacing = facts.slice_spacing, facts.row_spacing, facts.column_spacing
    told = Slice(outputs, facts.width, facts.height, spacing)
    return _Asked(told, score, unlike, bool(is_background(pixels)[0]))
