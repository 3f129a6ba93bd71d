"""What computes the frozen part of a model: LiteRT or TensorFlow, the same numbers but for rounding."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from kmedtl.edge.interpreters import Interpreters
from kmedtl.finetune.distribution import is_plain
from kmedtl.system.native_logs import quiet_stderr

MANY = 500  # images; fewer are through before their graph is rewritten
Compute = Callable[..., Sequence[np.ndarray] | Sequence[tf.Tensor]]  # a batch of each input → one of each output


def engine_for(prefix: keras.Model, images: int) -> Compute:
    """Return what computes the outputs of a prefix, in order, of so many images.

    Of many it is TensorFlow with constants; of networks with depthwise convolutions, on processors, LiteRT, in about
    half of its time, or TensorFlow again where LiteRT lacks an operation, which is said.
    """
    if images <= MANY or not prefix.weights:
        return with_variables(prefix)
    depthwise = any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in prefix.layers)
    if not depthwise or not is_plain() or tf.config.list_logical_devices("GPU"):
        return with_constants(prefix)
    try:
        return LiteRTPrefix(prefix)
    except (ConverterError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        print(f"Frozen part: TensorFlow computes it, as LiteRT cannot ({reason}).", file=sys.stderr)
        return with_constants(prefix)


def with_variables(prefix: keras.Model, images: int | None = None) -> tf.types.experimental.PolymorphicFunction:
    """Return a TensorFlow function of so many images, None: of any number, that is traced once."""
    return tf.function(
        lambda *inputs: keras.tree.flatten(prefix(list(inputs), training=False)),
        input_signature=[tf.TensorSpec((images, *one.shape[1:]), tf.float32) for one in prefix.inputs],
    )


def with_constants(prefix: keras.Model, images: int | None = None) -> tf.types.experimental.ConcreteFunction:
    """Return one whose weights are constants, so that BatchNorm and activations can be merged into convolutions."""
    return convert_variables_to_constants_v2(with_variables(prefix, images).get_concrete_function())


class LiteRTPrefix:
    """A prefix in LiteRT, an interpreter on each core, which takes one image at a time; called with batches."""

    def __init__(self, prefix: keras.Model) -> None:
        """Convert it, which takes seconds.

        Raises:
            ConverterError: LiteRT lacks an operation.
            ValueError, RuntimeError: LiteRT cannot run what the converter made.
        """
        one = with_constants(prefix, images=1)
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = tf.lite.TFLiteConverter.from_concrete_functions([one]).convert()
        self._interpreters = Interpreters(content)
        inputs, outputs = self._interpreters.first.get_input_details(), self._interpreters.first.get_output_details()
        expected = [[tuple(tensor.shape) for tensor in side] for side in (one.inputs, one.outputs)]
        found = [[tuple(map(int, detail["shape"])) for detail in side] for side in (inputs, outputs)]
        if expected != found:
            raise ValueError(f"expected {expected} of the converted model. Received: {found}.")
        self._inputs, self._outputs = [[detail["index"] for detail in side] for side in (inputs, outputs)]

    def __call__(self, *inputs: tf.Tensor) -> list[np.ndarray]:
        """Return each output, float32 (N, …), of a batch of each input, float32 (N, …)."""
        arrays = [tensor.numpy() for tensor in inputs]
        found = self._interpreters.each(lambda copy, number: self._run(copy, arrays, number), len(arrays[0]))
        return [np.stack(output) for output in zip(*found, strict=True)]

    def _run(self, interpreter: Interpreter, arrays: Sequence[np.ndarray], number: int) -> list[np.ndarray]:
        for index, array in zip(self._inputs, arrays, strict=True):
            interpreter.set_tensor(index, array[number : number + 1])
        interpreter.invoke()
        return [interpreter.get_tensor(index)[0] for index in self._outputs]
