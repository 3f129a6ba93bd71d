import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map, set_trainable
from kmedtl.finetune.optimizers import block_rates, optimizer
from kmedtl.recipe import Backbone, Head, Stage
from tests.models import build_classifier


@pytest.fixture(scope="module")
def model():
    return build_classifier(Backbone("EfficientNetLite0", "random"), Head(), 64, 1, 1)


@pytest.fixture(scope="module")
def blocks(model):
    return block_map(model, "EfficientNetLite0")


@pytest.mark.parametrize("kind", ["adamw", "sgd", "lamb"])
def test_the_rate_warms_up_and_falls_along_a_cosine(model, blocks, kind):
    rate = optimizer(Stage("a", "head", 1, 1e-2, warmup=0.1, optimizer=kind), 100, model, blocks)._learning_rate
    values = [float(rate(step)) for step in range(101)]
    assert max(values) == pytest.approx(1e-2)
    assert int(np.argmax(values)) == 10
    assert values[0] == pytest.approx(1e-3)
    assert values[55] == pytest.approx(0.5 * 1e-2, rel=0.05)
    assert values[-1] == pytest.approx(1e-4, rel=0.01)


def test_biases_and_norms_do_not_decay(model, blocks):
    set_trainable(model, blocks, "all")
    adamw = optimizer(Stage("a", "all", 1, 1e-2), 10, model, blocks)
    kept = {v.path for v in model.trainable_variables if not adamw._use_weight_decay(v)}
    assert kept == {v.path for v in model.trainable_variables if v.path.endswith(("bias", "gamma", "beta"))}


def test_each_block_has_its_rate(model, blocks):
    set_trainable(model, blocks, "last:2")
    stage = Stage("a", "last:2", 1, 1e-2, layer_decay=0.5, warmup=0.0)
    rates = block_rates(stage, blocks)
    assert rates["head"] == 1e-2
    assert rates[blocks[-2].name] == 5e-3
    assert rates[blocks[-3].name] == 2.5e-3
    multi = optimizer(stage, 10, model, blocks)
    multi.build(model.trainable_variables)
    used = sorted(float(one._learning_rate(0)) for one in multi.optimizers)
    assert used == pytest.approx([2.5e-3, 5e-3, 1e-2])
    held = sum(len(one._trainable_variables) for one in multi.optimizers)
    assert held == len(model.trainable_variables)
