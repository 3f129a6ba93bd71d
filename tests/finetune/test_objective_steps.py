"""MixMatch and mean teacher: their arithmetic, on a handful of numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune.mean_teacher import Consistency, Teacher, mean_teacher, ramp_up
from kmedtl.finetune.mixmatch import Brier, mixed_targets, mixmatch, partners
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.recipe import Stage
from kmedtl.tasks.classification.losses import cross_entropy
from tests.models import job_of

RANDOM = np.random.default_rng(0)
KINDS = {"binary": 1, "multi_class": 3, "multi_label": 2}
COUNT, OTHERS = 2, 3  # labelled and unlabelled images of a batch


def squashed(kind, logits):
    return (softmax if kind == "multi_class" else sigmoid)(np.asarray(logits, np.float64))


def suffix_of(kind):
    """Return a model of two numbers an image, as behind a cut, with weights at random."""
    keras.utils.set_random_seed(1)
    given = keras.Input((2,))
    return keras.Model([given], {LOGITS: keras.layers.Dense(KINDS[kind], name=LOGITS)(given)})


def step_of(make, kind, **settings):
    model = suffix_of(kind)
    job = job_of(model, (), {}, "none", kind=kind)
    stage = Stage("both", "head", 4, 0.1, warmup=0.5, unlabelled_weight=3.0, **settings)
    return model, make(job, stage, model, COUNT, 20)


def labels_of(kind):
    """Return labels of the first images, and `UNKNOWN` of the others."""
    known = np.eye(3)[[0, 2]] if kind == "multi_class" else np.ones((COUNT, KINDS[kind]))
    return np.concatenate([known, np.full((OTHERS, KINDS[kind]), UNKNOWN)]).astype(np.float32)


def views():
    return [RANDOM.normal(size=(COUNT + OTHERS, 2)).astype(np.float32) for _ in range(2)]


def test_partners_are_a_permutation_and_the_own_share_is_the_larger():
    order, share = partners(np.random.default_rng(0), 4, 6)
    assert sorted(order) == list(range(16))
    assert (share >= 0.5).all()
    assert (share <= 1).all()
    assert share.std() > 0.05


def test_what_is_unknown_of_one_is_unknown_of_the_mixture():
    targets = tf.constant([[1.0, 0.0], [UNKNOWN, 1.0], [0.0, 0.5]])
    found = mixed_targets(targets, tf.constant([1, 2, 0]), tf.constant([0.75, 0.5, 0.6])).numpy()
    assert found == pytest.approx(np.array([[UNKNOWN, 0.25], [UNKNOWN, 0.75], [0.4, 0.3]]))


@pytest.mark.parametrize("kind", KINDS)
def test_mixmatch_guesses_sharpens_and_mixes(kind):
    model, step = step_of(mixmatch, kind, objective="mixmatch")
    first, second = views()
    order, share = np.random.default_rng(1).permutation(8).astype(np.int32), np.linspace(0.5, 1, 8, dtype=np.float32)
    inputs, targets = step.before((first, second, order, share), {LOGITS: labels_of(kind)})
    said = [squashed(kind, model(view[COUNT:])[LOGITS].numpy()) for view in (first, second)]
    mean = (said[0] + said[1]) / 2
    beside = mean**2 + (1 - mean) ** 2 if kind != "multi_class" else (mean**2).sum(axis=1, keepdims=True)
    answers = np.concatenate([labels_of(kind)[:COUNT], mean**2 / beside, mean**2 / beside])
    own, whole = share[:, None], np.concatenate([first, second[COUNT:]])
    assert inputs.numpy() == pytest.approx(own * whole + (1 - own) * whole[order], abs=1e-5)
    assert targets[LOGITS].numpy() == pytest.approx(own * answers + (1 - own) * answers[order], abs=1e-5)
    logits = model(inputs)[LOGITS].numpy()
    loss = step.losses({LOGITS: cross_entropy(kind)})[LOGITS]
    labelled = float(cross_entropy(kind)(targets[LOGITS][:COUNT], logits[:COUNT]))
    brier = np.square(squashed(kind, logits[COUNT:]) - targets[LOGITS].numpy()[COUNT:]).mean()
    assert float(loss(targets[LOGITS], logits)) == pytest.approx(labelled + 3 * brier, rel=1e-4)


def test_brier_looks_away_from_what_is_unknown():
    loss = Brier(keras.ops.sigmoid)
    logits = np.array([[0.0, 2.0]], np.float32)
    assert float(loss(np.array([[1.0, UNKNOWN]], np.float32), logits)) == pytest.approx(0.25)
    assert float(loss(np.full((1, 2), UNKNOWN, np.float32), logits)) == 0


def test_the_weight_rises_to_one():
    assert float(ramp_up(0.0, 10)) == pytest.approx(np.exp(-5))
    assert float(ramp_up(5.0, 10)) == pytest.approx(np.exp(-5 / 4))
    assert [float(ramp_up(done, 10)) for done in (10.0, 99.0)] == [1, 1]
    assert float(ramp_up(0.0, 0)) == pytest.approx(np.exp(-5))


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_learns_labels_and_the_teachers_answers_to_another_view(kind):
    model, step = step_of(mean_teacher, kind, objective="mean_teacher", ema=0.9)
    first, second = views()
    _, targets = step.before((first, second), {LOGITS: labels_of(kind)})
    said = squashed(kind, model(second)[LOGITS].numpy())
    expected = np.concatenate([labels_of(kind), said, np.ones((COUNT + OTHERS, 1))], axis=1)  # nothing is averaged yet
    assert targets[LOGITS].numpy() == pytest.approx(expected, abs=1e-5)
    logits = model(first)[LOGITS].numpy()
    loss = step.losses({LOGITS: cross_entropy(kind)})[LOGITS]
    assert isinstance(loss, Consistency)
    labelled = float(cross_entropy(kind)(labels_of(kind)[:COUNT], logits[:COUNT]))
    apart = np.square(squashed(kind, logits) - said).mean()
    assert float(loss(targets[LOGITS], logits)) == pytest.approx(labelled + 3 * apart, rel=1e-4)


def test_the_teacher_has_the_averaged_weights():
    student = suffix_of("multi_class")
    average, teacher = MovingAverage(student, 0.5), Teacher(student)
    teacher.follow(average)
    batch = views()[0]
    before = [weight.numpy() for weight in student.weights]
    for weight in student.weights:
        weight.assign(weight + 1.0)
    average.on_train_batch_end(0)
    decay = 1 / 10  # of the first step
    expected = batch @ (before[0] + 1 - decay) + before[1] + 1 - decay
    assert teacher(batch)[LOGITS].numpy() == pytest.approx(expected, abs=1e-5)
    assert student(batch)[LOGITS].numpy() == pytest.approx(batch @ (before[0] + 1) + before[1] + 1, abs=1e-5)
    assert float(teacher.steps) == 1
