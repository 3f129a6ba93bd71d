from dataclasses import replace

import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.data import splits
from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import pipelines
from kmedtl.errors import UserError
from kmedtl.finetune.optimizers import optimizer
from kmedtl.finetune.stages import fine_tune, predict_logits
from kmedtl.heads.classification import build_classifier
from kmedtl.prepare import prepare
from kmedtl.recipe import Stage


@pytest.fixture(scope="module")
def data(small_recipe):
    found = prepare(small_recipe.data, small_recipe.seed)
    table = splits.split(found.manifest, found.table, 0.2, 0.2, seed=0)
    return pipelines(found.store, found.manifest, table, batch_size=16)


@pytest.fixture
def model(small_recipe):
    return build_classifier(small_recipe.backbone, small_recipe.head, small_recipe.data.size, 1, 1)


def weights_by_block(model, blocks):
    return {
        block.name: [weight.numpy() for name in block.layers for weight in model.get_layer(name).weights]
        for block in blocks
    }


@pytest.mark.parametrize("views", [0, 2])
def test_a_stage_moves_what_it_trains_and_nothing_else(model, data, views):
    blocks = block_map(model, "EfficientNetLite0")
    before = weights_by_block(model, blocks)
    statistics = [w.numpy() for w in model.weights if "moving" in w.path]
    history = fine_tune(model, blocks, [Stage("two", "last:2", 2, 1e-3, views=views)], data, "xray", seed=1)
    after = weights_by_block(model, blocks)
    moved = {
        name for name in before if any(not np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }
    assert moved == {block.name for block in blocks[-3:]}
    assert all(
        np.array_equal(a, b)
        for a, b in zip(statistics, [w.numpy() for w in model.weights if "moving" in w.path], strict=True)
    )
    assert [epoch.epoch for epoch in history] == [1, 2]


def test_the_best_epoch_of_all_stages_is_kept(model, data):
    stages = [Stage("good", "head", 2, 3e-3), Stage("ruinous", "all", 1, 5.0, warmup=0.0)]
    history = fine_tune(model, block_map(model, "EfficientNetLite0"), stages, data, "none", seed=1)
    best = max(history, key=lambda epoch: epoch.merit)
    logits = predict_logits(model, data["val"])
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(data["val"].targets, logits) == pytest.approx(best.val_auc)


def test_a_loss_that_is_not_finite_stops_with_the_stage(model, data):
    stage = replace(Stage("wild", "all", 1, 10.0, warmup=0.0), weight_decay=1e30)
    with pytest.raises(UserError, match="stage wild, epoch 1"):
        fine_tune(model, block_map(model, "EfficientNetLite0"), [stage], data, "none", seed=1)


def test_the_rate_warms_up_and_falls_along_a_cosine():
    rate = optimizer(Stage("a", "head", 1, 1e-2, warmup=0.1), steps=100)._learning_rate
    values = [float(rate(step)) for step in range(101)]
    assert max(values) == pytest.approx(1e-2)
    assert int(np.argmax(values)) == 10
    assert values[0] == pytest.approx(1e-3)
    assert values[55] == pytest.approx(0.5 * 1e-2, rel=0.05)
    assert values[-1] == pytest.approx(1e-4, rel=0.01)


def test_biases_and_norms_do_not_decay(model):
    adamw = optimizer(Stage("a", "all", 1, 1e-2), steps=10)
    adamw.build(model.trainable_variables)
    kept = {v.path for v in model.trainable_variables if not adamw._use_weight_decay(v)}
    assert kept == {v.path for v in model.trainable_variables if v.path.endswith(("bias", "gamma", "beta"))}


def test_several_findings_train_together_and_unknown_labels_have_no_say(data, small_recipe):
    """The second finding is known for half of the training images, and wrong where it is unknown."""
    truth = data["train"].targets[:, 0]
    unknown = np.arange(len(truth)) % 2 == 0
    part = {name: replace(pipeline, targets=np.repeat(pipeline.targets, 2, axis=1)) for name, pipeline in data.items()}
    part["train"].targets[unknown, 1] = UNKNOWN
    lying = {name: replace(pipeline, targets=pipeline.targets.copy()) for name, pipeline in part.items()}
    logits = []
    for known in (part, lying):
        keras.utils.set_random_seed(3)
        model = build_classifier(small_recipe.backbone, small_recipe.head, small_recipe.data.size, 1, findings=2)
        history = fine_tune(
            model, block_map(model, "EfficientNetLite0"), [Stage("a", "head", 2, 3e-3)], known, "none", seed=1
        )
        assert np.isfinite([epoch.loss for epoch in history]).all()
        logits.append(predict_logits(model, known["val"]))
    assert logits[0].shape == (len(data["val"].table), 2)
    assert not np.allclose(logits[0][:, 0], logits[0][:, 1])
    assert np.array_equal(*logits)


@pytest.mark.parametrize("stage", [{"mix": "mixup"}, {"mix": "cutmix"}, {"class_weights": "balanced"}])
@pytest.mark.parametrize("views", [0, 2])
def test_mixing_and_weights_change_what_is_learned(model, data, stage, views):
    before = model.get_weights()
    results = []
    for settings in ({}, stage):
        model.set_weights(before)
        rows = [Stage("a", "head", 1, 3e-3, views=views, **settings)]
        (epoch,) = fine_tune(model, block_map(model, "EfficientNetLite0"), rows, data, "none", seed=1)
        results.append(epoch.loss)
    assert np.isfinite(results).all()
    assert results[0] != results[1]
