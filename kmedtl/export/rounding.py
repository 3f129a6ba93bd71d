"""Weights rounded to int8 so that what layers put out changes least, instead of each weight.

Sources: Frantar & Alistarh, Optimal Brain Compression (2022), section 5; Frantar et al., GPTQ (2023), section 3: a
weight is rounded, and those that are not yet are moved by what makes up for it best on the inputs that the layer sees.
Neighbouring pixels are alike, and the three channels of a gray image are the same, so most of the error can be made up.
What rounding adds on average goes into the bias (Nagel et al., Data-Free Quantization, 2019, section 4.2), so that the
weights make up for the rest alone: behind a ReLU the mean is most of an input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import BuiltinOperator, Padding
from ai_edge_litert.tools import flatbuffer_utils

from kmedtl.edge.shapes import ModelInputs
from kmedtl.export.activations import each_run
from kmedtl.export.quantize import CONVOLUTIONS, steps_of
from kmedtl.system.progress import progress

STEPS = 127  # of a weight on either side of 0
IMAGES = 32  # are looked at, of those that there are
AT_ONCE = 8  # of them, whose inputs are held
PLACES = 64  # of each image, at which a layer's inputs are looked at
LARGEST = 640  # inputs that make up for each other; a layer with more is divided
DAMPING = 0.01  # of the inputs' mean square, added to each
LEAST = 1e-9  # of the square of their mean, below which what differs from it is rounding


@dataclass(frozen=True)
class Convolution:
    """A layer of a TFLite graph.

    Attributes:
        input: index of the tensor that goes in, (1, H, W, C).
        weights: index of that of its weights: (R, h, w, C), or of a depthwise one (1, h, w, C).
        bias: index of that of its bias, (R,) or (C,); None: it has none of its own.
        is_depthwise: each channel has weights of its own.
        stride: in pixels, down and across.
        is_padded: with zeros, so that what comes out is as large as what goes in, strides aside.
        shape: of the weights.
    """

    input: int
    weights: int
    bias: int | None
    is_depthwise: bool
    stride: tuple[int, int]
    is_padded: bool
    shape: tuple[int, ...]

    @property
    def groups(self) -> int:
        """The least number G ≥ 1 of equal parts that its inputs can be divided into, `LARGEST` at most each."""
        if self.is_depthwise:
            return self.shape[3]
        count = int(np.prod(self.shape[1:]))
        return next(parts for parts in range(-(-count // LARGEST), count + 1) if count % parts == 0)

    def grouped(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (G, R, D): those of R outputs for the D inputs of each of G groups."""
        if self.is_depthwise:
            return weights.reshape(-1, 1, self.shape[3]).T
        return weights.reshape(self.shape[0], self.groups, -1).transpose(1, 0, 2)

    def ungrouped(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (G, R, D) in their shape."""
        plain = weights.T if self.is_depthwise else weights.transpose(1, 0, 2)
        return plain.reshape(self.shape)

    def summed(self, answers: np.ndarray) -> np.ndarray:
        """Return what its outputs are, (R,) or (C,), of what they are by each group, (G, R)."""
        return answers[:, 0] if self.is_depthwise else answers.sum(axis=0)

    def seen(self, values: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return what the layer sees at some places of its input (H, W, C): (G, D, places)."""
        size = self.shape[1:3]
        if self.is_padded:
            sides = zip(values.shape[:2], size, self.stride, strict=True)
            values = np.pad(values, [*(_padding(*side) for side in sides), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(values, size, (0, 1))[:: self.stride[0], :: self.stride[1]]
        rows, columns = (random.integers(0, count, PLACES) for count in windows.shape[:2])
        found = windows[rows, columns]  # (places, C, h, w)
        if self.is_depthwise:
            return found.reshape(PLACES, self.shape[3], -1).transpose(1, 2, 0)
        return found.transpose(0, 2, 3, 1).reshape(PLACES, self.groups, -1).transpose(1, 2, 0)


@dataclass
class Moments:
    """Sums over what a layer sees: of inputs (G, D), of their products (G, D, D), and how many there are.

    Both are kept about an origin, the mean of the first inputs: about 0 most of a product is the mean's, and what is
    left of it in float32 would be rounding.
    """

    origin: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    count: int = 0

    @classmethod
    def about(cls, origin: np.ndarray) -> Moments:
        """Return those of no input yet."""
        groups, inputs = origin.shape
        return cls(origin, np.zeros((groups, inputs)), np.zeros((groups, inputs, inputs)))

    def add(self, seen: np.ndarray) -> None:
        """Add inputs (G, D, n)."""
        apart = seen - self.origin[:, :, None]
        self.sums += apart.sum(axis=2)
        self.products += apart @ apart.transpose(0, 2, 1)
        self.count += seen.shape[2]

    @property
    def mean(self) -> np.ndarray:
        """Of the inputs, (G, D)."""
        return self.origin + self.sums / self.count

    @property
    def about_mean(self) -> np.ndarray:
        """Sums of products of what inputs differ by from their mean, (G, D, D), a little more on the diagonal."""
        found, inputs = self.products - _outer(self.sums, self.sums) / self.count, self.sums.shape[1]
        least = LEAST * self.count * np.square(self.mean).mean(axis=1)
        found[:, range(inputs), range(inputs)] += least[:, None]
        return found

    @property
    def about_zero(self) -> np.ndarray:
        """Sums of products of the inputs, (G, D, D)."""
        return self.about_mean + self.count * _outer(self.mean, self.mean)


def _outer(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    return some[:, :, None] * others[:, None]


def rounded(model: bytes, images: np.ndarray, fields: np.ndarray | None = None) -> bytes:
    """Return a float TFLite file with the weights of all convolutions on the grid of int8, a scale an output channel.

    The largest weight of a channel stays, so a quantizer that takes the scale from it rounds nothing further.

    Args:
        images, fields: uint8 (n, size, size, C), and what is known beside them: what the layers' inputs are made of.
    """
    whole = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    layers = list(convolutions(whole))
    moments = _moments(model, layers, ModelInputs(images, fields).of(slice(IMAGES)))
    for layer, moment in zip(progress(layers, "Rounding weights", unit="layer"), moments, strict=True):
        exact = layer.grouped(_values(whole, layer.weights).reshape(layer.shape))
        products = moment.about_zero if layer.bias is None else moment.about_mean
        near = rounded_weights(exact, products, layer.is_depthwise)
        _put(whole, layer.weights, layer.ungrouped(near))
        if layer.bias is not None:
            lost = np.einsum("grd,gd->gr", exact - near, moment.mean)
            _put(whole, layer.bias, _values(whole, layer.bias) + layer.summed(lost))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(whole))


def _values(whole: Any, tensor: int) -> np.ndarray:
    """Return a float constant, flat."""
    return np.frombuffer(bytes(whole.buffers[whole.subgraphs[0].tensors[tensor].buffer].data), np.float32)


def _put(whole: Any, tensor: int, values: np.ndarray) -> None:
    buffer = whole.buffers[whole.subgraphs[0].tensors[tensor].buffer]
    buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)


def _moments(model: bytes, layers: Sequence[Convolution], inputs: ModelInputs) -> list[Moments]:
    random = np.random.default_rng(0)
    found: list[Moments] = []
    held: list[list[np.ndarray]] = [[] for _ in layers]
    runs = each_run(model, inputs)
    for count, interpreter in enumerate(progress(runs, "Inputs of layers", len(inputs.images), unit="image"), 1):
        for some, layer in zip(held, layers, strict=True):
            some.append(layer.seen(interpreter.get_tensor(layer.input)[0], random))
        if count % AT_ONCE == 0 or count == len(inputs.images):
            seen = [np.ascontiguousarray(np.concatenate(some, axis=2)) for some in held]
            found = found or [Moments.about(one.mean(axis=2)) for one in seen]
            for moment, one in zip(found, seen, strict=True):
                moment.add(one)
            held = [[] for _ in layers]
    return found


def convolutions(whole: Any) -> Iterator[Convolution]:
    """Yield those whose weights are float constants that no other layer has."""
    graph = whole.subgraphs[0]
    uses = Counter(graph.tensors[place].buffer for step, _ in steps_of(whole) for place in step.inputs if place >= 0)
    for step, kind in steps_of(whole):
        if kind not in CONVOLUTIONS:
            continue
        place = step.inputs[1]
        weights, options = graph.tensors[place], step.builtinOptions
        is_plain = options.dilationHFactor == options.dilationWFactor == 1
        if whole.buffers[weights.buffer].data is None or uses[weights.buffer] > 1 or not is_plain:
            continue
        bias = int(step.inputs[2]) if len(step.inputs) > 2 else -1
        own = bias >= 0 and uses[graph.tensors[bias].buffer] == 1
        yield Convolution(
            input=int(step.inputs[0]),
            weights=int(place),
            bias=bias if own and whole.buffers[graph.tensors[bias].buffer].data is not None else None,
            is_depthwise=kind == BuiltinOperator.DEPTHWISE_CONV_2D,
            stride=(options.strideH, options.strideW),
            is_padded=options.padding == Padding.SAME,
            shape=tuple(map(int, weights.shape)),
        )


def _padding(side: int, size: int, stride: int) -> tuple[int, int]:
    """Return how many zeros TensorFlow's SAME puts before and after a side."""
    count = max((-(-side // stride) - 1) * stride + size - side, 0)
    return count // 2, count - count // 2


def rounded_weights(weights: np.ndarray, moments: np.ndarray, is_depthwise: bool) -> np.ndarray:
    """Return weights (G, R, D) on the grid, given the second moments (G, D, D) of their inputs."""
    size = np.abs(weights).max(axis=2 if is_depthwise else (0, 2), keepdims=True)
    scale = np.where(size > 0, size / STEPS, 1)[..., 0]
    stays = np.abs(weights) == size
    largest_first = np.argsort(-np.diagonal(moments, axis1=1, axis2=2), axis=1)
    order = largest_first[:, None, :]
    factors = _factors(np.take_along_axis(np.take_along_axis(moments, order, 2), largest_first[:, :, None], 1))
    left, stays = np.take_along_axis(weights, order, 2).copy(), np.take_along_axis(stays, order, 2)
    for column in range(left.shape[2]):
        exact = left[:, :, column]
        near = np.clip(np.round(exact / scale), -STEPS, STEPS) * scale
        given = np.take_along_axis(weights, order[:, :, column : column + 1], 2)[..., 0]
        near = np.where(stays[:, :, column], given, near).astype(np.float32)
        error = (exact - near) / factors[:, column, column, None]
        left[:, :, column] = near
        left[:, :, column + 1 :] -= error[:, :, None] * factors[:, None, column, column + 1 :]
    found = np.empty_like(left)
    np.put_along_axis(found, np.broadcast_to(order, left.shape), left, 2)
    return found


def _factors(moments: np.ndarray) -> np.ndarray:
    """Return upper triangular factors U, float32 (G, D, D), of the inverse UᵀU of the damped moments."""
    count = moments.shape[1]
    damped = moments.astype(np.float64)
    mean = np.trace(damped, axis1=1, axis2=2) / count
    damped[:, range(count), range(count)] += np.where(mean > 0, DAMPING * mean, 1.0)[:, None]
    return np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1).astype(np.float32)
