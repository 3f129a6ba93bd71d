"""The decoder of masks: on every backbone, in every file, and behind the cache."""

from operator import attrgetter

import keras
import numpy as np
import pandas as pd
import pytest

from kmedtl.backbones import registry
from kmedtl.backbones.blocks import HEAD, block_map, select, set_trainable
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.export.formats import FILES, write_all
from kmedtl.export.runtimes import open_runtime
from kmedtl.finetune.frozen_prefix import CachedEpoch, cache, cut
from kmedtl.heads.build import build_model, penultimate
from kmedtl.recipe import Backbone, Head, Training
from kmedtl.tasks.segmentation.network import NETWORK, outputs
from kmedtl.tasks.segmentation.question import MaskQuestion
from tests.rows import EVERY, SMALLEST, quick_first

QUESTION = MaskQuestion(("lung", "lesion"), 2.0, "keep")
ROWS = [row for row in registry.ROWS if row.name in (*SMALLEST, "Tiny") or EVERY]
MILLION = 1_000_000
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 64, 64, 1), np.uint8)
TARGETS = RANDOM.integers(0, 2, (12, 64, 64, 2), np.uint8)


def unet(backbone, head, size=64, channels=1):
    keras.utils.set_random_seed(4)
    return build_model(backbone, head, size, channels, lambda features: outputs(QUESTION, features))


@pytest.mark.parametrize("row", quick_first(ROWS, ("Tiny", "VGG16")), ids=attrgetter("name"))
def test_every_backbone_gets_a_decoder_of_less_than_a_million_weights(row):
    size = max(row.min_size, 75)  # odd, so that no map is half of another
    model = unet(Backbone(row.name, "random"), Head("unet", detail=True), size, 3)
    blocks = block_map(model, row.name)
    assert model.output[MASK].shape == (None, size, size, 2)
    decoder = [model.get_layer(name) for name in blocks[-1].layers]
    assert sum(layer.count_params() for layer in decoder) < MILLION
    assert all(layer.name.startswith(("decoder", "detail", "mask")) for layer in decoder)
    assert len(penultimate(model).shape) == 2


@pytest.mark.slow
@pytest.mark.parametrize("detail", [False, True])
def test_every_file_answers_as_the_model(detail, tmp_path):
    model = unet(Backbone("EfficientNetLite0", "random", truncate_at="block3"), Head("unet", hidden=16, detail=detail))
    expected = model.predict(IMAGES.astype("float32"), verbose=0)[MASK]
    tolerance = {"model.keras": 1e-6, "saved_model": 1e-5, FILES["float32"]: 1e-4, FILES["int8"]: np.ptp(expected) / 4}
    for path in write_all(model, tmp_path, IMAGES):
        runtime = open_runtime(path)
        assert runtime.shapes.outputs[MASK] == 2
        found = runtime(IMAGES)
        np.testing.assert_allclose(found[MASK], expected, atol=tolerance[path.name], err_msg=path.name)
        assert found[FEATURES].shape == (12, penultimate(model).shape[-1])


@pytest.mark.slow
@pytest.mark.parametrize("train", ["head", "last:1"])
def test_a_cached_stage_trains_as_the_whole_model_does(train):
    """One epoch in float32 without variation, in the same order: the same weights to 1e-5."""
    name = "MobileNet"
    model = unet(Backbone(name, "random", truncate_at="block5"), Head("unet", hidden=16, dropout=0.0, detail=True))
    table = pd.DataFrame({"id": [str(n) for n in range(12)], "record": range(12), "stratum": 0})
    data = {"train": Pipeline(ImagesInMemory(IMAGES), table, {MASK: TARGETS}, batch_size=4)}
    blocks = block_map(model, name)
    set_trainable(model, blocks, train)
    before, parts = model.get_weights(), cut(model, blocks, select(blocks, train))
    assert len(parts.prefix.outputs) > 3
    (cached,) = cache([parts], data, 1, Variation(), "none", "float32", seed=0)
    epoch = CachedEpoch(cached["train"], 4, seed=5)
    loss, after = NETWORK.losses(QUESTION, None, Training(), False), []
    for trainer, inputs in (
        (parts.suffix, lambda number: epoch[number][0]),
        (keras.Model(model.inputs, model.output), lambda number: IMAGES[epoch.rows(number)].astype("float32")),
    ):
        model.set_weights(before)
        trainer.compile(keras.optimizers.SGD(1e-2, momentum=0.9), loss)
        for number in range(len(epoch)):
            trainer.train_on_batch(inputs(number), {MASK: TARGETS[epoch.rows(number)].astype("float32")})
        after.append(model.get_weights())
    assert max(np.abs(a - b).max() for a, b in zip(*after, strict=True)) <= 1e-5
    moved = {
        weight.path.split("/")[0]
        for weight, then, now in zip(model.weights, before, after[0], strict=True)
        if not np.array_equal(then, now)
    }
    assert set(block_map(model, name)[-1].layers) <= moved
    assert (moved - set(block_map(model, name)[-1].layers) != set()) == (train != HEAD)
