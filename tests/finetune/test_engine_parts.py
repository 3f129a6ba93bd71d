"""What stages are made of, each by itself: selection, moving average, AdaBN, importance, range test."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from kmedtl.backbones.blocks import HEAD, block_map, layers_of, set_trainable
from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.finetune.batch_norm import adapt, adapted_blocks
from kmedtl.finetune.block_importance import most_important, relative_gradient_norms
from kmedtl.finetune.epoch_score import validation_metrics
from kmedtl.finetune.lr_range import range_test
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.heads.pooling import LEAST_VARIANCE, STANDARD
from kmedtl.recipe import Head, Stage, Training
from kmedtl.tasks.classification.score import sensitivity_at
from tests.finetune.conftest import BACKBONE
from tests.models import build_classifier, job_of


@pytest.fixture
def images(data):
    return data["val"]


@pytest.fixture
def job(model, data):
    return job_of(model, block_map(model, BACKBONE.name), data, "none", Training(), seed=1)


def test_sensitivity_is_the_best_that_the_specificity_allows():
    target, logit = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 2, 3, 9, 2.5, 4, 5, 10])
    assert sensitivity_at(0.8, target, logit) == 0.75  # above 3 and all but one of the others
    assert sensitivity_at(1.0, target, logit) == 0.25
    assert sensitivity_at(0.1, target, logit) == 1.0


def test_the_score_is_what_select_names(job, images):
    logits = np.random.default_rng(1).normal(size=(20, 1)).astype(np.float32)
    outputs, truth = {"val": {LOGITS: logits}}, images.targets[LOGITS]
    by_auc = validation_metrics(job, outputs)
    assert by_auc["score"] == by_auc["figures"]["val_auc"] == pytest.approx(roc_auc_score(truth, logits))
    wanted = Training(select="sensitivity", specificity=0.8)
    by_sensitivity = validation_metrics(replace(job, training=wanted), outputs)
    assert by_sensitivity["score"] == sensitivity_at(0.8, truth[:, 0], logits[:, 0])
    hidden = replace(images, targets={LOGITS: np.where(np.arange(20)[:, None] < 4, UNKNOWN, truth)})
    known = roc_auc_score(truth[4:], logits[4:])
    found = validation_metrics(replace(job, data={"val": hidden}), outputs)
    assert found["figures"]["val_auc"] == pytest.approx(known)


def test_the_average_follows_the_weights_and_can_stand_in_for_them():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    average, expected = MovingAverage(model, 0.5), float(model.get_weights()[0][0, 0])
    for step, value in enumerate((1.0, 2.0, 3.0)):
        model.set_weights([np.full((1, 1), value)])
        average.on_train_batch_end(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.in_place():
        assert model.get_weights()[0][0, 0] == pytest.approx(expected)
    assert model.get_weights()[0][0, 0] == 3.0
    other = MovingAverage(model, 0.5)
    other.restore(average.values)
    assert [value.tolist() for value in other.values] == [value.tolist() for value in average.values]
    assert MovingAverage(model, 0.0).values == []


def test_adapted_statistics_are_those_of_the_images(model, images):
    blocks, before = block_map(model, BACKBONE.name), model.get_weights()
    adapt(model, blocks, images)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    first = keras.Model(model.inputs, norms[0].input)
    batches = [np.asarray(first(tf.cast(batch, tf.float32))) for batch in images.images()]
    together = np.concatenate(batches)  # the last batch is smaller
    assert np.allclose(norms[0].moving_mean, together.mean((0, 1, 2)), atol=1e-4)
    assert np.allclose(norms[0].moving_variance, together.var((0, 1, 2)), atol=1e-4)
    assert all(layer.momentum == 0.99 for layer in norms)
    for weight, old in zip(model.weights, before, strict=True):
        assert ("moving" in weight.path) or np.array_equal(weight, old)


@pytest.mark.slow
def test_early_blocks_are_adapted_as_all_are_and_the_rest_stays(model, images):
    blocks, before = block_map(model, BACKBONE.name), model.get_weights()
    adapt(model, blocks, images)
    wholly = model.get_weights()
    model.set_weights(before)
    early = adapted_blocks(Stage("a", "head", 1, 1e-3, batch_norm="adapt_early"), model, blocks)
    adapt(model, early, images)
    names = {layer.name for layer in layers_of(model, blocks, [block.name for block in early])}
    assert 0 < len(early) < len(blocks) - 1
    for weight, old, adapted in zip(model.weights, before, wholly, strict=True):
        assert np.allclose(weight, adapted if weight.path.split("/")[0] in names else old, atol=1e-6)
    assert adapted_blocks(Stage("a", "head", 1, 1e-3), model, blocks) == ()


def test_a_head_that_standardises_sees_vectors_of_mean_0_and_deviation_1(images):
    model = build_classifier(BACKBONE, Head(standardise=True), 32, 1, 1)
    blocks = block_map(model, BACKBONE.name)
    set_trainable(model, blocks, HEAD)
    before = {weight.path: weight.numpy() for weight in model.weights}
    adapt(model, blocks[-1:], images)
    changed = {weight.path for weight in model.weights if not np.array_equal(weight, before[weight.path])}
    assert changed == {f"{STANDARD}/moving_mean", f"{STANDARD}/moving_variance"}
    given, made = (getattr(model.get_layer(STANDARD), side) for side in ("input", "output"))
    vectors, standard = keras.Model(model.inputs, [given, made]).predict(images.pixels().astype("float32"), verbose=0)
    assert standard.mean(0) == pytest.approx(0, abs=1e-3)
    spread = vectors.var(0)
    assert standard.var(0) == pytest.approx(spread / (spread + LEAST_VARIANCE), abs=1e-2)


@pytest.mark.slow
def test_the_block_that_is_wrong_matters_most(job):
    """A block whose weights are nearly nothing has the largest gradient beside them."""
    wrong = job.blocks[3]
    for name in wrong.layers:
        layer = job.model.get_layer(name)
        if "conv" in type(layer).__name__.lower():
            layer.set_weights([1e-3 * weight for weight in layer.get_weights()])
    importance = relative_gradient_norms(job)
    assert list(importance) == [block.name for block in job.blocks[:-1]]
    assert max(importance, key=importance.get) == wrong.name
    chosen, _ = most_important(job, Stage("a", "adaptive:1", 1, 1e-3))
    assert chosen == f"{wrong.name},head"


@pytest.mark.parametrize("train", ["adaptive", "adaptive:0", "adaptive:99", "adaptive:x"])
def test_adaptive_without_a_sensible_number_is_refused(job, train):
    with pytest.raises(UserError, match=r"expected adaptive:1 to adaptive:\d+"):
        most_important(job, Stage("a", train, 1, 1e-3))


def test_a_range_test_rises_until_the_loss_does():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    inputs = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32) * 3
    answers = inputs.sum(1, keepdims=True)

    def epoch(seed):
        return tf.data.Dataset.from_tensor_slices((inputs, answers)).batch(16)

    rates, losses, lr = range_test(model, epoch, 0, "stage")
    assert rates[0] == pytest.approx(1e-6)
    assert rates == sorted(rates)
    assert rates[-1] < 1.0  # it diverged and stopped
    assert lr == rates[int(np.argmin(losses))] / 10
    assert losses[0] > min(losses)
