"""Stages on volumes: the loss is of pooled outputs, and what is pooled in the graph is what is pooled behind it."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from kmedtl.backbones.blocks import block_map
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.pooling import ATTENTION, KNOTS, Views, along, contributions, knots, pooled
from kmedtl.errors import UserError
from kmedtl.finetune.stage_data import sources
from kmedtl.finetune.stage_plan import plan
from kmedtl.finetune.stages import fine_tune
from kmedtl.finetune.volume_steps import LEFT_OUT, SLICES, on_volumes, parts_of_epoch
from kmedtl.heads.build import build_model
from kmedtl.recipe import Backbone, Head, Stage, Training
from tests.models import job_of

RULES = ("mean", "attention", "max")
SETTINGS = {"train": "all", "epochs": 1, "lr": 1e-3, "views": 1}
COUNTS = (4, 1, 11, 9)  # slices of volumes
VOLUMES = np.repeat(np.arange(4), COUNTS)


@pytest.mark.parametrize("rule", RULES)
def test_the_graph_pools_as_the_scanner_does(rule):
    random, frames = np.random.default_rng(0), np.concatenate([np.arange(count) for count in COUNTS])
    outputs = {"logits": random.normal(size=(25, 2)).astype(np.float32)}
    outputs |= {ATTENTION: random.normal(size=(25, KNOTS)).astype(np.float32) * 3}
    inputs = {name: keras.Input(array.shape[1:], name=name) for name, array in outputs.items()}
    slices = keras.Model(list(inputs.values()), inputs)
    places = along(frames, VOLUMES)
    found = on_volumes(slices, rule)([*outputs.values(), VOLUMES.astype(np.int32), knots(places)])
    expected = pooled(outputs, VOLUMES, rule, places)
    assert found["logits"].numpy() == pytest.approx(expected["logits"], abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_the_graph_fuses_views_as_the_scanner_does(rule):
    random = np.random.default_rng(0)
    outputs = {"logits": random.normal(size=(12, 12)).astype(np.float32)}  # of 3 views and 2 numbers
    outputs["logits"][:, 6:] = outputs["logits"][0, 6:]
    outputs |= {ATTENTION: random.normal(size=(12, KNOTS)).astype(np.float32) * 3}
    exams, views = np.repeat([0, 1], 6), Views(np.array([0, 0, 0, 1, 2, 2, 1, 1, 1, 1, 2, 2]), 3)  # the second lacks 0
    places = along(np.arange(12), exams * 3 + views.of)
    expected = contributions(outputs, exams, rule, places, views).outputs(np.ones(3, bool))
    rows, states = np.insert(np.arange(12), 6, 6), np.insert(views.of, 6, 3)  # any row stands for what is missing
    inputs = {name: keras.Input(array.shape[1:], name=name) for name, array in outputs.items()}
    given = [*(array[rows] for array in outputs.values()), np.insert(exams * 3 + views.of, 6, 3).astype(np.int32)]
    given += [knots(places)[rows], states.astype(np.int32)]
    found = on_volumes(keras.Model(list(inputs.values()), inputs), rule, 3)(given)
    assert found["logits"].numpy() == pytest.approx(expected["logits"], abs=1e-5)


def volumes_of(count, seed, slices=10):
    """Return volumes of dark slices, of which in every second volume one, anywhere, is bright."""
    random = np.random.default_rng(seed)
    pixels = random.integers(20, 60, (count * slices, 32, 32, 1)).astype(np.uint8)
    for volume in range(0, count, 2):
        pixels[volume * slices + random.integers(slices)] += 180
    names = np.repeat([f"v{number:02}" for number in range(count)], slices)
    labels = (np.arange(count * slices) // slices + 1) % 2
    table = pd.DataFrame({"id": [f"{name}#{at % slices}" for at, name in enumerate(names)], "volume": names})
    table = table.assign(patient=names, frame=[str(at % slices) for at in range(len(table))], stratum=labels)
    order = random.permutation(len(table))  # as a store has them
    table = table.iloc[order].reset_index(drop=True).assign(record=np.arange(len(table)), split="train")
    targets = {"logits": labels[order][:, None].astype(np.float32)}
    return Pipeline(ImagesInMemory(pixels[order]), table, targets, batch_size=16)


def job_on_volumes(rule, training=None):
    keras.utils.set_random_seed(1)

    def outputs(features):
        return {"logits": keras.layers.Dense(1, name="logits")(features.vector)}

    model = build_model(Backbone("Tiny", "random"), Head(), 32, 1, outputs, attends=rule == "attention")
    data = {"train": volumes_of(24, 1), "val": volumes_of(12, 2)}
    data = {split: replace(part, pooling=rule) for split, part in data.items()}
    return job_of(model, block_map(model, "Tiny"), data, "none", training or Training(), 1, "multi_label")


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "output"), [("attention", ATTENTION), ("max", "logits")])
def test_a_volume_teaches_which_of_its_slices_tells(rule, output):
    job = job_on_volumes(rule)
    state = fine_tune(job, [Stage("head", "head", epochs=12, lr=0.01, views=1)])
    assert state.history[-1].loss < state.history[0].loss
    val = job.data["val"]
    pixels = val.pixels()
    table = val.table.assign(score=job.model.predict(pixels, verbose=0)[output].mean(axis=1))
    ill = table[table["stratum"] == 1]
    top = ill.loc[ill.groupby("volume")["score"].idxmax()].index
    assert (pixels[top].mean(axis=(1, 2, 3)) > 150).all()


@pytest.mark.parametrize(("train", "steps", "of_each"), [("head", 2, 10), ("all", 12, SLICES)])
def test_a_step_takes_whole_volumes_behind_vectors_and_else_few_slices_of_each(train, steps, of_each):
    job = job_on_volumes("mean")
    planned = plan(job, Stage("s", train, epochs=1, lr=1e-3, views=1))
    (source,) = sources(job.model, [planned], job.data, "float16", seed=1)
    assert source.steps == steps
    rows = [source.rows(5, step) for step in range(steps)]
    volumes = job.data["train"].table["volume"].iloc[np.concatenate(rows)]
    assert volumes.value_counts().tolist() == [of_each] * 24
    assert len(set(np.concatenate(rows))) == 24 * of_each  # no slice twice
    assert max(map(len, rows)) == (160 if train == "head" else 16)  # as many images as a step has, or whole volumes


def test_views_are_left_out_at_random_but_never_all_of_an_examination():
    part = volumes_of(400, 1, slices=2)  # a slice stands for an image here
    view, names = part.table["frame"].map({"0": "t1", "1": "t2"}), part.table["volume"].to_numpy()
    part = replace(part, table=part.table.assign(view=view, examination=names), pooling="mean", views=("t1", "t2"))
    part = part.of(np.flatnonzero((names != "v01") | (view == "t2").to_numpy()))
    first, again, second = (parts_of_epoch(part.bags, np.random.default_rng(seed)) for seed in (1, 1, 2))
    states = np.array([[state for _, state in bag] for bag in first])
    assert [[state for _, state in bag] for bag in again] == states.tolist()
    assert [[state for _, state in bag] for bag in second] != states.tolist()
    lone = int(np.flatnonzero(part.bags.table(part.table)["id"] == "v01")[0])
    assert states[lone].tolist() == [2, 1]
    assert (states.min(axis=1) < 2).all()
    assert (states[:, 1] == 3).mean() == pytest.approx(LEFT_OUT, abs=0.05)
    for bag in first:
        for rows, state in bag:
            assert len(rows) == 1
            assert state >= 2 or part.bags.views.of[rows[0]] == state


@pytest.mark.parametrize(
    ("stage", "training", "message"),
    [
        ({"views": 0}, {}, "stage all: views: expected 1 or more beside volumes"),
        ({"mix": "mixup"}, {}, "stage all: mix: expected none beside volumes"),
        ({"domains": "adversarial"}, {}, "stage all: domains: expected none beside volumes"),
        ({}, {"cache_gigabytes": 1e-6}, "volumes are trained from the cache alone"),
    ],
)
def test_what_volumes_cannot_go_through_is_refused(stage, training, message):
    with pytest.raises(UserError, match=message):
        fine_tune(job_on_volumes("mean", Training(**training)), [Stage("all", **SETTINGS | stage)])
