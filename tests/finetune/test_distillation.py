from dataclasses import replace

import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Stage, Training
from kmedtl.tasks.classification.losses import Distillation, cross_entropy
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import double, job_of, predict_logits

RANDOM = np.random.default_rng(0)
KINDS = {"binary": 1, "multi_class": 3, "multi_label": 2}


def targets_of(kind, temperature):
    """Return labels (6, F) with the teacher's answers at the temperature behind them, and the teacher's logits."""
    findings = KINDS[kind]
    labels = np.eye(3)[RANDOM.integers(0, 3, 6)] if kind == "multi_class" else RANDOM.integers(0, 2, (6, findings))
    logits = RANDOM.normal(size=(6, findings))
    soft = (softmax if kind == "multi_class" else sigmoid)(logits / temperature)
    return np.concatenate([labels, soft], axis=1).astype(np.float32), logits.astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_share_it_is_the_loss_of_the_labels(kind):
    targets, logits = targets_of(kind, 3.0)
    labels = cross_entropy(kind, label_smoothing=0.1)
    expected = float(labels(targets[:, : KINDS[kind]], logits))
    assert float(Distillation(labels, kind, 0.0, 3.0)(targets, logits)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_teachers_part_is_least_where_the_student_says_the_same(kind):
    import tensorflow as tf

    targets, logits = targets_of(kind, 3.0)
    loss = Distillation(cross_entropy(kind), kind, 1.0, 3.0)
    said = tf.Variable(logits)
    with tf.GradientTape() as tape:
        same = loss(targets, said)
    assert np.abs(tape.gradient(same, said).numpy()).max() < 1e-6
    assert float(loss(targets, logits + RANDOM.normal(size=logits.shape).astype(np.float32))) > float(same)


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_gradients_keep_their_size_at_any_temperature(temperature):
    """At a high one they tend to a quarter of the difference of the logits, as T² makes up for 1 / T²."""
    import tensorflow as tf

    targets, logits = targets_of("binary", temperature)
    said = tf.Variable(logits + 0.5)
    with tf.GradientTape() as tape:
        value = Distillation(cross_entropy("binary"), "binary", 1.0, temperature)(targets, said)
    gradient = tape.gradient(value, said).numpy() * len(logits)
    assert gradient == pytest.approx(temperature * (sigmoid((logits + 0.5) / temperature) - targets[:, 1:]), rel=1e-3)
    if temperature == 20:
        assert gradient == pytest.approx(np.full((6, 1), 0.5 / 4), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_each_finding_is_learned_of_the_teacher_from_cached_and_from_whole_images(data, views, mix):
    both = {name: double(part) for name, part in data.items()}
    train = both["train"]
    soft = np.array([[0.9, 0.1]], np.float32).repeat(len(train.table), axis=0)  # whatever the labels are
    both["train"] = replace(train, targets={LOGITS: np.concatenate([train.targets[LOGITS], soft], axis=1)})
    model, training = tiny_model(2), Training(soft_share=1.0)
    before = predict_logits(model, train).mean(axis=0)
    stage = Stage("head", "head", 1, 0.1, warmup=0, views=views, mix=mix)
    fine_tune(job_of(model, block_map(model, BACKBONE.name), both, "none", training, 1, "multi_label", True), [stage])
    first, second = predict_logits(model, train).mean(axis=0) - before
    assert first > 0.1
    assert second < -0.1
