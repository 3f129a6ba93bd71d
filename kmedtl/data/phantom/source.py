"""The synthetic thorax as a source: rendered once by its TFDS builder, laid out as PNG files with a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from kmedtl.data.manifest import Manifest, check_classes, from_rows
from kmedtl.data.phantom.builder import PhantomConfig, PhantomThorax
from kmedtl.data.phantom.film import LABELS
from kmedtl.data.quiet_tfds import quiet_tfds
from kmedtl.errors import UserError
from kmedtl.files.cache import cache_folder, made_once
from kmedtl.system.native_logs import loading_tensorflow
from kmedtl.system.progress import progress

PATIENTS = 320
ATTRIBUTES = ("side", "pattern", "sex", "age", "area")
GRADE = "grade"  # of the lesion, by its area: how many of `GRADED_ABOVE` it exceeds
GRADED_ABOVE = (0.0, 0.15, 0.2)  # fractions of the lungs; about as many lesions are of each grade
GRADES = tuple(map(str, range(len(GRADED_ABOVE) + 1)))
PICTURES = {"image": "{}.png", "mask": "{}_mask.png", "lung": "{}_lung.png"}  # feature → name of its file


def phantom_manifest(
    source: str, classes: Sequence[str], seed: int, columns: Mapping[str, str] = MappingProxyType({})
) -> Manifest:
    """Return the manifest of `phantom` or `phantom:PATIENTS`; its images are files in the cache folder.

    Args:
        columns: as of `data.columns`; `{label: grade}` makes classes `0` to `3` of how large the lesion is, in place of
            the label. The phantom has no other columns to choose from.

    Raises:
        UserError: a number of patients that is none, or a cache folder that cannot be written.
    """
    _, _, count = source.partition(":")
    if count and not (count.isdigit() and 6 <= int(count) <= 100_000):
        raise UserError(f"data.source: expected phantom:PATIENTS with 6 to 100000 patients. Received: {source!r}.")
    with loading_tensorflow():
        import tensorflow  # noqa: F401 (TFDS would import it where its native log is seen)
    graded = columns.get("label") == GRADE
    check_classes(classes, GRADES if graded else LABELS, source)
    config = PhantomConfig(patients=int(count or PATIENTS), seed=seed)
    folder = cache_folder() / "phantom" / f"{config.name}_v{PhantomThorax.VERSION}"

    def render_into(folder: Path) -> None:
        builder = PhantomThorax(config=config, data_dir=folder / "tfds")
        with quiet_tfds():
            builder.download_and_prepare()
        _lay_out(builder, folder / "images")

    made_once(folder, render_into)
    builder = PhantomThorax(config=config, data_dir=folder / "tfds")
    rows = [_row(example, folder, builder.info.features["label"]) for example in _examples(builder)]
    if graded:
        rows = [row | {"label": grade_of(row["area"])} for row in rows]
    return from_rows(rows, classes, source, synthetic=True)


def grade_of(area: float) -> str:
    """Return the grade of a lesion that covers this fraction of the lungs, `0` to `3`."""
    return GRADES[int(np.searchsorted(GRADED_ABOVE, area))]


def _examples(builder: PhantomThorax) -> Iterable[dict]:
    """Yield examples as NumPy values, images still as PNG bytes."""
    skip = tfds.decode.SkipDecoding()
    dataset = builder.as_dataset(split="films", decoders=dict.fromkeys(PICTURES, skip), shuffle_files=False)
    return tfds.as_numpy(dataset)


def _lay_out(builder: PhantomThorax, folder: Path) -> None:
    folder.mkdir()
    total = builder.info.splits["films"].num_examples
    for example in progress(_examples(builder), "Writing phantoms", total, unit="image"):
        name = example["id"].decode()
        for feature, file in PICTURES.items():
            (folder / file.format(name)).write_bytes(example[feature])


def _row(example: dict, folder: Path, label: tfds.features.ClassLabel) -> dict:
    name = example["id"].decode()
    attributes = {key: _plain(example[key]) for key in ATTRIBUTES}
    image, *masks = (str(folder / "images" / file.format(name)) for file in PICTURES.values())
    return {
        "id": f"{name}.png",
        "path": image,
        "label": label.int2str(int(example["label"])),
        "patient": example["patient"].decode(),
        "mask": "|".join(masks),
        "site": example["scanner"].decode(),
        **attributes,
    }


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item()
