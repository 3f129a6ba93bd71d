"""Int8 files: from the ranges that tensors take on calibration images, by either of two quantizers.

Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(2018).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import BuiltinOperator
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.calibrator import CalibrationMode, Calibrator
from litert_quantizer.qtyping import TFLOperationName
from litert_quantizer.quantizer import Quantizer
from litert_quantizer.recipe_manager import RecipeManager

from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.export.saved_model import EDGE
from kmedtl.system.native_logs import quiet_stderr
from kmedtl.system.progress import progress

BITS = 8
CONVOLUTIONS = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D)
SUMS = (BuiltinOperator.ADD, BuiltinOperator.MUL)  # what follows the last layer with weights, if anything does
Ranges = dict[str, np.ndarray]  # tensor → float64 (n, 2): its least and largest value in each of n images


def convert(saved: Path, optimize: bool = False, half: bool = False) -> bytes:
    """Return a SavedModel of `kmedtl.export.saved_model` as TFLite: uint8 images (n, size, size, C) in.

    Args:
        optimize: weights become int8 (dynamic range), or with `half` float16; what is computed stays float.
    """
    converter = _converter(saved)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    converter.target_spec.supported_types = [tf.float16] if half else []
    return _run(converter)


def by_converter(saved: Path, images: np.ndarray, fields: np.ndarray | None = None) -> bytes:
    """Return the int8 file that TensorFlow's own converter makes; images are uint8 (n, size, size, C)."""
    converter = _converter(saved)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ((EDGE, one) for one in _each(images, fields))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    return _run(converter)


def ranges_of(model: bytes, images: np.ndarray, fields: np.ndarray | None = None) -> Ranges:
    """Return what each tensor of a float TFLite file reaches in each of the uint8 images (n, size, size, C).

    Args:
        fields: what is known beside them, float32 (n, D), of a file that takes it.
    """
    mode, seen = CalibrationMode.CALIBRATION_PROFILER_BASED, []
    calibrator = Calibrator(memoryview(model), num_threads=1, mode=mode)
    for one in progress(list(_each(images, fields)), "Calibrating int8", unit="image"):
        calibrator.reset_model_qsvs()  # else it would keep a moving average, which clips what is rare
        with quiet_stderr():
            calibrator.calibrate({EDGE: [one]}, RecipeManager())
        seen.append({name: (found["min"][0], found["max"][0]) for name, found in calibrator.get_model_qsvs().items()})
    return {name: np.array([found[name] for found in seen]) for name in seen[0]}


def by_ranges(model: bytes, ranges: Ranges, share: float = 1.0, in_float: Collection[str] = ()) -> bytes:
    """Return a float TFLite file with int8 weights, a scale a channel, and int8 activations, one a tensor.

    The last layers stay float: they cost nothing, and their outputs keep more than 256 values.

    Args:
        ranges: of `ranges_of`.
        share: of the images whose least and largest values the range holds; 1: all.
        in_float: outputs of further layers that stay float.
    """
    wanted = RecipeManager()
    wanted.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, BITS, BITS)
    last = _last_layers(model)
    kept = [(".*", TFLOperationName.INPUT), (".*", TFLOperationName.OUTPUT)]
    kept += [(f"^{re.escape(name.rstrip(';'))};?$", TFLOperationName.ALL_SUPPORTED) for name in (*last, *in_float)]
    for pattern, operation in kept:
        wanted.add_quantization_config(pattern, operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    bounds = {
        name: {
            "min": np.quantile(found[:, :1], 1 - share, axis=0),
            "max": np.quantile(found[:, 1:], share, axis=0),
        }
        for name, found in ranges.items()
    }
    quantizer = Quantizer(bytearray(model), wanted.get_quantization_recipe())
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        quantized = quantizer.quantize(bounds, enable_progress_report=False).quantized_model
    return _with_signature_of(model, bytes(quantized))


def _last_layers(model: bytes) -> list[str]:
    """Return the names of what a float TFLite file's outputs are made by, `features` aside: back to the last weights.

    Where fields are added to what an image gives, that is both layers and the sum.
    """
    outputs = Interpreter(model_content=model).get_signature_runner().get_output_details()
    whole = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    graph = whole.subgraphs[0]
    maker = {output: (step, kind) for step, kind in steps_of(whole) for output in step.outputs}
    todo, found = [one["index"] for name, one in outputs.items() if name != FEATURES], []
    while todo:
        tensor = todo.pop()
        if tensor in maker:
            step, kind = maker[tensor]
            found.append(graph.tensors[tensor].name.decode())
            todo += step.inputs if kind in SUMS else []
    return found


def convolution_outputs(model: bytes) -> list[str]:
    """Return the names of what the convolutions of a float TFLite file put out, in the order of computation."""
    whole = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    outputs = [step.outputs[0] for step, kind in steps_of(whole) if kind in CONVOLUTIONS]
    return [whole.subgraphs[0].tensors[output].name.decode() for output in outputs]


def steps_of(whole: Any) -> Iterator[tuple[Any, int]]:
    """Return the operators of a TFLite file, as `flatbuffer_utils` reads it, each with its kind."""
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in whole.operatorCodes]
    return ((step, codes[step.opcodeIndex]) for step in whole.subgraphs[0].operators)


def _each(images: np.ndarray, fields: np.ndarray | None) -> Iterator[dict[str, np.ndarray]]:
    """Yield the inputs for one image after the other by their names, float32 fields as they are."""
    inputs = ModelInputs(spanning(images), fields)
    for number in range(len(images)):
        yield inputs.of(slice(number, number + 1)).named()


def spanning(images: np.ndarray) -> np.ndarray:
    """Return the images with 0 and 255 in a corner of the first: the input's range, whatever they reach."""
    images = images.copy()
    images[0, 0, :2] = np.array([[0], [255]])
    return images


def _with_signature_of(model: bytes, quantized: bytes) -> bytes:
    """Return `quantized` with a signature that names its outputs, where the quantizer leaves what came before them."""
    before, after = (flatbuffer_utils.read_model_from_bytearray(bytearray(file)) for file in (model, quantized))
    places = list(before.subgraphs[0].outputs)
    for was, now in zip(before.signatureDefs[0].outputs, after.signatureDefs[0].outputs, strict=True):
        now.tensorIndex = after.subgraphs[0].outputs[places.index(was.tensorIndex)]
    for buffer in after.buffers:  # weights as bytes would be written one by one, in seconds
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(after))


def _converter(saved: Path) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[EDGE])


def _run(converter: tf.lite.TFLiteConverter) -> bytes:
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.convert()
