"""The losses of grades, by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmedtl.data.manifest import UNKNOWN
from kmedtl.recipe import Training
from kmedtl.tasks import TASKS
from kmedtl.tasks.multi.network import OfTheKnown
from kmedtl.tasks.ordinal.losses import Corn, GradeCrossEntropy
from kmedtl.tasks.ordinal.question import GradeQuestion

GRADES = np.array([[0], [1], [2], [2]], np.float32)
LOGITS = np.array([[-1.0, 5.0], [0.5, -2.0], [2.0, 0.0], [-0.5, 1.0]], np.float32)


def nats(logit, passed):
    return math.log1p(math.exp(-logit if passed else logit))


def test_corn_asks_each_cut_of_the_images_that_reach_it():
    # All four reach the first cut, all but the first the second: 5.0 of grade 0 counts for nothing.
    first = [nats(-1.0, False), nats(0.5, True), nats(2.0, True), nats(-0.5, True)]
    second = [nats(-2.0, False), nats(0.0, True), nats(1.0, True)]
    assert float(Corn()(GRADES, LOGITS)) == pytest.approx((sum(first) + sum(second)) / 7, rel=1e-6)


def test_corn_weighs_images():
    each = np.array([nats(-1.0, False), nats(0.5, True) + nats(-2.0, False), nats(2.0, True) + nats(0.0, True), 0])
    weights = np.array([1.0, 0.0, 3.0, 0.0])
    found = float(Corn()(GRADES, LOGITS, sample_weight=weights))
    assert found == pytest.approx((each * weights).sum() / 7, rel=1e-6)


def test_what_no_image_reaches_has_no_gradient():
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = Corn()(np.zeros((4, 1), np.float32), logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.all(gradient[:, 1] == 0)
    assert np.all(gradient[:, 0] != 0)


def test_crossentropy_is_that_of_the_grade():
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    known = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(GradeCrossEntropy()(GRADES, logits)) == pytest.approx(float(known(GRADES, logits)), rel=1e-6)


@pytest.mark.parametrize(("loss", "width"), [(Corn(), 2), (GradeCrossEntropy(), 3)])
def test_beside_other_tasks_an_unknown_grade_counts_for_nothing(loss, width):
    grades = np.array([[UNKNOWN], [2]], np.float32)
    logits = tf.Variable(np.ones((2, width), np.float32))
    with tf.GradientTape() as tape:
        value = OfTheKnown(loss, 1.0)(grades, logits)
    gradient = tape.gradient(value, logits).numpy()
    assert np.isfinite(float(value))
    assert np.all(gradient[0] == 0)
    assert np.any(gradient[1] != 0)


@pytest.mark.parametrize(("delta", "expected"), [(0.0, 4.0), (1.0, 1.5)])
def test_a_number_is_off_by_its_square_or_less(delta, expected):
    question = GradeQuestion(("a", "b", "c"), "b", "expected_grade", delta)
    (loss,) = TASKS["ordinal"].network().losses(question, None, Training(), False).values()
    assert float(loss(np.array([[2.0]]), np.array([[0.0]]))) == pytest.approx(expected)
