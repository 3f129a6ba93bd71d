"""Several tasks of which each knows some images only."""

import re
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS, UNKNOWN, UNKNOWN_MASK
from kmedtl.edge.tasks.regression import VALUE
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.errors import UserError
from kmedtl.recipe import (
    Classification,
    Data,
    Evaluation,
    Head,
    Multi,
    Recipe,
    Regression,
    Segmentation,
    Stage,
    Training,
)
from kmedtl.tasks import task_of
from kmedtl.tasks.multi.network import OfTheKnown
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.predictions import examples_of, read_arrays, read_predictions, write_predictions
from kmedtl.tasks.task import Examples
from tests.tasks.rows import SIDE, certain, each, exact, with_masks

SETTINGS = Multi({"age": Regression("age"), "spot": Segmentation()})
DATA = Data(size=SIDE, channels=1, missing_masks="leave_out")
JUDGED = Evaluation(resamples=100)
TASK = task_of(SETTINGS)


def half_known():
    """Return a manifest in which every second image has no age, every third no mask, and so every sixth neither."""
    manifest = with_masks()
    number = np.arange(len(manifest.table))
    ages = np.where(number % 2 == 0, "", (40 + number % 37).astype(str))
    masks = manifest.table["mask"].where(number % 3 > 0, "")
    return replace(manifest, table=manifest.table.assign(age=ages, mask=masks))


@pytest.fixture(scope="module")
def asked():
    question, manifest = TASK.ask(SETTINGS, DATA, half_known())
    table = manifest.table.assign(**dict.fromkeys(SIZES, SIDE), **dict.fromkeys((*SPACINGS, BETWEEN), 0.0))
    known = TASK.targets(question, DATA, manifest, table)
    return known.question, manifest, table, known


@pytest.fixture(scope="module")
def examples(asked):
    _, _, table, known = asked
    targets = known.of(table)
    outputs = each(age=exact, spot=certain)(targets)
    ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
    return Examples(ids, patients, targets, outputs, table[list(TASK.columns)])


def test_an_image_that_can_answer_one_task_is_kept_and_one_that_can_answer_none_is_left_out(asked):
    _, manifest, table, known = asked
    assert len(manifest.table) == 240 * 5 // 6
    assert manifest.unlabelled == 240 // 6
    assert len(known.strata) == len(table)
    assert len(set(known.strata)) > 5


def test_what_a_task_does_not_know_is_unknown_in_its_targets_alone(asked):
    _, _, table, known = asked
    targets, part = known.of(table), known.of(table.iloc[[3, 1, 7]])
    number = table["id"].str.removesuffix(".png").astype(int)
    assert np.array_equal(targets[f"age.{VALUE}"][:, 0] == UNKNOWN, number % 2 == 0)
    assert np.array_equal((targets[f"spot.{MASK}"] == UNKNOWN_MASK).all(axis=(1, 2, 3)), number % 3 == 0)
    assert targets[f"spot.{MASK}"].dtype == np.uint8
    assert all(np.array_equal(part[name], array[[3, 1, 7]]) for name, array in targets.items())


def test_each_task_is_judged_by_the_images_that_it_knows(asked, examples):
    question = asked[0]
    fit = TASK.fit_decoder(question, JUDGED, examples, 0)
    found = TASK.evaluate(question, JUDGED, examples, fit, 0)
    assert found.images == 200
    assert {name: one.images for name, one in found.details.items()} == {"age": 120, "spot": 160}
    assert found.headline == "age.r2"
    assert found.estimates["age.r2"].value == pytest.approx(1)
    assert found.estimates["spot.dice"].value == pytest.approx(1)
    metrics = TASK.document(fit, found)
    assert metrics["tasks"]["spot"]["test"]["images"] == 160
    lines = "\n".join(TASK.lines(JUDGED, fit, found))
    assert "age: 120 images" in lines
    assert "spot: 160 images" in lines


def test_the_epoch_is_chosen_by_the_mean_of_the_headlines_none_below_chance(asked, examples):
    question, targets = asked[0], examples.targets
    assert TASK.select(question, Training(), examples.outputs, targets) == pytest.approx(1)
    worse = examples.outputs | {f"age.{VALUE}": 100 + examples.outputs[f"age.{VALUE}"]}
    scores = TASK.score(question, worse, targets)
    assert scores["age.r2"] < -1000
    assert scores["mean_headline"] == pytest.approx(0.5)
    with pytest.raises(UserError, match="headline or worst_shift"):
        TASK.select(question, Training(select="sensitivity"), examples.outputs, targets)


def test_predictions_are_empty_where_a_task_knows_nothing_and_read_back(asked, examples, tmp_path):
    question = asked[0]
    fit = TASK.fit_decoder(question, JUDGED, examples, 0)
    columns = TASK.table(question, examples, fit.decoder)
    assert columns["age.truth"].notna().sum() == 120
    who = pd.DataFrame({"id": examples.ids, "patient": examples.patients, "split": "test"})
    table = pd.concat([who, columns, examples.groups.reset_index(drop=True)], axis=1)
    write_predictions(table, TASK.arrays(question, examples), tmp_path)
    table = read_predictions(tmp_path / "predictions.csv")
    found = examples_of(table[::-1], read_arrays(tmp_path, table), TASK, TASK.question(fit.decoder))
    for name, array in examples.targets.items():
        assert np.allclose(found.targets[name][::-1], array, atol=1e-6), name
    again = TASK.figures(TASK.question(fit.decoder), JUDGED, found, fit.decoder).estimates
    figures = TASK.figures(question, JUDGED, examples, fit.decoder).estimates
    figures.pop("age.coverage")  # of intervals without width, which the CSV's rounding decides
    for name, one in figures.items():
        assert again[name].value == pytest.approx(one.value, abs=1e-6, nan_ok=True), name


def test_folds_are_pooled_row_by_row(asked, examples):
    question = asked[0]
    halves = [examples.of(np.arange(200) % 2 == part) for part in (0, 1)]
    fits = [TASK.fit_decoder(question, JUDGED, half, 0).decoder for half in halves]
    pooled, columns = TASK.pool(question, JUDGED, list(zip(halves, fits, strict=True)))
    assert len(columns) == pooled.images == 200
    known = np.concatenate([half.targets[f"age.{VALUE}"][:, 0] != UNKNOWN for half in halves])
    assert np.array_equal(columns["age.truth"].notna(), known)


@pytest.mark.parametrize("unknown", [UNKNOWN, UNKNOWN_MASK])
def test_an_image_of_which_nothing_is_known_adds_nothing_to_the_loss(unknown):
    loss = OfTheKnown(keras.losses.MeanSquaredError(), 3.0)
    truth, answered = np.array([[1.0], [unknown], [0.0], [2.0]], np.float32), np.zeros((4, 1), np.float32)
    assert float(loss(truth, answered)) == pytest.approx(3 * (1 + 0 + 0 + 4) / 4)
    lone = OfTheKnown(keras.losses.MeanSquaredError(), 1.0)
    assert float(lone(np.full((4, 1), unknown, np.float32), answered + 7)) == 0


@pytest.mark.parametrize("factor", [0.1, 30.0])
def test_weighted_by_uncertainty_a_loss_pulls_alike_whatever_its_size(factor):
    class Scaled(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return factor * keras.ops.sum((y_true - y_pred) ** 2, axis=-1)

    answers, known = tf.Variable([[1.0], [2.0], [9.0]]), tf.constant([[0.0], [1.0], [UNKNOWN]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(OfTheKnown(Scaled(), 2.0, is_relative=True).call(known, answers))
    assert float(loss) == pytest.approx(2 * 2 * np.log(factor * (1 + 1) / 2))  # weight and two known images
    assert tape.gradient(loss, answers).numpy()[:, 0] == pytest.approx([4.0, 4.0, 0.0])


def test_a_split_without_an_answer_to_a_task_is_refused_by_name(asked, examples):
    question = asked[0]
    ages = examples.targets[f"age.{VALUE}"][:, 0] == UNKNOWN
    parts = {"train": examples.targets, "val": examples.of(ages).targets, "test": examples.targets}
    with pytest.raises(UserError, match="task age: the split 'val' has no image with an answer"):
        TASK.check(question, parts)


@pytest.mark.parametrize(
    ("tasks", "weights", "message"),
    [
        ({"one": Classification()}, {}, "task.tasks: expected two tasks or more"),
        ({"a.b": Classification(), "c": Segmentation()}, {}, "task.tasks: expected names of letters"),
        ({"a": Classification(), "c": Segmentation()}, {"d": 1.0}, "task.weights: expected names of a, c"),
        ({"a": Classification(), "c": Segmentation()}, {"c": 0.0}, "task.weights.c: expected above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tasks, weights, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Multi(tasks, weights)


def test_a_task_alone_has_a_head_and_stages_that_suit_it(asked, examples):
    stages = (Stage("all", "all", 1, 1e-3, label_smoothing=0.1),)
    settings = Multi({"kind": Classification(), "spot": Segmentation()})
    recipe = Recipe("a", stages, task=settings, head=Head("unet"), data=DATA)
    parts = task_of(settings).apart(recipe, MultiQuestion({"kind": None, "spot": None}))
    assert {name: part.recipe.task.kind for name, part in parts.items()} == {
        "kind": "classification", "spot": "segmentation",
    }  # fmt: skip
    assert [part.recipe.head.kind for part in parts.values()] == ["linear", "unet"]
    assert [part.recipe.stages[0].label_smoothing for part in parts.values()] == [0.1, 0.0]
    part = TASK.apart(replace(recipe, task=SETTINGS, stages=(Stage("all", "all", 1, 1e-3),)), asked[0])["age"]
    assert len(part.examples(examples).ids) == len(part.known(examples.targets)[0]) == 120
    together = replace(recipe, task=replace(SETTINGS, alone=False), stages=(Stage("all", "all", 1, 1e-3),))
    assert TASK.apart(together, asked[0]) == {}


def test_patches_are_for_tasks_that_are_true_of_a_part_of_an_image():
    both = Multi({"vessel": Segmentation(), "lesion": Segmentation()})
    patches, schedule = Data(size=64, patch=32), {"schedule": "auto", "head": Head("unet")}
    assert Recipe("a", task=both, data=patches, **schedule).task == both
    with pytest.raises(UserError, match=r"data\.patch: expected 0, whole images, beside multi\. Received: 32"):
        Recipe("a", task=SETTINGS, data=patches, **schedule)


def test_what_a_task_refuses_bears_its_name():
    settings = Multi({"age": Regression("height"), "spot": Segmentation()})
    with pytest.raises(UserError, match=r"task age: task\.target: .* has no column 'height'"):
        task_of(settings).ask(settings, DATA, half_known())
