"""The exported files of a trained model."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import keras
import numpy as np

from kmedtl.errors import UserError, nearest
from kmedtl.export import quantize, saved_model
from kmedtl.system.native_logs import quiet_stderr

NATIVE = "model.keras"
FILES = {
    "saved_model": "saved_model",
    "float32": "model_float32.tflite",
    "float16": "model_float16.tflite",
    "dynamic": "model_dynamic.tflite",
    "int8": "model_int8.tflite",
    "onnx": "model.onnx",
}
DEFAULT = ("saved_model", "float32", "int8")
MakeInt8 = Callable[[Path, bytes], bytes]  # from the SavedModel and the float32 file


def check(formats: Collection[str]) -> tuple[str, ...]:
    """Return the formats.

    Raises:
        UserError: an unknown one, with the nearest name.
    """
    for name in formats:
        if name not in FILES:
            raise UserError(f"--formats: no such format: '{name}'. {nearest(name, FILES)}")
    return tuple(formats)


def min_max(samples: np.ndarray, fields: np.ndarray | None = None) -> MakeInt8:
    """Return what makes an int8 file whose ranges hold all that uint8 `samples` (n, size, size, C) reach."""
    return lambda saved, whole: quantize.by_ranges(whole, quantize.ranges_of(whole, samples, fields))


def write_all(
    model: keras.Model,
    folder: Path,
    samples: np.ndarray | None,
    formats: Collection[str] = DEFAULT,
    decode: saved_model.Decode = lambda outputs: {},
    int8: MakeInt8 | None = None,
) -> Iterator[Path]:
    """Write `NATIVE` and the files of the wanted `FILES` into `folder`, yielding each path when it is written.

    - `model.keras`: the native archive.
    - `saved_model/`: see `kmedtl.export.saved_model.write`.
    - `model_*.tflite`: uint8 image (1, size, size, C) → float32 outputs, such as `logits` (1, findings), and `features`
      (1, D).
      `float32`; `float16`: its weights in half the bytes; `dynamic`: its weights in int8, activations quantized as they
      come; `int8`: weights and activations, see `kmedtl.export.quantize`.
    - `model.onnx`: float32 images (N, size, size, C) in 0–255 → its outputs, and `features`.

    Each takes `fields`, float32 (N, D), beside the image where the model does.

    Args:
        samples: uint8 training images (n, size, size, C), which tell the ranges of the int8 file; None beside `int8`.
        decode: what makes the SavedModel's answers of its outputs.
        int8: how the int8 file is made; None: by `min_max` of the samples.

    Raises:
        UserError: `onnx` without the extra that writes it.
    """
    model.save(folder / NATIVE)
    yield folder / NATIVE
    if not formats:
        return
    with tempfile.TemporaryDirectory() as aside:  # the converters read a SavedModel, whether it is wanted or not
        saved = (folder if "saved_model" in formats else Path(aside)) / FILES["saved_model"]
        saved_model.write(model, saved, decode)
        if "saved_model" in formats:
            yield saved
        whole = quantize.convert(saved) if {"float32", "int8"} & set(formats) else b""

        def quantized() -> bytes:
            if int8 is not None:
                return int8(saved, whole)
            assert samples is not None  # else the caller says how
            return min_max(samples)(saved, whole)

        makers = {
            "float32": lambda: whole,
            "float16": lambda: quantize.convert(saved, optimize=True, half=True),
            "dynamic": lambda: quantize.convert(saved, optimize=True),
            "int8": quantized,
        }
        for name, make in makers.items():
            if name in formats:
                (folder / FILES[name]).write_bytes(make())
                yield folder / FILES[name]
    if "onnx" in formats:
        yield _write_onnx(model, folder / FILES["onnx"])


def _write_onnx(model: keras.Model, path: Path) -> Path:
    try:
        import onnx  # noqa: F401 (what Keras converts with is asked for here, to say what is missing)
        import tf2onnx  # noqa: F401
    except ImportError:
        raise UserError("onnx: needs packages that are not installed; pip install 'kmedtl[onnx]'.") from None
    both = saved_model.with_features(model)
    both([np.zeros((1, *one.shape[1:]), np.float32) for one in both.inputs])  # Keras exports none that was never called
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the converter, about NumPy
        both.export(path, format="onnx", verbose=False)
    return path
