"""What the tensors of a TFLite file hold, image after image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from ai_edge_litert.interpreter import Interpreter

from kmedtl.edge.shapes import ModelInputs
from kmedtl.system.native_logs import quiet_stderr


def each_run(model: bytes, inputs: ModelInputs) -> Iterator[Interpreter]:
    """Yield one interpreter after each image that it ran, with all of its tensors to be read.

    Args:
        inputs: uint8 images (n, size, size, C), and fields where the model takes them.
    """
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it takes memory, which is asked for
        interpreter = Interpreter(model_content=model, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    places = {name: found["index"] for name, found in interpreter.get_signature_runner().get_input_details().items()}
    for number in range(len(inputs.images)):
        for name, given in inputs.of(slice(number, number + 1)).named().items():
            interpreter.set_tensor(places[name], given)
        interpreter.invoke()
        yield interpreter
