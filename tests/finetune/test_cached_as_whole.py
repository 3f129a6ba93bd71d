"""The proof behind the cache: on EfficientNet-Lite0 a cached stage gives the weights that the whole model would."""

import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map, select, set_trainable
from kmedtl.data.pipeline import Variation
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune import frozen_engine
from kmedtl.finetune.frozen_prefix import CachedEpoch, cache, cut
from kmedtl.recipe import Backbone, Head
from kmedtl.tasks.classification.losses import MaskedCrossEntropy
from tests.models import build_classifier


@pytest.fixture
def model():
    return build_classifier(Backbone(), Head(), 32, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "many"), [("head", 0), ("last:1", 500), ("last:2", 0)], ids=["head-many", "last:1-few", "last:2-many"]
)
def test_a_cached_stage_trains_as_the_whole_model_does(model, data, train, many, monkeypatch):
    """One epoch without variation, in the same order: the same weights to 1e-5."""
    monkeypatch.setattr(frozen_engine, "MANY", many)  # of many images LiteRT computes the frozen part
    monkeypatch.setattr(frozen_engine, "MANY_PIXELS", 0)
    blocks = block_map(model, "EfficientNetLite0")
    set_trainable(model, blocks, train)
    before = model.get_weights()
    parts = cut(model, blocks, select(blocks, train))
    (cached,) = cache([parts], data, 1, Variation(), "none", "float32", seed=0)
    epoch = CachedEpoch(cached["train"], 16, seed=5)
    pixels = data["train"].pixels().astype("float32")[epoch.order]
    targets = data["train"].targets[LOGITS][epoch.order]
    whole = [(pixels[at : at + 16], {LOGITS: targets[at : at + 16]}) for at in range(0, len(pixels), 16)]
    after = []
    for trainer, batches in (
        (parts.suffix, [epoch[number][:2] for number in range(len(epoch))]),
        (keras.Model(model.inputs, model.output), whole),
    ):
        model.set_weights(before)
        sgd = keras.optimizers.SGD(1e-2, momentum=0.9)
        trainer.compile(sgd, {LOGITS: MaskedCrossEntropy()})
        model.get_layer("head_dropout").rate = 0.0
        for inputs, answers in batches:
            trainer.train_on_batch(inputs, answers)
        after.append(model.get_weights())
    assert max(np.abs(a - b).max() for a, b in zip(*after, strict=True)) <= 1e-5
    assert max(np.abs(a - b).max() for a, b in zip(after[0], before, strict=True)) > 1e-4
