"""Which layers of a quantized file hurt most."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kmedtl.edge.shapes import ModelInputs
from kmedtl.export.activations import each_run

IMAGES = 8  # are enough to rank layers


def worst_layers(whole: bytes, quantized: bytes, images: np.ndarray, fields: np.ndarray | None = None) -> list[str]:
    """Return the outputs of the layers of a float TFLite file, what int8 adds most noise to first.

    A layer's noise is the mean squared difference of its output from the float one's, over the variance of that; what
    it adds is by how much it exceeds the noise of the layer before.

    Args:
        quantized: of `kmedtl.export.quantize.by_ranges`, which keeps the names of tensors.
        images, fields: uint8 (n, size, size, C), and what is known beside them; the first few are used.
    """
    noise: dict[str, float] = {}
    inputs = ModelInputs(images, fields).of(slice(IMAGES))
    before, after = (_outputs(file, inputs) for file in (whole, quantized))
    for name, values in before.items():
        if name in after and values.var() > 0:
            noise[name] = float(np.square(after[name] - values).mean() / values.var())
    added = np.diff([0.0, *noise.values()])
    return [name for _, name in sorted(zip(added, noise, strict=True), reverse=True)]


def _outputs(model: bytes, inputs: ModelInputs) -> dict[str, np.ndarray]:
    """Return what each layer put out for the images, float32 (n, …), in the order of computation."""
    seen: dict[str, list[np.ndarray]] = {}
    for interpreter in each_run(model, inputs):
        for tensor in interpreter.get_tensor_details():
            if len(tensor["shape"]) > 1 and tensor["shape"][0] == 1 and tensor["dtype"] in (np.float32, np.int8):
                value = _value(interpreter, tensor)
                if value is not None:
                    seen.setdefault(tensor["name"], []).append(value)
    return {name: np.stack(values) for name, values in seen.items()}


def _value(interpreter: Interpreter, tensor: dict) -> np.ndarray | None:
    """Return a tensor as float; None where a fused layer left none."""
    try:
        value = interpreter.get_tensor(tensor["index"])[0].astype(np.float32)
    except ValueError:
        return None
    scale, zero = tensor["quantization"]
    return (value - zero) * scale if scale else value
