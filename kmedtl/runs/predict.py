"""Answers to images in files or in memory, as a table: what `kmedtl predict` prints, for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.batches import batches
from kmedtl.edge.examinations import Examination, check_view, examinations
from kmedtl.edge.fields import Values
from kmedtl.edge.given_fields import Given, check_names, given_fields
from kmedtl.edge.inputs import gathered
from kmedtl.edge.output_formats import gaps_of
from kmedtl.edge.predictor import Model, Prediction, Seen, answer_images, predict_files
from kmedtl.errors import UserError
from kmedtl.images.decode import Facts
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import from_array
from kmedtl.runs.open_model import open_model

Views = Mapping[str, str | Path]  # of an examination: view → its file
Images = str | Path | np.ndarray | Views | Sequence[str | Path | np.ndarray | Views]


Known = str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None


def predict(model: str | Path, images: Images, fields: Known = None) -> pd.DataFrame:
    """Return the answers of a run folder or a model file; see `answers`."""
    return answers(open_model(Path(model)), images, fields)


def answers(model: Model, images: Images, fields: Known = None) -> pd.DataFrame:
    """Return a row an image, with the columns of `kmedtl predict --format csv`.

    `image` (the path, or the number of an array from 0 on), the task's columns (of a classification `probability`, or
    `probability_NAME` of each finding, and `decision`; of a model without metadata `outputs`), `error`,
    `unlike_training`, `out_of_distribution`; of a model that takes fields `fields_missing` and `fields_unseen`. An
    image that cannot be read has its `error`, and nothing else.

    Args:
        images: a path or several, folders for all images in them; or arrays: uint8 (N, H, W, C), or a list of gray
            (H, W) and uint8 RGB (H, W, 3). A single array of two or three dimensions is one image. Of a model that
            answers examinations a mapping from views to files, or several; or a table or folders of them.
        fields: what is known beside them, of a model that takes it: a mapping such as `{"age": 54, "sex": "F"}` for
            all, or one for each; text or a CSV as `--fields` takes them; None: what DICOM headers say.

    Raises:
        UserError: paths and arrays mixed, or what is neither; fields that the model does not have.
    """
    if isinstance(images, np.ndarray):
        images = list(images) if images.ndim == 4 else [images]
    listed = [images] if isinstance(images, str | Path | Mapping) else list(images)
    views = model.info.views if model.info else ()
    if views and listed and not any(isinstance(image, np.ndarray) for image in listed):
        exams = list(_examinations(listed, views))
        return _table(model, [seen.prediction for seen in predict_files(model, exams, _given(model, fields))])
    arrays = [image for image in listed if isinstance(image, np.ndarray)]
    paths = [image for image in listed if isinstance(image, str | Path)]
    if len(arrays) == len(listed):
        known = _given(model, fields)([str(number) for number in range(len(arrays))])
        seen = (
            _seen(model, str(number), image, beside)
            for number, (image, beside) in enumerate(zip(arrays, known, strict=True))
        )
        found = [one.prediction for batch in batches(seen) for one in answer_images(model, batch)]
    elif len(paths) == len(listed):
        found = [
            seen.prediction
            for seen in predict_files(
                model, list(_files(paths, model.info is not None and model.info.takes_volumes)), _given(model, fields)
            )
        ]
    else:
        kinds = {np.ndarray if isinstance(image, np.ndarray) else type(image) for image in listed}
        received = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise UserError(f"images: expected paths alone, or arrays alone. Received: {received}.")
    return _table(model, found)


def _examinations(listed: Sequence[Any], views: Sequence[str]) -> Iterator[Examination]:
    for number, one in enumerate(listed):
        if isinstance(one, Mapping):
            yield Examination(str(number), {check_view(view, views): str(file) for view, file in one.items()})
        else:
            yield from examinations([str(one)], None, views).values()


def _given(model: Model, fields: Known) -> Given:
    """Return what reads the fields of images.

    Raises:
        UserError: fields that the model does not have, or not a mapping for each image.
    """
    if fields is None or isinstance(fields, str | Path):
        return given_fields(None if fields is None else str(fields), model.fields)
    rows = [fields] if isinstance(fields, Mapping) else list(fields)
    for row in rows:
        check_names(list(row), [field.name for field in model.fields])

    def given(places: Sequence[str]) -> Sequence[Values]:
        if isinstance(fields, Mapping):
            return rows * len(places)
        if len(rows) != len(places):
            raise UserError(
                f"fields: expected one mapping, or one for each of {len(places)} images. Received: {len(rows)}."
            )
        return rows

    return given


def _files(paths: Sequence[str | Path], volumes: bool) -> Iterator[str]:
    for path in map(str, paths):
        if Path(path).is_dir():
            with gathered([path], volumes=volumes) as places:
                yield from places
        else:
            yield path


def _seen(model: Model, name: str, image: np.ndarray, known: Values) -> Seen:
    try:
        pixels = from_array(image, model.reading)
    except UnreadableImageError as error:
        return Seen(name, Facts(error=str(error)), None, known)
    return Seen(name, Facts(width=image.shape[1], height=image.shape[0]), pixels, known)


def _table(model: Model, found: Sequence[Prediction]) -> pd.DataFrame:
    info = model.info
    names = list(info.task.columns(info.decoder)) if info else ["outputs"]
    values = [_values(model, row) for row in found]
    columns: dict[str, list] = {"image": [row.image for row in found]}
    columns |= {name: [value[number] for value in values] for number, name in enumerate(names)}
    for name in ("error", "unlike_training", "out_of_distribution"):
        columns[name] = [getattr(row, name) for row in found]
    for name in gaps_of(info):
        columns[name] = [" ".join(getattr(row, name) or ()) for row in found]
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
