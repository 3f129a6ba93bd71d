"""Every kind of head: trains, survives safe mode and conversion, and answers what its paper says."""

import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import HEAD, block_map, set_trainable
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.export.formats import FILES, write_all
from kmedtl.export.runtimes import open_runtime
from kmedtl.heads.pooling import HEADS, pooling_of
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier
from tests.rows import quick_first

SMALL = Backbone("EfficientNetLite0", "random", truncate_at="block3")
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 1), np.uint8)


@pytest.fixture
def model(kind):
    keras.utils.set_random_seed(4)
    return build_classifier(SMALL, Head(kind, hidden=8), 64, 1, findings=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADS)
def test_a_head_trains_alone(model, kind):
    blocks = block_map(model, SMALL.name)
    assert set(blocks[-1].layers) == {layer.name for layer in model.layers if layer.weights} - {
        name for block in blocks[:-1] for name in block.layers
    }
    set_trainable(model, blocks, HEAD)
    before = [weight.numpy() for weight in model.weights]
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(IMAGES.astype("float32"), np.arange(12) % 2, batch_size=12, verbose=0)
    moved = {
        weight.path.split("/")[0]
        for weight, then in zip(model.weights, before, strict=True)
        if not np.array_equal(weight.numpy(), then)
    }
    assert moved == set(blocks[-1].layers)


@pytest.mark.parametrize("kind", quick_first(HEADS, []))
def test_every_file_answers_as_the_model(model, kind, tmp_path):
    expected = model.predict(IMAGES.astype("float32"), verbose=0)[LOGITS]
    tolerance = {"model.keras": 1e-6, "saved_model": 1e-5, FILES["float32"]: 1e-4, FILES["int8"]: np.ptp(expected) / 4}
    for path in write_all(model, tmp_path, IMAGES):
        np.testing.assert_allclose(
            open_runtime(path)(IMAGES)[LOGITS], expected, atol=tolerance[path.name], err_msg=path.name
        )


@pytest.mark.parametrize(("kind", "there"), [("linear", True), ("mlp", True), ("attention_pool", False)])
def test_only_pooling_without_weights_is_a_place_to_cut(model, kind, there):
    pooling = pooling_of(model)
    assert (pooling is not None) == there
    assert pooling is None or (len(pooling.output.shape) == 2 and not pooling.weights)


@pytest.mark.parametrize("kind", ["attention_pool"])
def test_attention_is_the_gated_one_of_the_paper(model, kind):
    names = ("features", "head_attention", "head_attended_vector")
    taps = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    features, attention, attended = taps.predict(IMAGES.astype("float32"), verbose=0)
    places = features.reshape(len(features), -1, features.shape[-1])
    weights = {name: model.get_layer(f"head_attention_{name}").get_weights() for name in ("content", "gate", "score")}
    content, gate = (places @ weights[name][0][0, 0] + weights[name][1] for name in ("content", "gate"))
    scores = (np.tanh(content) / (1 + np.exp(-gate))) @ weights["score"][0][0, 0] + weights["score"][1]
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(attention[:, 0], expected[..., 0], atol=1e-5)
    np.testing.assert_allclose(attended, (expected * places).sum(axis=1), atol=1e-4)
