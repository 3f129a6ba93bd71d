"""Arrays in one `.npz` file: `train_images`, `train_labels`, `val_images`, … as MedMNIST has them, or `x_train`, …"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.data.manifest import SPLITS, Manifest, check_classes
from kmedtl.data.sources import to_manifest
from kmedtl.errors import UserError
from kmedtl.files.cache import cache_folder, made_once, stamp
from kmedtl.recipe import Data
from kmedtl.system.progress import progress

MAX_BYTES = 100_000_000_000  # of an array of images; they are read one by one
MAX_LABEL_BYTES = 1_000_000_000
NAMES = {"images": ("{}_images", "x_{}", "{}_x", "X_{}"), "labels": ("{}_labels", "y_{}", "{}_y", "Y_{}")}
WORDS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
READ = "expected uint8, gray uint16, or floats from 0 to 1, as (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
DAMAGED = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Header:
    """What the head of an array says: shape, type, order of its axes and where its values begin, in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    start: int


def from_npz(path: Path, data: Data) -> Manifest:
    """Write the arrays' images as PNG files into the cache, once, and list them; labels are numbers, splits are kept.

    Labels (N, K) of which each row has exactly one 1 are K classes of one question, others K findings.

    Raises:
        UserError: a file in another layout, with arrays that do not belong together, or with pickled objects.
    """
    names = _names(path)
    there = {split: found for split in SPLITS if (found := _members(path, split, names))}
    if not there:
        raise UserError(
            f"{path}: expected MedMNIST's layout with arrays such as train_images and train_labels, or x_train and "
            f"y_train. Received: {', '.join(sorted(names)[:8])}."
        )
    labels = {split: _labels(path, found["labels"]) for split, found in there.items()}
    widths = {array.shape[1] for array in labels.values()}
    if len(widths) > 1:
        raise UserError(
            f"{path}: the splits have {' and '.join(map(str, sorted(widths)))} labels an image; expected one."
        )
    width = widths.pop()
    one_hot = width > 1 and all((array.sum(axis=1) == 1).all() for array in labels.values())
    if one_hot:
        labels = {split: array.argmax(axis=1)[:, None] for split, array in labels.items()}
    findings = () if width == 1 or one_hot else data.classes or tuple(map(str, range(width)))
    if not findings and len(data.classes) > 1:
        listed = {_class(number, data.classes) for array in labels.values() for number in np.unique(array)}
        check_classes(data.classes, listed, str(path))
    headers = {split: _header(path, found["images"]) for split, found in there.items()}
    for split, header in headers.items():
        _check_images(path, there[split], header, len(labels[split]))
    key = hashlib.sha256(f"{path}\0{stamp(path)}".encode()).hexdigest()[:16]
    folder = cache_folder() / "arrays" / f"{key}-2"
    made_once(folder, lambda unfinished: _lay_out(path, unfinished, there, headers))
    rows = [
        {"id": f"{split}/{number}", "path": str(folder / split / f"{number}.png"), "split": split}
        | _label(label, findings, data.classes, path)
        for split, array in labels.items()
        for number, label in enumerate(array)
    ]
    notes = [f"Labels are one-hot: {width} classes of one question."] if one_hot else []
    if any(header.dtype.kind == "f" for header in headers.values()):
        notes.append("Images are floats from 0 to 1; they were multiplied by 255.")
    return to_manifest.finish(rows, data, str(path), findings, notes=notes, named=False)


def _names(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).stem for name in archive.namelist()}
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read as .npz ({_line(error)}).") from None


def _members(path: Path, split: str, names: set[str]) -> dict[str, str]:
    """Return the names of a split's images and labels; nothing where the file has neither.

    Raises:
        UserError: it has one of them alone.
    """
    found = {
        kind: next((name for word in WORDS[split] for one in patterns if (name := one.format(word)) in names), "")
        for kind, patterns in NAMES.items()
    }
    if not any(found.values()):
        return {}
    for kind, name in found.items():
        if not name:
            raise UserError(f"{path}: the split '{split}' has no {split}_{kind}; add or remove the split.")
    return found


def _labels(path: Path, name: str) -> np.ndarray:
    """Return int64 (N, 1), or (N, findings) of 0 and 1."""
    header = _header(path, name)
    if np.prod(header.shape, dtype=object) * header.dtype.itemsize > MAX_LABEL_BYTES:
        raise UserError(f"{path}: {name}: {header.shape} labels are more than the limit of {MAX_LABEL_BYTES} bytes.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[name]
    except (*DAMAGED, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as .npz ({_line(error)}).") from None
    array = array[:, None] if array.ndim == 1 else array
    whole = array.dtype.kind in "biu" or (array.dtype.kind == "f" and np.array_equal(array, np.round(array)))
    if not whole or array.ndim != 2 or (array.shape[1] > 1 and not np.isin(array, (0, 1)).all()):
        raise UserError(
            f"{path}: {name}: expected whole numbers (N,) or (N, 1), or 0 and 1 (N, findings). "
            f"Received: {array.dtype} {array.shape}."
        )
    return array.astype(np.int64)


def _header(path: Path, name: str) -> Header:
    """Read what an array says of itself, before any room is made for it."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran_order, dtype = read(file)
            header = Header(shape, dtype, fortran_order, file.tell())
            size = archive.getinfo(f"{name}.npy").file_size
    except (*DAMAGED, KeyError) as error:
        raise UserError(f"{path}: cannot be read as .npz ({_line(error)}).") from None
    if dtype.hasobject:
        raise UserError(f"{path}: cannot be read as .npz ({name} holds pickled objects, which are never loaded).")
    values = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if values != size - header.start or values > MAX_BYTES:
        raise UserError(
            f"{path}: {name}: says that it holds {dtype} {shape}, {values} bytes; expected as many as are there "
            f"({size - header.start}), and at most {MAX_BYTES}."
        )
    return header


def _check_images(path: Path, members: dict[str, str], header: Header, labels: int) -> None:
    kind, name = header.dtype, members["images"]
    deep = kind.newbyteorder("=") == np.uint16
    depths = ((), (1,)) if deep else ((), (1,), (3,))
    readable = deep or kind == np.uint8 or kind.kind == "f"
    if not readable or len(header.shape) not in (3, 4) or header.shape[3:] not in depths or header.fortran_order:
        raise UserError(f"{path}: {name}: {READ}. Received: {kind} {header.shape}.")
    if 0 in header.shape[1:]:
        raise UserError(f"{path}: {name}: expected images of at least one pixel. Received: {header.shape}.")
    if header.shape[0] != labels:
        raise UserError(f"{path}: {header.shape[0]} {name}, but {labels} {members['labels']}.")


def _lay_out(path: Path, folder: Path, there: dict[str, dict[str, str]], headers: dict[str, Header]) -> None:
    for split, found in there.items():
        (folder / split).mkdir()
        name, header = found["images"], headers[split]
        images = _images(path, name, header)
        bar = progress(images, f"Writing {split} images", header.shape[0], unit="image")
        for number, image in enumerate(bar):
            Image.fromarray(image).save(folder / split / f"{number}.png", compress_level=1)


def _images(path: Path, name: str, header: Header) -> Iterator[np.ndarray]:
    """Yield each image, uint8 or uint16 (H, W) or (H, W, 3), holding no more than one."""
    shape = header.shape[1:3] if header.shape[3:] in ((), (1,)) else header.shape[1:]
    size = int(np.prod(header.shape[1:])) * header.dtype.itemsize
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            file.read(header.start)
            for _ in range(header.shape[0]):
                image = np.frombuffer(file.read(size), header.dtype).reshape(shape)
                yield (
                    _from_share(image, path, name)
                    if header.dtype.kind == "f"
                    else image.astype(image.dtype.newbyteorder("="), copy=False)
                )
    except DAMAGED as error:
        raise UserError(f"{path}: cannot be read as .npz ({_line(error)}).") from None


def _from_share(image: np.ndarray, path: Path, name: str) -> np.ndarray:
    """Return floats from 0 to 1 as uint8."""
    low, high = image.min(initial=0.0), image.max(initial=0.0)
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise UserError(f"{path}: {name}: {READ}. Received: {image.dtype} from {low:g} to {high:g}.")
    return np.round(image * 255).astype(np.uint8)


def _label(label: np.ndarray, findings: Sequence[str], classes: Sequence[str], path: Path) -> dict:
    """Return the class's name (its number where the recipe gives no names), or a number for each finding."""
    if findings:
        if len(findings) != len(label):
            raise UserError(f"{path}: has {len(label)} findings, data.classes names {len(findings)}; make them agree.")
        return dict(zip(findings, map(float, label), strict=True))
    return {"label": _class(int(label[0]), classes)}


def _class(number: int, classes: Sequence[str]) -> str:
    return classes[number] if 0 <= number < len(classes) else str(number)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
