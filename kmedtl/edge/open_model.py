"""A `.tflite` file opened to be asked: checked against what it says of itself, and usable where it says nothing."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from kmedtl.edge import model_info
from kmedtl.edge.litert import LiteRTModel
from kmedtl.edge.model_info import MEMBER
from kmedtl.edge.predictor import Model
from kmedtl.edge.shapes import check_fits
from kmedtl.errors import UserError
from kmedtl.images.reading import Reading
from kmedtl.system.printable import shown


def open_tflite(path: Path, threads: int = 1) -> Model:
    """Open a `.tflite` file; one that carries no kmedtl metadata is opened too, with a warning on stderr.

    Args:
        threads: cores that one image may use.

    Raises:
        UserError: no such file, no TFLite model, metadata that are damaged, of a newer version or of another model, or
            no square image of one or three channels.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; expected a .tflite file, such as model_int8.tflite of a run folder.")
    if not path.is_file() or path.suffix != ".tflite":
        raise UserError(f"{path}: expected a .tflite file, such as model_int8.tflite of a run folder.")
    if not _carries_document(path):
        print(f"{shown(path)}: carries no {MEMBER}: the answers are its raw outputs for values 0–255.", file=sys.stderr)
        return _foreign(path, threads)
    info = model_info.read(path)
    runtime = LiteRTModel(path, threads)
    check_fits(path, runtime.shapes, info)
    return Model(runtime, info.reading, info)


def _foreign(path: Path, threads: int) -> Model:
    runtime = LiteRTModel(path, threads)
    shape = runtime.input_shape
    if runtime.shapes.fields:
        raise UserError(
            f"{path}: takes fields beside the image, and carries no {MEMBER} that says which; export it again."
        )
    if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise UserError(f"{path}: expected a model of one square image of 1 or 3 channels. Received: {shape}.")
    return Model(runtime, Reading(shape[1], shape[3]))


def _carries_document(path: Path) -> bool:
    """Other tools append archives too; one that cannot be read is left to `model_info.read` to refuse."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return True
