"""A training that stops anywhere goes on as if it had not: the same weights, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.errors import UserError
from kmedtl.files.names import STATE
from kmedtl.finetune import checkpoint as states
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Stage, Training
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import job_of

STAGES = (
    Stage("head", "head", 2, 3e-3, ema=0.9),
    Stage("auto", "last:1", 2, "auto", interpolate=(0.5, 1.0)),
    Stage("deeper", "last:2", 2, 1e-3, l2_sp=1e-3, optimizer="sgd", layer_decay=0.5, patience=2),
)
EPOCHS = 8  # six, and two of the interpolation


class Killed(BaseException):
    """As if the process had ended."""


def learn(data, folder, stages=STAGES, kill_at=None):
    """Return state and weights; with `kill_at` stop after so many epochs, as a kill between two epochs would."""
    seen = []

    def after_epoch(epoch, number):
        seen.append(epoch)
        if len(seen) == kill_at:
            raise Killed

    model = tiny_model()
    more = {"log": lambda text: None, "after_epoch": after_epoch, "folder": folder}
    job = job_of(model, block_map(model, BACKBONE.name), data, "xray", Training(), seed=1, **more)
    return fine_tune(job, stages), model.get_weights()


@pytest.fixture(scope="module")
def whole(data):
    return learn(data, None)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [3, 7])
def test_a_killed_training_ends_with_the_same_weights(data, whole, tmp_path, kill_at):
    with pytest.raises(Killed):
        learn(data, tmp_path, kill_at=kill_at)
    before = states.read(tmp_path)
    again, weights = learn(data, tmp_path)
    expected, expected_weights = whole
    assert len(before.history) < len(again.history) == EPOCHS
    assert all(np.array_equal(a, b) for a, b in zip(weights, expected_weights, strict=True))
    assert [epoch.selection_score for epoch in again.history] == [epoch.selection_score for epoch in expected.history]
    assert again.stages == expected.stages
    assert isinstance(again.stages[1].lr, float)


@pytest.mark.slow
def test_stages_to_come_may_change_and_finished_ones_may_not(data, tmp_path):
    with pytest.raises(Killed):
        learn(data, tmp_path, kill_at=3)
    other = (replace(STAGES[0], epochs=1), *STAGES[1:])
    with pytest.raises(UserError, match="1 stages are finished, and the recipe now has others"):
        learn(data, tmp_path, other)
    lower = (STAGES[0], replace(STAGES[1], lr=1e-5, interpolate=(), epochs=1))
    again, _ = learn(data, tmp_path, lower)
    assert [(epoch.stage, epoch.epoch) for epoch in again.history] == [("head", 1), ("head", 2), ("auto", 1)]
    assert again.stages[1].lr == 1e-5


@pytest.mark.slow
def test_a_training_goes_on_only_with_the_images_and_targets_it_began_with(data, tmp_path):
    with pytest.raises(Killed):
        learn(data, tmp_path, kill_at=1)
    kept = (tmp_path / STATE).read_bytes()
    for split in ("train", "val"):
        part = data[split]
        flipped = {name: np.concatenate([1 - array[:1], array[1:]]) for name, array in part.targets.items()}
        darker = replace(part.store, pixels=np.maximum(part.store.pixels, 1) - 1)
        for changed, name in (({"targets": flipped}, "labels or masks"), ({"store": darker}, "images")):
            with pytest.raises(UserError, match=f"--resume: expected the {name} of training and validation that"):
                learn(data | {split: replace(part, **changed)}, tmp_path)
    assert (tmp_path / STATE).read_bytes() == kept


@pytest.mark.slow
def test_a_changed_stage_is_measured_by_what_it_started_from(data, tmp_path):
    # The first stage hands on the weights it began with, as no other interpolation is offered. They are worse than its
    # epochs: of validation images that are all alike each AUC is 0.5, and the loss falls with every epoch.
    alike = ImagesInMemory(np.full((len(data["val"].table), 32, 32, 1), 100, np.uint8))
    data = data | {"val": replace(data["val"], store=alike)}
    stages = (replace(STAGES[0], interpolate=(0.0,)), replace(STAGES[1], lr=1e-3, interpolate=()))
    with pytest.raises(Killed):
        learn(data, tmp_path, stages, kill_at=4)
    handed_on = states.read(tmp_path).history[2]
    assert handed_on.selection_score < max(epoch.selection_score for epoch in states.read(tmp_path).history[:2])
    lower = (stages[0], replace(stages[1], lr=5e-4))
    resumed, weights = learn(data, tmp_path, lower)
    expected, expected_weights = learn(data, None, lower)
    assert resumed.selection_score == expected.selection_score
    for one, other in zip(weights, expected_weights, strict=True):  # its own pass through the frozen part rounds anew
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.slow
def test_a_full_disk_keeps_the_state_before(data, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        learn(data, tmp_path, kill_at=1)
    kept = (tmp_path / STATE).read_bytes()
    (tmp_path / f"{STATE}.unfinished").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"stage head, epoch 2, cannot be written \(No space left on device\)"):
        learn(data, tmp_path)
    assert (tmp_path / STATE).read_bytes() == kept


def test_a_damaged_state_is_named(data, tmp_path):
    (tmp_path / STATE).write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match=r"state\.npz: the state of the run is damaged"):
        learn(data, tmp_path)
