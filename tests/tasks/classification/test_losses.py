import keras
import numpy as np
import pytest

from kmedtl.data.manifest import UNKNOWN
from kmedtl.tasks.classification.losses import (
    Adjusted,
    MaskedCrossEntropy,
    SoftmaxCrossEntropy,
    cross_entropy,
    log_frequencies,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 3)).astype("float32")
TARGETS = RANDOM.integers(0, 2, (6, 3)).astype("float32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_with_everything_known_it_is_binary_cross_entropy(smoothing):
    known = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    assert float(MaskedCrossEntropy(smoothing)(TARGETS, LOGITS)) == pytest.approx(float(known(TARGETS, LOGITS)))


def test_what_is_unknown_adds_neither_loss_nor_gradient():
    import tensorflow as tf

    targets = TARGETS.copy()
    targets[:, 1] = UNKNOWN
    targets[2] = UNKNOWN
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = MaskedCrossEntropy()(targets, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.all(gradient[targets == UNKNOWN] == 0)
    assert np.all(gradient[targets != UNKNOWN] != 0)
    rows = [0, 1, 3, 4, 5]
    kept = MaskedCrossEntropy()(TARGETS[rows][:, [0, 2]], LOGITS[rows][:, [0, 2]])
    assert float(loss) == pytest.approx(float(kept) * 5 / 6)


def test_focal_loss_weighs_by_what_is_missing():
    plain = keras.ops.binary_crossentropy(TARGETS, LOGITS, from_logits=True)
    missing = np.abs(TARGETS - 1 / (1 + np.exp(-LOGITS)))
    expected = np.mean(np.asarray(plain) * missing**2)
    assert float(MaskedCrossEntropy(focal_gamma=2.0)(TARGETS, LOGITS)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_classes_that_exclude_each_other_it_is_softmax_cross_entropy(smoothing):
    one_hot = np.eye(3, dtype="float32")[[0, 2, 1, 1, 0, 2]]
    known = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    found = cross_entropy("multi_class", smoothing)(one_hot, LOGITS)
    assert float(found) == pytest.approx(float(known(one_hot, LOGITS)), rel=1e-5)
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    found = SoftmaxCrossEntropy(focal_gamma=2.0)(one_hot, LOGITS)
    assert float(found) == pytest.approx(float(focal(one_hot, LOGITS)), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("multi_class", [3 / 7, 2 / 7, 2 / 7]), ("multi_label", [3 / 3, 2 / 4, 2 / 3])],  # one more of each than there are
)
def test_frequencies_are_counted_among_what_is_known(kind, expected):
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    if kind == "multi_label":
        targets[0, 2] = UNKNOWN
    assert np.exp(log_frequencies(kind, targets)) == pytest.approx(expected)


@pytest.mark.slow
def test_adjusted_logits_learn_what_the_images_say_beside_how_frequent_answers_are():
    """Where images say nothing, the best logits are all alike, however rare a class is."""
    import tensorflow as tf

    targets = np.eye(3, dtype="float32")[[0] * 8 + [1] * 3 + [2]]
    loss = Adjusted(SoftmaxCrossEntropy(), log_frequencies("multi_class", targets))
    logits = tf.Variable(np.zeros(3, "float32"))
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(200):
        with tf.GradientTape() as tape:
            found = loss(targets, tf.tile(logits[None], [len(targets), 1]))
        optimizer.apply([tape.gradient(found, logits)], [logits])
    shares = targets.mean(axis=0) / np.exp(log_frequencies("multi_class", targets))
    assert logits.numpy() - logits.numpy().mean() == pytest.approx(np.log(shares) - np.log(shares).mean(), abs=1e-2)
