import keras
import numpy as np
import pytest

from kmedtl.edge.tasks.classification.calibration import probabilities, uncalibrated
from kmedtl.errors import UserError
from kmedtl.explain.features import penultimate_features
from kmedtl.explain.uncertainty import augmented, mc_dropout
from kmedtl.recipe import Backbone, Head
from kmedtl.tasks.classification.model import build_classifier
from tests.explain.conftest import planted

ONE = uncalibrated("binary", 1)


@pytest.fixture(scope="module")
def images():
    return planted(8, seed=1)[0]


@pytest.mark.parametrize(
    "spread",
    [
        lambda model, images, seed: augmented(model, images, "xray", ONE, passes=3, seed=seed),
        lambda model, images, seed: mc_dropout(model, images, ONE, passes=6, seed=seed),
    ],
    ids=["augmented", "mc_dropout"],
)
def test_answers_vary_as_the_seed_says_and_the_model_stays(spread, finder, images):
    before = finder.get_weights()
    own = finder.predict(images.astype(np.float32), verbose=0)
    found, same, other = (spread(finder, images, seed) for seed in (1, 1, 2))
    assert found.logits.shape == found.deviation.shape == (8, 1)
    assert (found.logits == same.logits).all()
    assert (found.deviation == same.deviation).all()
    assert (found.logits != other.logits).any()
    assert (found.deviation >= 0).all()
    assert found.deviation.max() <= 0.5
    assert (finder.predict(images.astype(np.float32), verbose=0) == own).all()
    for weight, kept in zip(finder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_without_augmentation_the_answer_is_the_models_own(finder, images):
    found = augmented(finder, images, "none", ONE, passes=2)
    assert found.logits == pytest.approx(finder.predict(images.astype(np.float32), verbose=0), abs=1e-4)
    assert found.deviation.max() < 1e-6


def test_answers_of_thinned_networks_lie_around_the_models_own(finder, images):
    own = finder.predict(images.astype(np.float32), verbose=0)[:, 0]
    found = mc_dropout(finder, images, ONE, passes=50)
    assert np.corrcoef(found.logits[:, 0], own)[0, 1] > 0.95
    assert abs(found.logits.mean() - own.mean()) < 0.3 * own.std()


def test_deviation_is_that_of_the_calibrated_probability(finder, images):
    flat = type(ONE)("temperature", "binary", (1e-6,), (0.0,))
    assert mc_dropout(finder, images, flat, passes=4).deviation.max() < 1e-4
    assert probabilities(mc_dropout(finder, images, flat, passes=2).logits, flat) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.slow
def test_dropout_drops_while_batch_norm_rests():
    keras.utils.set_random_seed(0)
    model = build_classifier(Backbone("EfficientNetLite0", "random"), Head(dropout=0.5), 32, 1, findings=2)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8)
    pictures = np.concatenate([picture, 255 - picture])
    spread = [mc_dropout(model, images, uncalibrated("multi_label", 2), 3) for images in (picture, pictures)]
    assert spread[0].deviation.any()
    assert spread[0].logits.shape == (1, 2)
    moving = [weight for weight in model.weights if "moving_" in weight.path]
    assert moving
    assert all(np.isin(weight.numpy(), (0, 1)).all() for weight in moving)


def test_a_model_without_dropout_is_refused(images):
    image = keras.Input((48, 48, 1))
    model = keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    with pytest.raises(UserError, match=r"head\.dropout above 0"):
        mc_dropout(model, images, ONE)


def test_features_are_what_the_logits_are_made_of(finder, images):
    features = penultimate_features(finder, images)
    kernel, bias = finder.get_layer("logits").get_weights()
    assert features.shape == (8, 24)
    own = finder.predict(images.astype(np.float32), verbose=0)
    assert features @ kernel + bias == pytest.approx(own, abs=1e-4)
