"""Answers to images in files or in memory, as a table: what `kmedtl predict` prints, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.edge.inputs import gathered
from kmedtl.edge.predictor import Model, Prediction, answer_pixels, predict_files
from kmedtl.errors import UserError
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import from_array
from kmedtl.runs.open_model import open_model

Images = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


def predict(model: str | Path, images: Images) -> pd.DataFrame:
    """Return the answers of a run folder or a model file; see `answers`."""
    return answers(open_model(Path(model)), images)


def answers(model: Model, images: Images) -> pd.DataFrame:
    """Return a row an image, with the columns of `kmedtl predict --format csv`.

    `image` (the path, or the number of an array from 0 on), the task's columns (of a classification `probability`, or
    `probability_NAME` of each finding, and `decision`; of a model without metadata `outputs`), `error`,
    `unlike_training`, `out_of_distribution`. An image that cannot be read has its `error`, and nothing else.

    Args:
        images: a path or several, folders for all images in them; or arrays: uint8 (N, H, W, C), or a list of gray
            (H, W) and uint8 RGB (H, W, 3). A single array of two or three dimensions is one image.

    Raises:
        UserError: paths and arrays mixed, or what is neither.
    """
    if isinstance(images, np.ndarray):
        images = list(images) if images.ndim == 4 else [images]
    listed = [images] if isinstance(images, str | Path) else list(images)
    arrays = [image for image in listed if isinstance(image, np.ndarray)]
    paths = [image for image in listed if isinstance(image, str | Path)]
    if len(arrays) == len(listed):
        found = [_of_array(model, str(number), image) for number, image in enumerate(arrays)]
    elif len(paths) == len(listed):
        found = [seen.prediction for seen in predict_files(model, list(_files(paths)))]
    else:
        kinds = {np.ndarray if isinstance(image, np.ndarray) else type(image) for image in listed}
        received = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UserError(f"images: expected paths alone, or arrays alone. Received: {received}.")
    return _table(model, found)


def _files(paths: Sequence[str | Path]) -> Iterator[str]:
    for path in map(str, paths):
        if Path(path).is_dir():
            with gathered([path]) as places:
                yield from places
        else:
            yield path


def _of_array(model: Model, name: str, image: np.ndarray) -> Prediction:
    try:
        return answer_pixels(model, name, from_array(image, model.reading), (image.shape[1], image.shape[0]))
    except UnreadableImageError as error:
        return Prediction(name, error=str(error))


def _table(model: Model, found: Sequence[Prediction]) -> pd.DataFrame:
    info = model.info
    names = list(info.task.columns(info.decoder)) if info else ["outputs"]
    values = [_values(model, row) for row in found]
    columns: dict[str, list] = {"image": [row.image for row in found]}
    columns |= {name: [value[number] for value in values] for number, name in enumerate(names)}
    for name in ("error", "unlike_training", "out_of_distribution"):
        columns[name] = [getattr(row, name) for row in found]
    numbers = (
        [name for name in names if all(isinstance(value, float | None) for value in columns[name])] if info else []
    )
    return (
        pd.DataFrame(columns)
        .astype(dict.fromkeys([*numbers, "unlike_training"], float))
        .astype({"out_of_distribution": "boolean"})
    )


def _values(model: Model, row: Prediction) -> Sequence[object]:
    if model.info is None:
        return [row.outputs]
    return (row.answer or model.info.task.blank(model.info.decoder)).values()
