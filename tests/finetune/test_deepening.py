"""A deeper stage follows where the one before it gained more than its noise, and while minutes are left."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.finetune.deepening import epochs_within, is_worth_more, multiplications
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Stage, Training
from kmedtl.statistics.confidence import Estimate
from tests.finetune.conftest import BACKBONE, tiny_model
from tests.models import job_of

HEAD = Stage("head", "head", 2, 3e-3)
DEEPER = Stage("last 2", "last:2", 300, 1e-3, patience=2)
ALL = Stage("all", "all", 3, 1e-3)
IDLE = Stage("idle", "last:1", 2, 1e-9)  # moves nothing that could be seen


def learn(data, stages, training=None, folder=None, **more):
    model, lines = tiny_model(), []
    blocks = block_map(model, BACKBONE.name)
    settings = {"log": lines.append, "folder": folder, "while_gaining": True, **more}
    state = fine_tune(job_of(model, blocks, data, "none", training or Training(), seed=1, **settings), stages)
    return state, lines, model.get_weights()


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ((0.02, -0.01, 0.05), True),  # one standard error is 0.015
        ((0.01, -0.02, 0.04), False),
        ((0.0, 0.0, 0.0), False),
        ((-0.01, -0.02, 0.0), False),
        ((0.02, math.nan, math.nan), False),
    ],
)
def test_a_gain_counts_beyond_one_standard_error(gain, expected):
    assert is_worth_more(Estimate(*gain, "")) is expected


@pytest.mark.slow
def test_without_a_gain_nothing_deeper_trains(data):
    state, lines, _ = learn(data, [HEAD, IDLE, ALL])
    assert [stage.name for stage in state.stages] == ["head", "idle"]
    assert {epoch.stage for epoch in state.history} == {"head", "idle"}
    assert abs(state.gains["idle"].value) < 1e-6
    assert "stage idle gained" in state.stopped
    assert "no more than its noise" in lines[-1]


@pytest.mark.slow
def test_with_a_gain_it_goes_on(data):
    much = Stage("all", "all", 8, 1e-2, batch_norm="train")
    state, _, _ = learn(data, [HEAD, much, IDLE])
    assert is_worth_more(state.gains["all"])
    assert [stage.name for stage in state.stages] == ["head", "all", "idle"]
    assert not state.stopped


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "epochs"), [(1e-4, 0), (1e9, 300)])
def test_the_minutes_bound_what_trains(data, minutes, epochs):
    state, lines, _ = learn(data, [HEAD, DEEPER], Training(minutes=minutes))
    trained = [stage.epochs for stage in state.stages if stage.name == "last 2"]
    assert trained == ([epochs] if epochs else [])
    if not epochs:
        assert "training.minutes=0.0001 too little is left for stage last 2" in lines[-1]


@pytest.mark.parametrize(("minutes", "expected"), [(0.0, 9), (3.0, 9), (2.0, 5), (1.0, 0)])
def test_a_stage_gets_as_many_epochs_as_there_is_time_for(data, minutes, expected):
    """A minute went into 100,000 multiplications; the pass takes 20,000, an epoch 15,000."""
    model = tiny_model()
    job = job_of(model, block_map(model, BACKBONE.name), data, "none", Training(minutes=minutes))
    stage = Stage("deeper", "last:2", 9, 1e-3)
    state = Checkpoint([stage], [stage], [], seconds=60.0, work=100_000.0)
    assert epochs_within(job, state, once=20_000.0, epoch=15_000.0) == expected


@pytest.mark.slow
def test_what_was_decided_stays_decided_when_the_run_goes_on(data, tmp_path):
    state, _, weights = learn(data, [HEAD, IDLE, ALL], folder=tmp_path)
    again, _, same = learn(data, [HEAD, IDLE, ALL], folder=tmp_path)
    assert (again.stopped, again.stages) == (state.stopped, state.stages)
    assert all(map(np.array_equal, weights, same))
    more, _, _ = learn(data, [HEAD, IDLE, replace(ALL, epochs=1)], folder=tmp_path)  # asked anew, decided anew
    assert more.stopped == state.stopped


def test_multiplications_are_those_of_kernels_at_their_places():
    image = keras.Input((8, 8, 3))
    mapped = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    mapped = keras.layers.DepthwiseConv2D(3, padding="same")(mapped)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(mapped))
    model = keras.Model(image, keras.layers.Dense(5)(pooled))
    assert multiplications(model) == 16 * 9 * 3 * 4 + 16 * 9 * 4 + 4 * 5
