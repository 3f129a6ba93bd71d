"""Stages that learn from images without labels."""

from dataclasses import replace

import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.finetune.stages import fine_tune
from kmedtl.finetune.unlabelled_images import answered, like_training
from kmedtl.recipe import Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import job_of, predict_logits

FIRST = Stage("labels", "head", 2, 0.05, views=2)
EXACT = Training(cache_dtype="float32")


def job_with(data, unlabelled, findings=1, kind="binary", **more):
    model = tiny_model(findings)
    blocks = block_map(model, BACKBONE.name)
    return job_of(model, blocks, data, "symmetries", EXACT, 1, kind, unlabelled=unlabelled, log=print, **more)


@pytest.fixture(scope="module")
def unlabelled(data):
    """Thirty images like those of training, half as many others that rise from one corner to the other; no labels."""
    part = data["val"]
    like = np.random.default_rng(5).permutation(np.repeat(part.pixels(), 2, axis=0))[:30]
    slope = 4 * np.add.outer(np.arange(32), np.arange(32))[None, :, :, None]
    other = (slope + np.random.default_rng(6).integers(0, 7, (15, 32, 32, 1))).astype(np.uint8)
    table = part.table.iloc[np.arange(45) % len(part.table)].reset_index(drop=True)
    table = table.assign(id=[f"more-{number}" for number in range(45)], record=range(45), stratum=0)
    targets = {LOGITS: np.full((45, 1), UNKNOWN, np.float32)}
    return replace(part, store=ImagesInMemory(np.concatenate([like, other])), table=table, targets=targets)


@pytest.mark.slow
def test_images_unlike_those_of_training_are_left_out_and_counted(data, unlabelled):
    told = []
    job = replace(job_with(data, unlabelled), log=told.append)
    kept = like_training(job, FIRST)
    left = set(kept.table["record"])
    assert left.isdisjoint(range(30, 45))
    assert len(left) >= 28  # the last figure of a score may depend on the batch, so the images at the threshold may go
    unlike = 45 - len(left)
    assert told == [f"Stage labels: learns from {len(left)} unlabelled images; {unlike} are unlike those of training."]
    with pytest.raises(UserError, match="Received: 15 of another kind"):
        like_training(replace(job, unlabelled=unlabelled.of(np.arange(30, 45))), FIRST)


@pytest.mark.slow
def test_answers_are_probabilities_in_the_order_of_the_logits(data, unlabelled):
    job = job_with(data, unlabelled)
    found = answered(job, FIRST)
    soft, logits = found.targets[LOGITS], predict_logits(job.model, found)
    assert soft.shape == (len(found.table), 1)
    assert ((soft > 0) & (soft < 1)).all()
    assert (np.diff(soft[np.argsort(logits[:, 0]), 0]) >= -1e-6).all()


STAGES = {
    "pseudo": {"objective": "pseudo"},
    "mean_teacher": {"objective": "mean_teacher", "ema": 0.9, "unlabelled_weight": 10.0},
    "mixmatch": {"objective": "mixmatch", "unlabelled_weight": 10.0},
}


class Killed(BaseException):
    """As if the process had ended."""


def killed(epoch, number):
    if number == 3:
        raise Killed


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "train"), [("pseudo", "last:2"), ("mean_teacher", "head"), ("mixmatch", "all")])
def test_a_stage_learns_and_goes_on_where_it_was_killed(data, unlabelled, tmp_path, objective, train):
    """It ends with the weights that it would have ended with, to the last bit."""
    stages = [FIRST, Stage("both", train, 2, 0.01, views=2, **STAGES[objective])]
    whole = fine_tune(job_with(data, unlabelled), stages)
    with pytest.raises(Killed):
        fine_tune(job_with(data, unlabelled, folder=tmp_path, after_epoch=killed), stages)
    again = fine_tune(job_with(data, unlabelled, folder=tmp_path), stages)
    assert [epoch.stage for epoch in again.history] == ["labels", "labels", "both", "both"]
    assert np.isfinite([epoch.loss for epoch in again.history]).all()
    assert [epoch.loss for epoch in again.history] == [epoch.loss for epoch in whole.history]
    assert all(np.array_equal(one, other) for one, other in zip(again.best, whole.best, strict=True))


@pytest.mark.parametrize("objective", STAGES)
def test_without_images_it_is_refused(data, objective):
    stage = Stage("both", "head", 1, 0.01, **STAGES[objective])
    with pytest.raises(UserError, match=r"stage both: objective: expected images in data\.unlabelled"):
        fine_tune(job_with(data, None), [FIRST, stage])


@pytest.mark.parametrize("setting", ["mix=mixup", "class_weights=balanced", "sampling=balanced", "views=0"])
@pytest.mark.parametrize("objective", STAGES)
def test_settings_without_sense_are_refused(objective, setting):
    name, _, value = setting.partition("=")
    with pytest.raises(UserError, match=f"stage both: {name}: expected .* beside objective={objective}"):
        Stage("both", "head", 1, 0.01, **(STAGES[objective] | {name: 0 if value == "0" else value}))
