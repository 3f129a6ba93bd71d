"""Weights of int8 that are rounded by what layers put out."""

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from kmedtl.data.phantom.film import films
from kmedtl.edge.litert import LiteRTModel
from kmedtl.export import quantize, saved_model
from kmedtl.export.rounding import STEPS, Moments, convolutions, rounded, rounded_weights
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier

SIZE = 64


@pytest.fixture(scope="module")
def images():
    """Gray films, uint8 (24, 64, 64, 1): the first half to calibrate by."""
    return np.stack([film.image for film in films(24, 0, SIZE)])[..., None]


# Of each network how much of the error is left: where biases are shared, as of random weights, the mean stays in it.
LEFT = {"EfficientNetLite0": 0.4, "ResNet50V2": 0.85}


@pytest.fixture(scope="module", params=["EfficientNetLite0", pytest.param("ResNet50V2", marks=pytest.mark.slow)])
def whole(request, tmp_path_factory):
    """A float file: depthwise and pointwise convolutions with ImageNet's weights, or wide ones with random ones."""
    weights, last = {"EfficientNetLite0": ("imagenet", "block3"), "ResNet50V2": ("random", "conv2")}[request.param]
    model = build_classifier(Backbone(request.param, weights, truncate_at=last), Head(), SIZE, 1, 1)
    return quantize.convert(saved_model.write(model, tmp_path_factory.mktemp("files") / "saved_model"))


def features(file, images, folder):
    path = folder / "model.tflite"
    path.write_bytes(file)
    return LiteRTModel(path)(images)["features"]


def kernels(file):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(file))
    for layer in convolutions(model):
        data = bytes(model.buffers[model.subgraphs[0].tensors[layer.weights].buffer].data)
        kernel = np.frombuffer(data, np.float32).reshape(layer.shape)
        yield kernel.reshape(-1, layer.shape[3]).T if layer.is_depthwise else kernel.reshape(layer.shape[0], -1)


def test_outputs_come_nearer_than_where_each_weight_is_rounded_by_itself(whole, images, request, tmp_path):
    known, new = images[:12], images[12:]
    better = rounded(whole, known)
    ranges = quantize.ranges_of(whole, known)
    expected = features(whole, new, tmp_path)
    by_itself, by_outputs = (
        np.square(features(quantize.by_ranges(file, ranges), new, tmp_path) - expected).mean()
        for file in (whole, better)
    )
    assert by_outputs < LEFT[request.node.callspec.params["whole"]] * by_itself


def test_weights_lie_on_the_grid_whose_largest_stays(whole, images):
    pairs = list(zip(kernels(whole), kernels(rounded(whole, images[:4])), strict=True))
    assert len(pairs) > 5
    for before, after in pairs:
        scale = np.abs(before).max(axis=1, keepdims=True) / STEPS
        np.testing.assert_allclose(np.abs(after).max(axis=1, keepdims=True), scale * STEPS, rtol=1e-6)
        steps = np.divide(after, scale, out=np.zeros_like(after), where=scale > 0)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert any(not np.array_equal(before, after) for before, after in pairs)


@pytest.mark.parametrize("spread", [0.1, 0.003, 0.0])
def test_inputs_that_hardly_differ_are_rounded_by(spread):
    """Those of a map of one pixel, few vectors seen again and again, whose mean is nearly all of them."""
    random = np.random.default_rng(0)
    vectors = (5 + spread * random.normal(size=(240, 32))).astype("float32")
    moments = Moments.about(vectors[None, :, :8].mean(axis=2))
    moments.add(vectors[None, :, :8])
    moments.add(np.repeat(vectors, 64, axis=1)[None])
    seen = np.concatenate([vectors[:, :8], np.repeat(vectors, 64, axis=1)], axis=1).astype("float64")
    np.testing.assert_allclose(moments.mean[0], seen.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(moments.about_zero[0], seen @ seen.T, rtol=1e-4)
    weights = random.normal(size=(1, 3, 240)).astype("float32")
    near = rounded_weights(weights, moments.about_mean, is_depthwise=False)
    assert np.isfinite(near).all()
    assert np.abs(near - weights).max() < 0.2 * np.abs(weights).max()
