"""SimCLR: its loss, its pairs, its cost, and a backbone that learned without labels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.errors import UserError
from kmedtl.finetune.added_outputs import CONTRAST
from kmedtl.finetune.contrastive import ContrastiveLoss, EpochOfPairs
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import job_of

START = Stage("start", "all", 3, 0.003, views=4, objective="simclr", batch_norm="train")


def job_with(data, training=None, **more):
    model = tiny_model()
    return job_of(model, block_map(model, BACKBONE.name), data, "symmetries", training or EXACT, log=print, **more)


EXACT = Training(cache_dtype="float32")


def nt_xent(first, second, temperature):
    """Equation 1 of the paper, pair by pair."""
    views = np.concatenate([first, second])
    views = views / np.linalg.norm(views, axis=1, keepdims=True)
    count = len(first)
    losses = []
    for one in range(2 * count):
        other = (one + count) % (2 * count)
        alike = {k: np.exp(views[one] @ views[k] / temperature) for k in range(2 * count) if k != one}
        losses.append(-np.log(alike[other] / sum(alike.values())))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_loss_is_that_of_the_paper(temperature):
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 5, 8))
    found = ContrastiveLoss(temperature).call(None, np.concatenate([first, second]).astype(np.float32))
    np.testing.assert_allclose(np.asarray(found), nt_xent(first, second, temperature), rtol=1e-4)


def handed(views, count, start):
    """Return activations of `count` images: image i holds 100·(start + i) + its view."""
    values = 100 * (start + np.arange(count)) + np.arange(views)[:, None]
    return SimpleNamespace(arrays=[values[..., None].astype(np.float16)], weights=np.ones((views, count), np.float32))


def test_an_epoch_visits_images_of_all_parts_in_two_different_views():
    epoch = EpochOfPairs([handed(3, 7, 0), handed(3, 6, 7)], batch_size=4, seed=1)
    assert len(epoch) == 3
    seen = []
    for number in range(3):
        (first, second), targets = epoch[number]
        assert first.shape == second.shape == (4, 1)
        assert targets[CONTRAST].shape == (8, 1)
        assert (first // 100 == second // 100).all()
        assert (first != second).all()
        images = (first[:, 0] // 100).astype(int)
        assert sorted(epoch.rows(number)) == sorted(images[images < 7])
        seen += images.tolist()
    assert len(set(seen)) == 12
    again = EpochOfPairs([handed(3, 7, 0), handed(3, 6, 7)], batch_size=4, seed=1)
    assert all(np.array_equal(epoch[2][0][which], again[2][0][which]) for which in (0, 1))


class Killed(BaseException):
    """As if the process had ended."""


def killed(epoch, number):
    if number == 1:
        raise Killed


@pytest.mark.slow
def test_a_backbone_learns_without_labels_and_goes_on_where_it_was_killed(data, tmp_path):
    """No epoch is judged, and the head learns from what the last one has left."""
    before = tiny_model().get_weights()
    alone = fine_tune(job_with(data), [START])
    assert all(np.isnan(epoch.score) for epoch in alone.history)
    assert alone.history[2].loss < alone.history[0].loss - 0.05
    assert np.mean([not np.array_equal(*pair) for pair in zip(alone.best, before, strict=True)]) > 0.5
    assert all(np.array_equal(*pair) for pair in zip(alone.best[-2:], before[-2:], strict=True))  # the head

    stages = [START, Stage("head", "head", 1, 0.05, views=1)]
    with pytest.raises(Killed):
        fine_tune(job_with(data, folder=tmp_path, after_epoch=killed), stages)
    resumed = fine_tune(job_with(data, folder=tmp_path), stages)
    assert [epoch.loss for epoch in resumed.history[:3]] == [epoch.loss for epoch in alone.history]
    assert np.isfinite(resumed.history[3].score)
    changed = [
        number for number, pair in enumerate(zip(alone.best, resumed.best, strict=True)) if not np.array_equal(*pair)
    ]
    assert set(changed) <= {len(before) - 2, len(before) - 1}


@pytest.mark.slow
def test_what_takes_longer_than_accepted_is_refused_with_its_hours(data):
    """Its steps are counted over epochs of few steps each."""
    with pytest.raises(UserError, match=r"^stage start: about .* more than training\.accept_hours=0\. Set it to"):
        fine_tune(job_with(data, Training(accept_hours=0)), [replace(START, train="last:2")])


def test_a_head_alone_is_refused(data):
    with pytest.raises(UserError, match=r"^stage start: train: expected blocks of the backbone.* Received: 'head'\."):
        fine_tune(job_with(data), [replace(START, train="head")])


REFUSED = {"patience": 2, "interpolate": (0.5,), "lr": "auto", "train": "adaptive:2", "views": 1, "mix": "mixup"}


@pytest.mark.parametrize("setting", REFUSED)
def test_settings_without_sense_are_refused(setting):
    with pytest.raises(UserError, match=f"^stage start: {setting}: expected .* beside objective=simclr"):
        replace(START, **{setting: REFUSED[setting]})
