"""Maps point at what decides, on a network that is known, and can be made of every backbone and head."""

from __future__ import annotations

import gc
from operator import attrgetter

import keras
import numpy as np
import pytest

from kmedtl.backbones import registry
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.explain.gradients import grad_cam, smooth_grad
from kmedtl.explain.methods import METHODS
from kmedtl.explain.pointing_game import pointing_game
from kmedtl.recipe import Backbone, Head
from tests.explain.conftest import planted
from tests.models import WHICH, build_classifier
from tests.rows import EVERY, SMALLEST, quick_first

HEADS = {"EfficientNetLite0": "mlp", "MobileNetV3Small": "attention_pool", "ResNet50V2": "linear"}


@pytest.fixture(autouse=True)
def _forget_models():
    yield
    gc.collect()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_highest_place_is_the_one_that_decides(method, finder):
    images, targets, masks = planted(20, seed=1)
    logits = finder.predict(images.astype(np.float32), verbose=0)[LOGITS][:, 0]
    assert ((logits > 0) == (targets == 1)).all()
    before = images.copy()
    maps = method(finder, images, WHICH)
    hits, used = pointing_game(maps, masks)
    assert used.sum() == 10
    assert hits.mean() >= 0.9
    assert (images == before).all()
    _check(maps, images)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_finding_that_nothing_speaks_for_has_an_empty_map(method, finder):
    images, _, _ = planted(2, seed=1)
    head = finder.get_layer("logits")
    constant = keras.models.clone_model(finder)
    constant.set_weights([*finder.get_weights()[:-2], np.zeros_like(head.get_weights()[0]), np.ones(1)])
    assert not method(constant, images, WHICH).any()


def test_of_several_findings_each_has_its_own_map(finder):
    kernel, bias = finder.get_layer("logits").get_weights()
    both = keras.layers.Dense(2, name="both")
    model = keras.Model(finder.input, {LOGITS: both(finder.get_layer("head_dropout").output)})
    both.set_weights([np.concatenate([kernel, -kernel], axis=1), np.concatenate([bias, -bias])])
    images, _, masks = planted(10, seed=1)
    hits = [pointing_game(grad_cam(model, images, (LOGITS, finding)), masks)[0] for finding in (0, 1)]
    assert hits[0].mean() >= 0.9
    assert not hits[1].any()


def test_smooth_grad_is_a_function_of_its_seed(finder):
    images, _, _ = planted(2, seed=1)
    first, same, other = (smooth_grad(finder, images, WHICH, samples=3, seed=seed) for seed in (1, 1, 2))
    assert (first == same).all()
    assert not np.allclose(first, other)


ROWS = [row for row in registry.ROWS if row.name in SMALLEST or EVERY]


@pytest.mark.parametrize("row", quick_first(ROWS), ids=attrgetter("name"))
def test_every_backbone_can_be_explained(row):
    model = build_classifier(Backbone(row.name, "random"), Head(), max(row.min_size, 64), 1, findings=1)
    images = _image(max(row.min_size, 64), 1)
    _check(grad_cam(model, images, WHICH), images)


@pytest.mark.parametrize("name", quick_first(HEADS))
def test_every_head_can_be_explained_by_every_method(name):
    model = build_classifier(Backbone(name, "random"), Head(HEADS[name]), 64, 3, findings=2)
    model.trainable = False  # a frozen model has gradients nonetheless
    images = _image(64, 3)
    for method in METHODS.values():
        _check(method(model, images, (LOGITS, 1)), images)


def _image(size, channels):
    return np.random.default_rng(7).integers(0, 256, (1, size, size, channels), dtype=np.uint8)


def _check(maps, images):
    assert maps.dtype == np.float32
    assert maps.shape == images.shape[:3]
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert all(found.max() == 1 or not found.any() for found in maps)
