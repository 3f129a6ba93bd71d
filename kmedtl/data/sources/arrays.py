"""MedMNIST's `.npz` layout: arrays `train_images`, `train_labels`, `val_images`, … in one file."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.cache import cache_folder, made_once, stamp
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.sources import rows
from kmedtl.errors import UserError
from kmedtl.progress import progress
from kmedtl.recipe import Data

MAX_BYTES = 20_000_000_000  # of the arrays together; they are read one at a time


def from_npz(path: Path, data: Data) -> Manifest:
    """Write the arrays' images as PNG files into the cache, once, and list them; labels are numbers, splits are kept.

    Raises:
        UserError: a file in another layout, with arrays that do not belong together, or with pickled objects.
    """
    names = _names(path)
    labels = {split: array for split in SPLITS if (array := _labels(path, split, names)) is not None}
    if not labels:
        raise UserError(f"{path}: expected MedMNIST's layout with arrays such as train_images and train_labels.")
    widths = {array.shape[1] for array in labels.values()}
    if len(widths) > 1:
        raise UserError(
            f"{path}: the splits have {' and '.join(map(str, sorted(widths)))} labels an image; expected one."
        )
    key = hashlib.sha256(f"{path}\0{stamp(path)}".encode()).hexdigest()[:16]
    folder = cache_folder() / "arrays" / key
    made_once(folder, lambda unfinished: _lay_out(path, unfinished, labels))
    width = widths.pop()
    findings = () if width == 1 else data.classes or tuple(map(str, range(width)))
    found = [
        {"id": f"{split}/{number}", "path": str(folder / split / f"{number}.png"), "split": split}
        | _label(label, findings, data.classes, path)
        for split, array in labels.items()
        for number, label in enumerate(array)
    ]
    return rows.finish(found, data, str(path), findings)


def _labels(path: Path, split: str, names: set[str]) -> np.ndarray | None:
    """Return int64 (N, 1), or (N, findings) of 0 and 1; None where the file has no such split."""
    if f"{split}_labels" not in names and f"{split}_images" not in names:
        return None
    for kind in ("labels", "images"):
        if f"{split}_{kind}" not in names:
            raise UserError(f"{path}: the split '{split}' has no {split}_{kind}; add or remove the split.")
    array = _read(path, f"{split}_labels")
    array = array[:, None] if array.ndim == 1 else array
    whole = array.dtype.kind in "biu" or (array.dtype.kind == "f" and np.array_equal(array, np.round(array)))
    if not whole or array.ndim != 2 or (array.shape[1] > 1 and not np.isin(array, (0, 1)).all()):
        raise UserError(
            f"{path}: {split}_labels: expected whole numbers (N,) or (N, 1), or 0 and 1 (N, findings). "
            f"Received: {array.dtype} {array.shape}."
        )
    return array.astype(np.int64)


def _names(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise UserError(f"{path}: unpacks to more than the limit of {MAX_BYTES} bytes.")
            return {Path(name).stem for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as .npz ({' '.join(str(error).split())[:120]}).") from None


def _lay_out(path: Path, folder: Path, labels: dict[str, np.ndarray]) -> None:
    for split, array in labels.items():
        images = _read(path, f"{split}_images")
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
            raise UserError(
                f"{path}: {split}_images: expected uint8 (N, H, W) or (N, H, W, 3). "
                f"Received: {images.dtype} {images.shape}."
            )
        if len(images) != len(array):
            raise UserError(f"{path}: {len(images)} {split}_images, but {len(array)} {split}_labels.")
        (folder / split).mkdir()
        for number, image in enumerate(progress(images, f"Writing {split} images", unit="image")):
            Image.fromarray(image).save(folder / split / f"{number}.png", compress_level=1)


def _read(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as .npz ({' '.join(str(error).split())[:120]}).") from None


def _label(label: np.ndarray, findings: Sequence[str], classes: Sequence[str], path: Path) -> dict:
    """Return the class's name (its number where the recipe gives no names), or a number for each finding."""
    if findings:
        if len(findings) != len(label):
            raise UserError(f"{path}: has {len(label)} findings, data.classes names {len(findings)}; make them agree.")
        return dict(zip(findings, map(float, label), strict=True))
    number = int(label[0])
    return {"label": classes[number] if 0 <= number < len(classes) else str(number)}
