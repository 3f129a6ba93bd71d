import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map, select
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune.frozen_prefix import Activations, CachedEpoch, cut
from kmedtl.heads.build import build_model
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("EfficientNetLite0", "head"),
        ("EfficientNetLite0", "last:3"),
        ("MobileNetV3Small", "last:1"),
        pytest.param("NASNetMobile", "head", marks=pytest.mark.slow),
    ],
)
def test_prefix_and_suffix_are_the_model(name, train):
    model = build_classifier(Backbone(name, "random"), Head(), 64, 1, 1)
    blocks = block_map(model, name)
    parts = cut(model, blocks, select(blocks, train))
    images = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype("float32")
    assert np.allclose(parts.suffix(parts.prefix(images))[LOGITS], model(images)[LOGITS], atol=1e-6)
    own = {id(weight) for weight in model.weights}
    assert all(id(weight) in own for weight in [*parts.prefix.weights, *parts.suffix.weights])


def test_every_tensor_that_crosses_the_cut_is_handed_on():
    """A decoder on the pyramid takes maps of all strides, and the image besides."""

    def decoded(features):
        merged = features.map
        for stride in sorted(features.pyramid)[-2::-1]:
            merged = keras.layers.UpSampling2D()(merged)
            merged = keras.layers.Concatenate()([merged, features.pyramid[stride]])
            merged = keras.layers.Conv2D(4, 3, padding="same")(merged)
        merged = keras.layers.Concatenate()([keras.layers.UpSampling2D()(merged), features.image])
        return {"mask": keras.layers.Conv2D(1, 1, name="mask")(merged)}

    model = build_model(Backbone("EfficientNetLite0", "random"), Head(), 64, 1, decoded)
    blocks = block_map(model, "EfficientNetLite0")
    images = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype("float32")
    for train, crossing in {"head": 6, "last:2": 5, "last:6": 2}.items():
        parts = cut(model, blocks, select(blocks, train))
        assert len(parts.prefix.outputs) == crossing, train
        found = parts.suffix(parts.prefix(images))["mask"]
        assert np.allclose(found, model(images)["mask"], atol=1e-5)


def test_nothing_frozen_is_nothing_to_cut():
    model = build_classifier(Backbone("EfficientNetLite0", "random"), Head(), 64, 1, 1)
    blocks = block_map(model, "EfficientNetLite0")
    assert cut(model, blocks, select(blocks, "all")) is None


@pytest.fixture
def activations():
    """Ten images in three views whose activations tell view and image: 100 × view + image."""
    model = build_classifier(Backbone("EfficientNetLite0", "random"), Head(), 64, 1, 1)
    blocks = block_map(model, "EfficientNetLite0")
    prefix = cut(model, blocks, ("head",)).prefix
    cached = Activations(prefix, {LOGITS: np.zeros((10, 1))}, views=3, dtype="float16")
    shape = cached.arrays[0].shape[2:]
    for view in range(3):
        rows = [np.full(shape, 100 * view + image, "float32") for image in range(10)]
        targets = np.arange(10, dtype="float32")[:, None] % 2
        for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
            cached.write(
                view, part.start, [np.stack(rows[part])], (None, {LOGITS: targets[part]}, 1 + targets[part, 0])
            )
    return cached


def test_an_epoch_visits_each_image_once_in_some_view(activations):
    epoch = CachedEpoch(activations, batch_size=4, seed=1)
    batches = [epoch[number] for number in range(len(epoch))]
    values = np.concatenate([inputs.reshape(len(inputs), -1)[:, 0] for inputs, *_ in batches]).astype(int)
    assert sorted(values % 100) == list(range(10))
    assert len(set(values // 100)) > 1
    targets = np.concatenate([targets[LOGITS] for _, targets, _ in batches])[:, 0]
    assert np.array_equal(targets, values % 100 % 2)
    assert np.array_equal(np.concatenate([weights for *_, weights in batches]), 1 + targets)


def test_an_epoch_depends_on_its_seed(activations):
    def first(seed):
        return CachedEpoch(activations, 4, seed)[0][0]

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
