"""What computes the frozen part of a model: LiteRT or TensorFlow, the same numbers but for rounding."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from kmedtl.edge.interpreters import Interpreters
from kmedtl.finetune.distribution import is_plain
from kmedtl.system.cores import usable_cores
from kmedtl.system.native_logs import quiet_stderr

MANY = 500  # images; fewer are through before their graph is rewritten
MANY_PIXELS = 1000 * 224**2  # of all images; fewer are through before the graph is converted
AT_A_TIME = 8  # images; a processor's caches hold what TensorFlow makes of so many
Compute = Callable[..., Sequence[np.ndarray] | Sequence[tf.Tensor]]  # a batch of each input → one of each output


class Engine(NamedTuple):
    """What computes a prefix, and for how many images at a time; None: for whole batches."""

    compute: Compute
    at_a_time: int | None = None


def engine_for(prefix: keras.Model, images: int, batch_size: int) -> Engine:
    """Return what computes the outputs of a prefix, in order, of so many images, which come in such batches.

    Of many it is TensorFlow with constants; of networks with depthwise convolutions, on processors, LiteRT, in half to
    three quarters of its time, or TensorFlow again where LiteRT lacks an operation, which is said.
    """
    if images <= MANY or not prefix.weights:
        return Engine(with_variables(prefix), AT_A_TIME)
    if _suits_litert(prefix, images, batch_size):
        try:
            return Engine(LiteRTPrefix(prefix))
        except (ConverterError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            print(f"Frozen part: TensorFlow computes it, as LiteRT cannot ({reason}).", file=sys.stderr)
    return Engine(with_constants(prefix), AT_A_TIME)


def _suits_litert(prefix: keras.Model, images: int, batch_size: int) -> bool:
    """Tell whether LiteRT is the faster: an interpreter takes one core and one image."""
    height, width = prefix.inputs[0].shape[1:3]
    depthwise = any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in prefix.layers)
    on_processor = is_plain() and not tf.config.list_logical_devices("GPU")
    return depthwise and on_processor and batch_size >= usable_cores() and images * height * width > MANY_PIXELS


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
        self._interpreters = Interpreters(_converted(one))
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


def _converted(one: tf.types.experimental.ConcreteFunction) -> bytes:
    refused = None
    with quiet_stderr(), warnings.catch_warnings():  # which shows all that was said if an error leaves it
        warnings.simplefilter("ignore")
        try:
            return tf.lite.TFLiteConverter.from_concrete_functions([one]).convert()
        except ConverterError as error:
            refused = error
    raise refused
