"""Every kind of exported model as the same object: uint8 images, and fields beside them, in; named outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kmedtl.edge.fields import FIELDS
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import FEATURES, ModelInputs, Shapes, check_fits
from kmedtl.edge.tasks.task import Outputs, of_batches
from kmedtl.errors import UserError
from kmedtl.system.progress import progress
from kmedtl.vetting.keras_files import check_keras
from kmedtl.vetting.onnx_files import check_onnx
from kmedtl.vetting.saved_models import check_saved_model

BATCH = 32
STEP = 2 * BATCH  # images between two looks of somebody who waits


class ModelFile(Protocol):
    """A model in its own runtime, as `kmedtl.edge.litert.LiteRTModel` and `Batched`.

    Images are uint8 (N, H, W, C), fields float32 (N, D) where the model takes any.
    """

    @property
    def shapes(self) -> Shapes: ...

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> Outputs: ...


@dataclass(frozen=True)
class Batched:
    """A runtime that takes several images at a time.

    Attributes:
        run: from float32 images (n, H, W, C) in 0–255 and fields to the outputs, `features` among them.
        shapes: what goes in and comes out, as the file says.
    """

    run: Callable[[ModelInputs], Outputs]
    shapes: Shapes

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return the outputs, float32 (N, …), of uint8 images.

        Raises:
            ValueError: fields for a model that takes none, or none for one that does.
        """
        if (fields is None) != (self.shapes.fields == 0):
            raise ValueError(f"expected {'fields' if fields is None else 'no fields'} beside the images.")
        return of_batches([self.run(batch) for batch in _batches(ModelInputs(images, fields))])


def ask(model: ModelFile, inputs: ModelInputs, name: str) -> Outputs:
    """Return the outputs of a model, which is called `name` where it shows how far it is."""
    starts = progress(range(0, len(inputs.images), STEP), f"Asking {name}", unit="batch")
    return of_batches([model(*inputs.of(slice(start, start + STEP))) for start in starts])


def open_runtime(path: Path) -> ModelFile:
    """Open a `.tflite`, `.keras` or `.onnx` file or a SavedModel folder; each imports its own runtime only.

    What is not a `.tflite` is looked at first (`kmedtl.vetting`): it could do more than answer.

    Raises:
        UserError: no such file, not a model, one that holds more than a classifier needs, or a runtime that is not
            installed.
    """
    openers = {".tflite": tflite_runtime, ".keras": keras_runtime, ".onnx": onnx_runtime}
    if path.suffix in openers and path.is_file():
        return openers[path.suffix](path)
    if (path / "saved_model.pb").is_file():
        return saved_model_runtime(path)
    raise UserError(f"{path}: expected a run folder, a .keras, .tflite or .onnx file or a SavedModel folder.")


def tflite_runtime(path: Path) -> ModelFile:
    """Load a `.tflite` file; see `LiteRTModel`."""
    from kmedtl.edge.litert import LiteRTModel

    return LiteRTModel(path)


def keras_runtime(path: Path) -> ModelFile:
    """Load a `.keras` file in safe mode: a file with code in it is refused."""
    from kmedtl.export.saved_model import with_features
    from kmedtl.heads.build import tensors

    whole = with_features(load_keras(path))
    return Batched(lambda batch: whole.predict_on_batch(tensors(*batch)), _shapes(whole))


def load_keras(path: Path, info: ModelInfo | None = None):  # noqa: ANN201 (keras is imported only where it is needed)
    """Return the `keras.Model` of a `.keras` file, looked at first and loaded in safe mode.

    Args:
        info: what it must be, if that is known.

    Raises:
        UserError: it holds more than a classifier needs, does not load so, or is another model than `info` says.
    """
    import keras
    import tensorflow as tf

    from kmedtl.heads.build import with_named_outputs

    check_keras(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (
        ValueError,
        OSError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        MemoryError,
        tf.errors.OpError,
    ) as error:
        raise UserError(f"{path}: not a Keras model that loads in safe mode ({_reason(error)}).") from None
    named = with_named_outputs(model, "logits")  # as the only output of earlier versions is
    if info is not None:
        check_fits(path, _shapes(named), info)
    return named


def _shapes(model) -> Shapes:  # noqa: ANN001
    image, *beside = model.inputs
    widths = {name: output.shape[-1] for name, output in model.output.items()}
    return Shapes(tuple(image.shape[1:]), widths, beside[0].shape[-1] if beside else 0)


def saved_model_runtime(path: Path) -> ModelFile:
    """Load a SavedModel with TensorFlow alone and call its signature `features`."""
    import tensorflow as tf

    check_saved_model(path)
    try:
        serve = tf.saved_model.load(str(path)).signatures["features"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"{path}: not a SavedModel with a 'features' signature ({_reason(error)}).") from None

    def run(batch: ModelInputs) -> dict[str, np.ndarray]:
        given = {name: tf.constant(array) for name, array in batch.named().items()}
        return {name: found.numpy() for name, found in serve(**given).items()}

    try:
        given, outputs = serve.structured_input_signature[1], serve.structured_outputs
        sides = {name: tuple(tensor.shape)[-1] for name, tensor in outputs.items()}
        fields = tuple(given[FIELDS].shape)[-1] if FIELDS in given else 0
        return Batched(run, Shapes(tuple(given["image"].shape)[1:], sides, fields))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path}: its signature 'features' is not a classifier's ({_reason(error)}).") from None


def onnx_runtime(path: Path) -> ModelFile:
    """Load an `.onnx` file with onnxruntime, which the extra `onnx` installs."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: needs onnxruntime, which is not installed; pip install 'kmedtl[onnx]'.") from None
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented,
                state.RuntimeException)  # fmt: skip
    check_onnx(path)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise UserError(f"{path}: not an ONNX model that onnxruntime can run ({_reason(error)}).") from None
    inputs, widths = session.get_inputs(), {output.name: output.shape for output in session.get_outputs()}
    beside = [one for one in inputs if one.name == FIELDS]
    images = [one for one in inputs if one not in beside]
    if len(images) != 1 or FEATURES not in widths:
        raise UserError(f"{path}: expected one image in, outputs and features out. Received: {', '.join(widths)}.")
    (image,) = images

    def run(batch: ModelInputs) -> dict[str, np.ndarray]:
        given = {image.name: batch.images} | ({FIELDS: batch.fields} if beside else {})
        return dict(zip(widths, session.run(list(widths), given), strict=True))

    sides = {name: shape[-1] for name, shape in widths.items()}
    return Batched(run, Shapes(tuple(image.shape[1:]), sides, beside[0].shape[-1] if beside else 0))


def _batches(inputs: ModelInputs) -> Iterator[ModelInputs]:
    for start in range(0, len(inputs.images), BATCH):
        images, fields = inputs.of(slice(start, start + BATCH))
        yield ModelInputs(images.astype(np.float32), fields)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
