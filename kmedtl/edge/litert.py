"""A `.tflite` file as a function from images to logits, through LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.errors import UserError
from kmedtl.quiet import quiet_stderr


class LiteRTModel:
    """An interpreter with its tensors allocated, for one image at a time."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            with quiet_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: not a TFLite model that LiteRT can run ({reason}).") from None
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits, float32 (N, findings), of uint8 images (N, size, size, C)."""
        return np.stack([self._run(image) for image in images])

    def _run(self, image: np.ndarray) -> np.ndarray:
        scale, zero = self._input["quantization"]  # (0, 0) for float
        values = np.round(image / scale + zero) if scale else image
        self._interpreter.set_tensor(self._input["index"], values[None].astype(self._input["dtype"]))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0]
