import keras
import numpy as np
import pytest

from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.explain.features import outputs_and_features
from kmedtl.explain.uncertainty import augmented, mc_dropout
from kmedtl.recipe import Backbone, Head
from tests.explain.conftest import planted
from tests.models import build_classifier, decoder_of

ONE = decoder_of("binary", ("NO", "YES"))


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
    own = finder.predict(images.astype(np.float32), verbose=0)[LOGITS]
    found, same, other = (spread(finder, images, seed) for seed in (1, 1, 2))
    assert found.outputs[LOGITS].shape == found.deviation.shape == (8, 1)
    assert (found.outputs[LOGITS] == same.outputs[LOGITS]).all()
    assert (found.deviation == same.deviation).all()
    assert (found.outputs[LOGITS] != other.outputs[LOGITS]).any()
    assert (found.deviation >= 0).all()
    assert found.deviation.max() <= 0.5
    assert (finder.predict(images.astype(np.float32), verbose=0)[LOGITS] == own).all()
    for weight, kept in zip(finder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_without_augmentation_the_answer_is_the_models_own(finder, images):
    found = augmented(finder, images, "none", ONE, passes=2)
    assert found.outputs[LOGITS] == pytest.approx(
        finder.predict(images.astype(np.float32), verbose=0)[LOGITS], abs=1e-4
    )
    assert found.deviation.max() < 1e-6


def test_answers_of_thinned_networks_lie_around_the_models_own(finder, images):
    own = finder.predict(images.astype(np.float32), verbose=0)[LOGITS][:, 0]
    found = mc_dropout(finder, images, ONE, passes=50)
    assert np.corrcoef(found.outputs[LOGITS][:, 0], own)[0, 1] > 0.95
    assert abs(found.outputs[LOGITS].mean() - own.mean()) < 0.3 * own.std()


def test_deviation_is_that_of_the_calibrated_probability(finder, images):
    calibration = Calibration("temperature", "binary", (1e-6,), (0.0,))
    flat = decoder_of("binary", ("NO", "YES"), calibration)
    assert mc_dropout(finder, images, flat, passes=4).deviation.max() < 1e-4
    assert probabilities(mc_dropout(finder, images, flat, passes=2).outputs[LOGITS], calibration) == pytest.approx(
        0.5, abs=1e-3
    )


@pytest.mark.slow
def test_dropout_drops_while_batch_norm_rests():
    keras.utils.set_random_seed(0)
    model = build_classifier(Backbone("EfficientNetLite0", "random"), Head(dropout=0.5), 32, 1, findings=2)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8)
    pictures = np.concatenate([picture, 255 - picture])
    spread = [mc_dropout(model, images, decoder_of("multi_label", ("A", "B")), 3) for images in (picture, pictures)]
    assert spread[0].deviation.any()
    assert spread[0].outputs[LOGITS].shape == (1, 2)
    moving = [weight for weight in model.weights if "moving_" in weight.path]
    assert moving
    assert all(np.isin(weight.numpy(), (0, 1)).all() for weight in moving)


def test_a_model_without_dropout_is_refused(images):
    image = keras.Input((48, 48, 1))
    model = keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    with pytest.raises(UserError, match=r"head\.dropout above 0"):
        mc_dropout(model, images, ONE)


def test_features_are_what_the_logits_are_made_of(finder, images):
    features = outputs_and_features(finder, images)["features"]
    kernel, bias = finder.get_layer("logits").get_weights()
    assert features.shape == (8, 24)
    own = finder.predict(images.astype(np.float32), verbose=0)[LOGITS]
    assert features @ kernel + bias == pytest.approx(own, abs=1e-4)
