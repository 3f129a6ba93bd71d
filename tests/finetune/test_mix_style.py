"""MixStyle: what it does to maps, where it lies, and that nothing but training knows of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmedtl.backbones.blocks import block_map, select
from kmedtl.data.pipeline import Variation
from kmedtl.errors import UserError
from kmedtl.finetune.early_blocks import early_blocks
from kmedtl.finetune.frozen_prefix import cache, cut
from kmedtl.finetune.mix_style import MixStyle, styled, styled_places, with_style
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Backbone, Head, Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import build_classifier, job_of, predict_logits

STAGE = Stage("mixed", "last:1", 1, 1e-3, style="mixstyle")


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    return (
        random.normal(size=(5, 7, 6, 4)) * random.uniform(1, 3, (5, 1, 1, 4)) + random.normal(size=(5, 1, 1, 4))
    ).astype("float32")


def statistics(maps):
    maps = np.asarray(maps)
    return maps.mean((1, 2)), maps.std((1, 2))


def test_styles_are_mixed_and_what_is_left_without_them_stays(maps):
    others, kept = maps[::-1].copy(), np.array([1, 0.75, 0.5, 0.25, 0], "float32")[:, None, None, None]
    found = with_style(maps, others, kept)
    own, other = statistics(maps), statistics(others)
    for now, a, b in zip(statistics(found), own, other, strict=True):
        assert np.allclose(now, kept[:, 0, 0] * a + (1 - kept[:, 0, 0]) * b, atol=1e-4)
    without = [
        (array - array.mean((1, 2), keepdims=True)) / array.std((1, 2), keepdims=True)
        for array in (maps, np.asarray(found))
    ]
    assert np.allclose(*without, atol=1e-4)
    assert np.allclose(found[0], maps[0], atol=1e-5)


def test_no_gradient_goes_through_means_and_deviations(maps):
    given, kept = tf.constant(maps), np.zeros((5, 1, 1, 1), "float32")
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(with_style(given, maps[::-1].copy(), kept))
    (_, own), (_, other) = statistics(maps), statistics(maps[::-1])
    assert np.allclose(
        tape.gradient(total, given), np.broadcast_to((other / own)[:, None, None], maps.shape), rtol=1e-3
    )


def test_a_layer_mixes_about_every_second_batch_and_weights_are_mostly_near_0_or_1(maps):
    layer, images = MixStyle(seed=0), np.tile(np.arange(1, 101, dtype="float32")[:, None, None, None], (1, 3, 3, 1))
    batches = [np.asarray(layer(images))[:, 0, 0, 0] for _ in range(60)]  # constant maps: what comes out is the mean
    mixed = [batch for batch in batches if not np.array_equal(batch, images[:, 0, 0, 0])]
    assert 20 <= len(mixed) <= 40
    assert 1 <= np.min(mixed) <= np.max(mixed) <= 100
    kept = np.mean([np.isclose(batch, images[:, 0, 0, 0], rtol=1e-2).mean() for batch in mixed])
    assert 0.3 < kept < 0.7  # a beta distribution of 0.1 and 0.1 has most of its mass at its ends
    again = MixStyle(seed=0)
    assert all(np.array_equal(np.asarray(again(images))[:, 0, 0, 0], batch) for batch in batches)


def test_it_lies_behind_early_maps_of_a_graph_of_its_own(model):
    blocks = block_map(model, BACKBONE.name)
    places = styled_places(STAGE, model, blocks)
    assert [model.get_layer(name).output.shape[1] for name in places] == [
        8
    ]  # of 32 pixels; the last map is as fine as 1/8
    names, weights = [op.name for op in model.operations], [id(weight) for weight in model.weights]
    own = styled(model, places)
    assert [id(weight) for weight in own.weights] == weights
    assert [op.name for op in model.operations] == names
    assert len([layer for layer in own.layers if isinstance(layer, MixStyle)]) == 1
    assert styled(model, ()) is model
    assert early_blocks(model, blocks)[-1].ends == places


def test_a_backbone_without_early_maps_is_refused(data):
    model = build_classifier(Backbone("MobileNet", "random", truncate_at="block1"), Head(), 32, 1, 1)
    job = job_of(model, block_map(model, "MobileNet"), data, "none", Training())
    with pytest.raises(
        UserError, match=r"expected a backbone with a feature map of a quarter .*Received: one with 1/2"
    ):
        fine_tune(job, [STAGE])


@pytest.mark.slow
def test_the_frozen_part_is_styled_view_by_view_and_for_training_alone(model, data):
    blocks = block_map(model, BACKBONE.name)
    parts, places = cut(model, blocks, select(blocks, "last:1")), styled_places(STAGE, model, blocks)

    def activations(places, seed=0):
        (cached,) = cache([parts], data, 4, Variation(style="mixstyle"), "none", "float32", seed, places)
        return {split: np.array(part.arrays[0]) for split, part in cached.items()}

    plain, mixed, again, other = activations(()), activations(places), activations(places), activations(places, seed=1)
    assert np.array_equal(mixed["val"], plain["val"])
    assert np.array_equal(mixed["train"], again["train"])
    assert not np.array_equal(mixed["train"], other["train"])
    moved = np.abs(mixed["train"] - plain["train"]).max((1, 2, 3, 4)) / plain["train"].std()
    assert moved.max() > 0.1
    assert len(set(moved)) > 1  # no two views are mixed alike


@pytest.mark.slow
@pytest.mark.parametrize(("train", "views"), [("all", 0), ("last:1", 2)])
def test_a_stage_with_mixed_styles_follows_from_its_seed_and_leaves_the_model_as_it_was_built(data, train, views):
    def learned(style):
        model = tiny_model()
        stage = Stage("a", train, 2, 1e-3, style=style, views=views)
        fine_tune(job_of(model, block_map(model, BACKBONE.name), data, "none", Training()), [stage])
        assert not any(isinstance(layer, MixStyle) for layer in model.layers)
        return predict_logits(model, data["val"])

    mixed = learned("mixstyle")
    assert np.array_equal(mixed, learned("mixstyle"))
    assert not np.array_equal(mixed, learned("none"))


def test_half_precision_stays_half(maps):
    half = keras.ops.cast(maps, "bfloat16")
    assert with_style(half, half, np.ones((5, 1, 1, 1), "float32")).dtype == half.dtype
