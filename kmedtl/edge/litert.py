"""A `.tflite` file as a function from images, and fields beside them, to outputs and features, through LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.edge.fields import FIELDS
from kmedtl.edge.interpreters import Interpreters
from kmedtl.edge.shapes import Shapes
from kmedtl.errors import UserError

FOREIGN = "output"  # of a file that names none
PIXELS = (np.uint8, np.int8, np.int16, np.float32)  # types of an image


class LiteRTModel:
    """A file as a function: an image is answered by one interpreter, and several at once by one on each core.

    The answer to an image is the same whichever interpreter gives it. A file of kmedtl names its outputs; the first
    output of any other is called `output`.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            threads: cores that an image may use; as many interpreters work at a time as cores allow.

        Raises:
            UserError: no TFLite file, one that LiteRT cannot run, or no model of one image.
        """
        self._path = path
        try:
            self._interpreters = Interpreters(path.read_bytes(), threads)
            named, given = _named_tensors(self._interpreters.first)
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: not a TFLite model that LiteRT can run ({reason}).") from None
        first = self._interpreters.first
        inputs, outputs = first.get_input_details(), first.get_output_details()
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
        widths = {output["index"]: _width(output["shape"]) for output in self._interpreters.first.get_output_details()}
        fields = _width(self._fields["shape"]) if self._fields else 0
        return Shapes(self.input_shape[1:], {name: widths[index] for name, index in self._outputs.items()}, fields)

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return every output, float32 (N, …), of uint8 images (N, size, size, C) and float32 fields (N, D).

        Raises:
            ValueError: fields for a file that takes none, or none for one that does.
        """
        if (fields is None) != (self._fields is None):
            raise ValueError(f"{self._path}: expected {'fields' if self._fields else 'no fields'} beside the images.")
        found = self._interpreters.each(
            lambda interpreter, one: self._run(interpreter, images[one], None if fields is None else fields[one]),
            len(images),
        )
        return {name: np.stack([outputs[name] for outputs in found]) for name in self._outputs}

    def _run(self, interpreter: Interpreter, image: np.ndarray, fields: np.ndarray | None) -> dict[str, np.ndarray]:
        _set(interpreter, self._input, image)
        if self._fields is not None and fields is not None:
            _set(interpreter, self._fields, fields)
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise UserError(f"{self._path}: LiteRT cannot run it ({' '.join(str(error).split())}).") from None
        return {name: self._value(interpreter, index) for name, index in self._outputs.items()}

    def _value(self, interpreter: Interpreter, output: int) -> np.ndarray:
        value = interpreter.get_tensor(output)[0]
        if output not in self._quantized:
            return value
        scale, zero = self._quantized[output]
        return (value.astype(np.float32) - zero) * np.float32(scale)


def _set(interpreter: Interpreter, tensor: dict, given: np.ndarray) -> None:
    scale, zero = tensor["quantization"]  # (0, 0) for float, and for a file that takes the pixels as they are
    values = np.round(given / scale + zero) if scale else given
    interpreter.set_tensor(tensor["index"], values[None].astype(tensor["dtype"]))


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
