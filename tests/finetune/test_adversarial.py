"""Adversarial alignment: the reversed gradient, its ramp, what is refused, and that only training knows of it."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kmedtl.backbones.blocks import block_map
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.finetune.added_outputs import DOMAIN, answers
from kmedtl.finetune.adversarial import (
    Domains,
    GradientReversal,
    Ramp,
    aligning_losses,
    domains_of,
    strength_at,
    with_classifier,
)
from kmedtl.finetune.frozen_prefix import cut
from kmedtl.finetune.stages import fine_tune
from kmedtl.heads.build import build_model, penultimate
from kmedtl.recipe import Backbone, Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import job_of, predict_logits
from tests.tasks.rows import ROWS

ALIGNED = Stage("aligned", "last:1", 3, 1e-3, domains="adversarial", ema=0.9)


@pytest.fixture(scope="module")
def sites(data):
    """The images with sites: those of B are darker, and of every seventh nobody knows it."""
    return {name: _with_sites(part) for name, part in data.items()}


def _with_sites(part):
    rows = np.arange(len(part.table))
    site = np.where(rows % 7 == 0, "", np.where(rows % 2 == 0, "A", "B"))
    pixels = np.where((site == "B")[:, None, None, None], part.store.pixels // 2, part.store.pixels)
    return replace(part, store=replace(part.store, pixels=pixels), table=part.table.assign(site=site))


def learn(data, stage=ALIGNED, **more):
    model = tiny_model()
    job = job_of(model, block_map(model, BACKBONE.name), data, "none", Training(), **more)
    return model, fine_tune(job, [stage])


@pytest.fixture(scope="module")
def aligned(sites):
    return learn(sites)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_a_reversal_hands_values_on_and_gradients_back_with_the_other_sign(strength):
    layer, given = GradientReversal(), tf.constant(np.random.default_rng(0).normal(size=(4, 3)).astype("float32"))
    layer.build(given.shape)
    layer.strength.assign(strength)
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = layer(given)
        total = tf.reduce_sum(found**2)
    assert np.array_equal(found, given)
    assert np.allclose(tape.gradient(total, given), -strength * 2 * given, atol=1e-6)


def test_the_strength_rises_from_0_to_1_along_the_stage():
    assert strength_at(0) == 0
    assert strength_at(0.1) == pytest.approx(np.tanh(0.5))
    assert strength_at(1) == pytest.approx(1, abs=1e-4)
    inputs = keras.Input((2,))
    layer = GradientReversal()
    ramp = Ramp(keras.Model(inputs, layer(inputs)), done=10, steps=40)
    ramp.on_train_batch_begin(6)
    assert float(layer.strength) == pytest.approx(strength_at(0.4))


def test_the_classifier_learns_as_without_reversal_and_the_backbone_the_opposite(model):
    """One backward pass of the loss of the domains; nobody knows the domain of the last image."""
    own, strength = with_classifier(model, Domains("site", ("A", "B")), seed=0), 0.3
    own.get_layer("domain_reversal").strength.assign(strength)
    before = keras.Model(model.inputs, penultimate(model))
    classifier = keras.Model(own.get_layer("domain_reversal").output, own.output[DOMAIN])
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 1)), "float32")
    labels = np.eye(2, dtype="float32")[[0, 1, 1, 0, 0]] * np.array([[1], [1], [1], [1], [0]], "float32")
    behind = [weight.value for weight in classifier.trainable_weights if "kernel" in weight.path]
    backbone = [weight.value for weight in before.trainable_weights]

    def gradients(classify):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = aligning_losses(own)[DOMAIN](labels, classify(images))
        return tape.gradient(loss, [[images, *backbone], behind, model.get_layer(LOGITS).kernel.value])

    (back, forth, task), (plain_back, plain_forth, _) = (
        gradients(lambda pixels: own(pixels)[DOMAIN]),
        gradients(lambda pixels: classifier(before(pixels))),
    )
    largest = max(np.abs(plain).max() for plain in plain_back[1:])
    assert largest > 1e-3
    for one, plain in zip(back, plain_back, strict=True):
        assert np.allclose(one, -strength * plain, rtol=1e-3, atol=1e-5 * largest)
    for one, plain in zip(forth, plain_forth, strict=True):
        assert np.any(plain)
        assert np.allclose(one, plain, rtol=1e-3, atol=1e-5 * np.abs(plain).max())
    assert task is None
    assert [bool(np.any(of_image)) for of_image in back[0]] == [True] * 4 + [False]


@pytest.mark.parametrize("name", {row.settings.kind: name for name, row in ROWS.items()}.values())
def test_every_task_can_be_aligned_and_answers_what_it_answered(name):
    row, domains = ROWS[name], Domains("site", ("A", "B", "C"))
    network, backbone = row.task.network(), Backbone("MobileNet", "random", truncate_at="block3")
    model = build_model(backbone, row.head, 32, 1, lambda found: network.outputs(row.question, found))
    before, weights = answers(model), len(model.weights)
    part = cut(with_classifier(model, domains, seed=0), block_map(model, "MobileNet"), ["block3", "head"])
    losses = network.losses(row.question, ALIGNED, Training(), False) | aligning_losses(part.suffix)
    targets = {output: array[:4].astype("float32") for output, array in row.known.targets.items()}
    targets[DOMAIN] = domains.targets(pd.DataFrame({"site": ["A", "C", "", "B"]}))
    assert losses.keys() == targets.keys() == part.suffix.output.keys()
    assert answers(part.suffix).keys() == before.keys() == model.output.keys()
    assert len(model.weights) == weights
    part.suffix.compile("sgd", losses, run_eagerly=True)
    own = part.suffix.get_layer(DOMAIN).kernel
    start = own.numpy()
    given = part.prefix([np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 1)).astype("float32")])
    assert np.isfinite(part.suffix.train_on_batch(given, targets, np.ones(4, "float32"))).all()
    assert not np.array_equal(own, start)


def test_images_of_no_known_domain_have_no_target():
    table = pd.DataFrame({"scanner": ["b", "", "a", None]})
    asked = Stage("a", "all", 1, 1e-3, domains="adversarial")
    assert domains_of(asked, "scanner", table) == Domains("scanner", ("a", "b"))
    assert Domains("scanner", ("a", "b")).targets(table).tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert domains_of(asked, "year", pd.DataFrame({"year": [2019, 2020, np.nan]})).names == ("2019.0", "2020.0")


@pytest.mark.parametrize(
    ("site", "change", "message"),
    [
        ("A", {}, r"two domains or more in the column data\.domain=site\. Received: 1 \(A\)"),
        ("", {}, r"Received: none; name another"),
        (None, {}, "Received: no such column"),
        (["A", "B"], {"train": "head"}, r"expected a stage that trains blocks of the backbone.*Received: train=head"),
    ],
)
def test_what_cannot_align_is_refused_before_anything_trains(data, site, change, message):
    table = data["train"].table
    known = table if site is None else table.assign(site=np.resize(site, len(table)))
    with pytest.raises(UserError, match=message):
        learn(data | {"train": replace(data["train"], table=known)}, replace(ALIGNED, **change))


@pytest.mark.slow
def test_a_stage_that_aligns_learns_otherwise_and_leaves_the_model_as_it_was_built(sites, aligned):
    (model, state), (plain, _) = aligned, learn(sites, replace(ALIGNED, domains="none"))
    assert [layer.name for layer in model.layers] == [layer.name for layer in tiny_model().layers]
    assert [epoch.stage for epoch in state.history] == ["aligned"] * 3
    assert not np.array_equal(predict_logits(model, sites["val"]), predict_logits(plain, sites["val"]))


@pytest.mark.slow
def test_domains_are_aligned_beside_every_other_setting(sites):
    more = {"layer_decay": 0.5, "lr": "auto", "mix": "mixup", "style": "mixstyle", "l2_sp": 0.01, "epochs": 1}
    model, _ = learn(sites, replace(ALIGNED, **more))
    assert np.isfinite(predict_logits(model, sites["val"])).all()


class Killed(BaseException):
    """As if the process had ended."""


@pytest.mark.slow
def test_a_killed_stage_goes_on_with_its_classifier_and_its_ramp(sites, aligned, tmp_path):
    def kill(epoch, number):
        if number == 2:
            raise Killed

    with pytest.raises(Killed):
        learn(sites, folder=tmp_path, after_epoch=kill)
    table = sites["train"].table
    moved = replace(sites["train"], table=table.assign(site=table["site"].replace("A", "C")))
    with pytest.raises(UserError, match="--resume: expected the domains of training"):
        learn(sites | {"train": moved}, folder=tmp_path)
    again, _ = learn(sites, folder=tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(aligned[0].get_weights(), again.get_weights(), strict=True))
