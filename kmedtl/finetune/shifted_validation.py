"""Validation images as another hospital might send them: `training.select=worst_shift` chooses the epoch by them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.data.corruptions import PLAUSIBLE, suite
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline
from kmedtl.data.splits import limit
from kmedtl.system.progress import progress


def shifted(validation: Pipeline, seed: int, images: int = 150) -> Pipeline:
    """Return a sample of the validation images under every corruption of `kmedtl shift` at severity 3.

    The sample is about `images` images, whole patients, each label by its share. It goes through what takes any
    pipeline; its table is that of validation with the column `corruption` and a new `record`, the corruptions one after
    the other.
    """
    kept = limit(validation.table, images, seed)["record"]
    sample = validation.table["record"].isin(kept).to_numpy()
    kept_images = validation.of(np.flatnonzero(sample))
    table, targets, clean = kept_images.table, kept_images.targets, kept_images.pixels()
    corruptions = suite(still=bool(validation.moves))
    bar = progress(corruptions.values(), "shifted validation", unit="corruption")
    pixels = np.concatenate([corrupt(clean, PLAUSIBLE, seed) for corrupt in bar])
    together = pd.concat([table.assign(corruption=name) for name in corruptions], ignore_index=True)
    every = np.tile(np.arange(len(table)), len(corruptions))
    repeated = None if kept_images.fields is None else kept_images.fields.of(every)
    return Pipeline(
        ImagesInMemory(pixels),
        together.assign(record=np.arange(len(together))),
        {name: np.concatenate([array] * len(corruptions)) for name, array in targets.items()},
        validation.batch_size,
        fields=repeated,
        pooling=validation.pooling,
        views=validation.views,
    )


def corrupted_rows(pipeline: Pipeline) -> list[np.ndarray]:
    """Return the rows of each corruption in the table of `shifted`."""
    return [np.asarray(rows) for rows in pipeline.table.groupby("corruption").indices.values()]
