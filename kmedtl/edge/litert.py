"""A `.tflite` file as a function from images, and fields beside them, to outputs and features, through LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.edge.fields import FIELDS
from kmedtl.edge.shapes import Shapes
from kmedtl.errors import UserError
from kmedtl.system.native_logs import quiet_stderr

FOREIGN = "output"  # of a file that names none
PIXELS = (np.uint8, np.int8, np.int16, np.float32)  # types of an image


class LiteRTModel:
    """An interpreter with its tensors allocated, for one image at a time.

    A file of kmedtl names its outputs; the first output of any other is called `output`.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            with quiet_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
                named, given = _named_tensors(self._interpreter)
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: not a TFLite model that LiteRT can run ({reason}).") from None
        self._path = path
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        beside = [one for one in inputs if one["index"] == given.get(FIELDS)] if len(inputs) == 2 else []
        images = [one for one in inputs if one not in beside]
        if len(images) != 1 or images[0]["dtype"] not in PIXELS or not outputs:
            raise UserError(f"{path}: expected a model of one image. Received: {len(inputs)} inputs, or no numbers.")
        self._input, self._fields = images[0], beside[0] if beside else None
        self._outputs = named or {FOREIGN: outputs[0]["index"]}
        self._quantized = {output["index"]: output["quantization"] for output in outputs if output["quantization"][0]}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What it takes at a time: (1, height, width, channels) of an image."""
        return tuple(map(int, self._input["shape"]))

    @property
    def shapes(self) -> Shapes:
        """What goes in and comes out."""
        widths = {output["index"]: _width(output["shape"]) for output in self._interpreter.get_output_details()}
        fields = _width(self._fields["shape"]) if self._fields else 0
        return Shapes(self.input_shape[1:], {name: widths[index] for name, index in self._outputs.items()}, fields)

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return every output, float32 (N, …), of uint8 images (N, size, size, C) and float32 fields (N, D).

        Raises:
            ValueError: fields for a file that takes none, or none for one that does.
        """
        if (fields is None) != (self._fields is None):
            raise ValueError(f"{self._path}: expected {'fields' if self._fields else 'no fields'} beside the images.")
        beside = [None] * len(images) if fields is None else fields
        found = [self._run(image, row) for image, row in zip(images, beside, strict=True)]
        return {name: np.stack([outputs[name] for outputs in found]) for name in self._outputs}

    def _run(self, image: np.ndarray, fields: np.ndarray | None) -> dict[str, np.ndarray]:
        self._set(self._input, image)
        if self._fields is not None and fields is not None:
            self._set(self._fields, fields)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise UserError(f"{self._path}: LiteRT cannot run it ({' '.join(str(error).split())}).") from None
        return {name: self._value(index) for name, index in self._outputs.items()}

    def _set(self, tensor: dict, given: np.ndarray) -> None:
        scale, zero = tensor["quantization"]  # (0, 0) for float, and for a file that takes the pixels as they are
        values = np.round(given / scale + zero) if scale else given
        self._interpreter.set_tensor(tensor["index"], values[None].astype(tensor["dtype"]))

    def _value(self, output: int) -> np.ndarray:
        value = self._interpreter.get_tensor(output)[0]
        if output not in self._quantized:
            return value
        scale, zero = self._quantized[output]
        return (value.astype(np.float32) - zero) * np.float32(scale)


def _width(shape: np.ndarray) -> int | str:
    """Return how many numbers an output has for one image, or for one pixel of it."""
    return int(shape[-1]) if len(shape) in (2, 4) and shape[0] == 1 else str(tuple(map(int, shape)))


def _named_tensors(interpreter: Interpreter) -> tuple[dict[str, int], dict[str, int]]:
    """Return the tensors behind the names of outputs and inputs of the file's one signature; of none nothing."""
    if len(interpreter.get_signature_list()) != 1:
        return {}, {}
    runner = interpreter.get_signature_runner()
    outputs, inputs = (
        {name: found["index"] for name, found in details.items()}
        for details in (runner.get_output_details(), runner.get_input_details())
    )
    return outputs, inputs
