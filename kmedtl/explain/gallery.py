"""The cases of a report, explained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import keras
import numpy as np

from kmedtl.edge.shapes import ModelInputs
from kmedtl.explain.methods import METHODS
from kmedtl.explain.overlay import ExampleImage, gallery
from kmedtl.tasks.task import Case, Examples


def explained(
    model: keras.Model,
    choose: Callable[[Examples], Sequence[Case]],
    examples: Examples,
    images: np.ndarray,
    method: str,
    hidden: Collection[str] = (),
    own: Callable[[Examples, Sequence[Case], np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
    fields: np.ndarray | None = None,
    shown: Callable[[int, str, int], tuple[int, str, int]] | None = None,
) -> list[ExampleImage]:
    """Return a picture of each case, with the map of the output and column that it is of.

    Args:
        choose: examples → their cases.
        images: uint8 (N, H, W, C), in the order of the examples, unless `shown` finds theirs.
        method: a key of `METHODS`.
        hidden: ids that are not shown.
        own: (examples, cases, their pixels) → the task's own pictures and maps, in the place of images and method; a
            map of NaN is left to the method.
        fields: what is known beside the images, float32 (N, D), where the model takes it.
        shown: (row of examples, output, column) → the image that stands for it, which it is, and which column of the
            model's output is of it, where examples are volumes or examinations.
    """
    visible = np.flatnonzero(~np.isin(examples.ids, list(hidden)))
    examples = examples.of(visible)
    cases = choose(examples)
    rows, which_of = [int(visible[case.row]) for case in cases], [(case.output, case.column) for case in cases]
    if shown:
        found = [shown(row, case.output, case.column) for row, case in zip(rows, cases, strict=True)]
        rows = [row for row, _, _ in found]
        which_of = [(case.output, column) for case, (_, _, column) in zip(cases, found, strict=True)]
        told = [f"{case.caption}. {one}" for case, (_, one, _) in zip(cases, found, strict=True)]
        cases = [replace(case, caption=caption) for case, caption in zip(cases, told, strict=True)]
    pixels, beside = ModelInputs(images, fields).of(np.array(rows, int))
    pictures, maps = pixels, np.full(pixels.shape[:3], np.nan, np.float32)
    if own and cases:
        pictures, maps = own(examples, cases, pixels)
    open_cases = {number: which for number, which in enumerate(which_of) if np.isnan(maps[number]).all()}
    for which in dict.fromkeys(open_cases.values()):
        rows = [number for number, one in open_cases.items() if one == which]
        maps[rows] = METHODS[method](model, pixels[rows], which, None if beside is None else beside[rows])
    return gallery(cases, examples.ids, pictures, maps)
