from dataclasses import replace

import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.finetune.batch_norm import adapt
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import double, job_of, predict_logits


def learn(model, data, stages, training=None, preset="none", **more):
    blocks = block_map(model, BACKBONE.name)
    return fine_tune(job_of(model, blocks, data, preset, training or Training(), seed=1, **more), stages)


def weights_by_block(model, blocks):
    return {
        block.name: [weight.numpy() for name in block.layers for weight in model.get_layer(name).weights]
        for block in blocks
    }


@pytest.mark.parametrize("views", [0, 2])
def test_a_stage_moves_what_it_trains_and_nothing_else(model, data, views):
    blocks = block_map(model, BACKBONE.name)
    before = weights_by_block(model, blocks)
    statistics = [w.numpy() for w in model.weights if "moving" in w.path]
    history = learn(model, data, [Stage("two", "last:2", 2, 1e-3, views=views)], preset="xray").history
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
    history = learn(model, data, stages, Training(cache_dtype="float32")).history
    best = max(history, key=lambda epoch: epoch.selection_score)
    logits = predict_logits(model, data["val"])
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(data["val"].targets[LOGITS], logits) == pytest.approx(best.headline)


def test_a_loss_that_is_not_finite_stops_with_the_stage(model, data):
    stage = replace(Stage("wild", "all", 1, 10.0, warmup=0.0), weight_decay=1e30)
    with pytest.raises(
        UserError, match=r"stage wild, epoch 1, step \d: the loss is (nan|inf); lower .*of that batch \(\d+\): train-"
    ):
        learn(model, data, [stage])


@pytest.mark.slow
def test_several_findings_train_together_and_unknown_labels_have_no_say(data):
    """The second finding is known for half of the training images, and wrong where it is unknown."""
    truth = data["train"].targets[LOGITS][:, 0]
    unknown = np.arange(len(truth)) % 2 == 0
    part, lying = ({name: double(pipeline) for name, pipeline in data.items()} for _ in range(2))
    for known in (part, lying):
        known["train"].targets[LOGITS][unknown, 1] = UNKNOWN
    logits = []
    for known in (part, lying):
        model = tiny_model(findings=2)
        history = learn(model, known, [Stage("a", "head", 2, 3e-3)]).history
        assert np.isfinite([epoch.loss for epoch in history]).all()
        logits.append(predict_logits(model, known["val"]))
    assert logits[0].shape == (len(data["val"].table), 2)
    assert not np.allclose(logits[0][:, 0], logits[0][:, 1])
    assert np.array_equal(*logits)


def record_of_passes(monkeypatch):
    """Return a list that fills with the number of cuts of each pass through a frozen part."""
    from kmedtl.finetune import stage_data

    passes = []
    cache = stage_data.cache
    monkeypatch.setattr(stage_data, "cache", lambda cuts, *rest: passes.append(len(cuts)) or cache(cuts, *rest))
    return passes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "passes"),
    [
        ({}, [2]),
        ({"train": "head"}, [1, 1]),
        ({"mix": "mixup"}, [1, 1]),
        ({"class_weights": "balanced"}, [1, 1]),
        ({"views": 0}, [1]),
    ],
)
def test_stages_that_go_deeper_share_a_pass(model, data, monkeypatch, second, passes):
    seen = record_of_passes(monkeypatch)
    rows = [Stage("one", "last:1", 1, 1e-3), replace(Stage("two", "last:2", 1, 1e-3), **second)]
    learn(model, data, rows, preset="xray")
    assert seen == passes


@pytest.mark.slow
def test_what_does_not_fit_the_budget_is_computed_anew_and_said(model, data, monkeypatch):
    seen, said = record_of_passes(monkeypatch), []
    rows = [Stage("pooled", "head", 1, 1e-3), Stage("large", "last:4", 1, 1e-3)]
    small = Training(cache_gigabytes=0.0002)
    history = learn(model, data, rows, small, preset="xray", log=said.append).history
    assert seen == [1]
    assert len(history) == 2
    assert "Stage large: its frozen part takes" in said[0]


@pytest.mark.slow
def test_every_setting_of_a_stage_changes_what_is_learned(model, data):
    before = model.get_weights()
    settings = [
        {},
        {"optimizer": "sgd"},
        {"optimizer": "lamb"},
        {"layer_decay": 0.5},
        {"clip_norm": 0.01, "optimizer": "sgd"},
        {"l2_sp": 1.0},
        {"focal_gamma": 2.0},
        {"batch_norm": "train"},
        {"mix": "mixup"},
        {"mix": "cutmix"},
        {"class_weights": "balanced"},
        {"label_smoothing": 0.2},
        {"ema": 0.9},
        {"interpolate": (0.5,)},
        {"batch_norm": "adapt"},
        {"batch_norm": "adapt_early"},
        {"augment": "xray"},
        {"augment": "xray_strong"},
        {"border": "mask"},
        {"border": "crop"},
        {"style": "fourier"},
        {"style": "mixstyle"},
        {"lr": "auto"},
        {"train": "adaptive:1"},
    ]
    learned = []
    for changed in settings:
        model.set_weights(before)
        stage = replace(Stage("a", "last:1", 1, 1e-3), **changed)
        learn(model, data, [stage])
        learned.append(np.concatenate([weights.ravel() for weights in model.get_weights()]))
        assert np.isfinite(learned[-1]).all()
    for number, one in enumerate(learned):
        for other in learned[:number]:
            assert not np.array_equal(one, other)
    assert all(weight.regularizer is None for weight in model.trainable_variables)


@pytest.mark.slow
def test_batch_norm_learns_only_when_told(model, data):
    statistics = [weight.numpy() for weight in model.weights if "moving" in weight.path]
    stage = Stage("a", "last:1", 1, 1e-3, batch_norm="train")
    learn(model, data, [stage])
    now = [weight.numpy() for weight in model.weights if "moving" in weight.path]
    moved = [not np.array_equal(a, b) for a, b in zip(statistics, now, strict=True)]
    assert any(moved)
    assert not all(moved)  # those of the frozen blocks stay


@pytest.mark.slow
def test_batch_norm_has_the_statistics_of_few_images_within_few_epochs(model, data):
    """Keras' own layers would still have those that they began with."""
    first = next(weight for weight in model.weights if "moving_mean" in weight.path)
    began = first.numpy()
    learn(model, data, [Stage("a", "all", 3, 1e-12, batch_norm="train")])
    learned = first.numpy()
    adapt(model, block_map(model, BACKBONE.name), data["train"])
    assert np.abs(learned - first.numpy()).max() < 0.2 * np.abs(began - first.numpy()).max()


def test_patience_ends_a_stage(model, data):
    said = []
    stage = Stage("a", "head", 6, 1e-12, patience=2)
    history = learn(model, data, [stage], log=said.append).history
    assert len(history) < 6
    assert "no better epoch in 2" in said[0]
