"""A backbone without its upper blocks: what is left, what it is called, what it answers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.blocks import block_map, end_tensors
from kmedtl.backbones.build import build_features
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.export.formats import write_all
from kmedtl.export.runtimes import open_runtime
from kmedtl.heads.build import with_named_outputs

IMAGES = np.random.default_rng(3).integers(0, 256, (6, 64, 64, 1), np.uint8)


def _model(name: str, weights: str, truncate_at: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((64, 64, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(build_features(image, name, weights, truncate_at))
    return keras.Model(image, keras.layers.Dense(1, name="logits")(pooled))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "at"),
    [("EfficientNetLite0", "block5"), ("MobileNetV2_035", "block15"), ("VGG16", "block1"), ("ResNet50V2", "stem")],
)
def test_the_blocks_up_to_the_cut_are_left_with_their_weights(name, at, tmp_path):
    weights = "imagenet" if name == "EfficientNetLite0" else "random"
    whole, short = _model(name, weights, ""), _model(name, weights, at)
    names = [block for block, _ in registry.get(name).blocks]
    kept = names[: names.index(at) + 1]
    assert [block.name for block in block_map(whole, name)] == [*names, "head"]
    short.save(tmp_path / "model.keras")
    for model in (short, keras.models.load_model(tmp_path / "model.keras")):
        blocks = block_map(model, name)
        assert [block.name for block in blocks] == [*kept, "head"]
        assert sorted(layer for block in blocks for layer in block.layers) == sorted(
            layer.name for layer in model.layers if layer.weights
        )
    assert short.count_params() < whole.count_params()
    block = next(block for block in block_map(whole, name) if block.name == at)
    images = IMAGES.astype("float32")
    ours = keras.Model(short.inputs, short.get_layer("features").output).predict(images, verbose=0)
    (end,) = end_tensors(whole, block)
    np.testing.assert_array_equal(ours, keras.Model(whole.inputs, end).predict(images, verbose=0))


@pytest.mark.slow
def test_the_last_block_cuts_nothing_off():
    whole, same = _model("EfficientNetLite0", "random", ""), _model("EfficientNetLite0", "random", "block7")
    assert same.count_params() == whole.count_params()
    assert block_map(same, "EfficientNetLite0")[:-1] == block_map(whole, "EfficientNetLite0")[:-1]


@pytest.mark.parametrize(
    ("name", "at", "words"),
    [
        ("EfficientNetLite0", "blok5", "no such block: 'blok5' in EfficientNetLite0. Did you mean 'block5'?"),
        ("EfficientNetLite0", "head", "no such block: 'head'"),
        ("NASNetMobile", "stage1", "block stage1 hands on several tensors in NASNetMobile. Did you mean 'stage3'?"),
    ],
)
def test_a_block_that_is_no_end_is_refused_with_the_nearest(name, at, words):
    with pytest.raises(UserError, match=r"backbone\.truncate_at") as caught:
        build_features(keras.Input((64, 64, 1)), name, "random", at)
    assert words in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetLite0", "MobileNetV2_035"])
def test_a_truncated_backbone_goes_into_every_file(name, tmp_path):
    model = with_named_outputs(_model(name, "random", "block3"), LOGITS)
    expected = model.predict(IMAGES.astype("float32"), verbose=0)[LOGITS]
    for path in write_all(model, tmp_path, IMAGES):
        tolerance = np.ptp(expected) if "int8" in path.name else 1e-4
        np.testing.assert_allclose(open_runtime(path)(IMAGES)[LOGITS], expected, atol=tolerance, err_msg=path.name)
