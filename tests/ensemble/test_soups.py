from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from kmedtl.config import override
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.ensemble.members import open_members
from kmedtl.ensemble.soups import average_weights, recipe_of_soup
from kmedtl.errors import UserError
from kmedtl.recipes.pneumonia import RECIPE
from tests.models import question_of

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
BRIGHT = PIXELS.mean(axis=(1, 2))
TRUTH = (BRIGHT[:, :1] > np.median(BRIGHT[:, 0])).astype(np.float32)  # of the red channel alone


def linear(weights):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, {LOGITS: outputs})
    model.set_weights([np.array(weights, np.float32)[:, None], np.zeros(1, np.float32)])
    return model


@pytest.fixture
def soup(write_run):
    """Make the soup of linear models, of these weights of red, green and blue."""

    def made(schedule, *ingredients):
        runs = [write_run(f"run{number}") for number in range(len(ingredients))]
        for run, weights in zip(runs, ingredients, strict=True):
            linear(weights).save(run / "model.keras")
        table = pd.DataFrame({"record": np.arange(40), "patient": [f"u{n}" for n in range(40)]})
        part = Pipeline(ImagesInMemory(PIXELS), table, {LOGITS: TRUTH}, 16)
        model, said = linear([0, 0, 0]), []
        recipe = recipe_of_soup(open_members(runs), schedule)
        average_weights(model, recipe, question_of(), {"val": part, "test": part}, said.append)
        return model.get_weights()[0][:, 0], said[0]

    return made


def test_a_uniform_soup_is_the_mean_of_the_weights(soup):
    weights, said = soup("uniform_soup", [1, 0, 0], [0, 1, 0], [0, 0, 4])
    assert weights == pytest.approx([1 / 3, 1 / 3, 4 / 3])
    assert "3 of 3 runs" in said


@pytest.mark.slow
def test_a_greedy_soup_leaves_out_what_spoils_it(soup):
    weights, said = soup("soup", [-5, 0, 0], [0.1, 0.05, 0], [0.1, -0.05, 0])
    assert "run0" not in said
    assert "2 of 3 runs" in said
    assert weights == pytest.approx([0.1, 0, 0])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("backbone.name=EfficientNetLite1", "backbone.name=EfficientNetLite0"),
        ("backbone.truncate_at=block5", "backbone.truncate_at="),
        ("head.kind=mlp", "head.kind=linear"),
        ("data.size=96", "data.size=224"),
    ],
)
def test_other_architectures_are_refused(write_run, setting, told):
    runs = [write_run("a"), write_run("b", settings=[setting])]
    for run in runs:
        (run / "model.keras").touch()
    with pytest.raises(UserError, match=f"b: a soup takes runs of one architecture; expected {told}"):
        recipe_of_soup(open_members(runs), "soup")


def test_runs_without_weights_are_refused(write_run):
    with pytest.raises(UserError, match=r"a: a soup needs the weights; expected .*model\.keras"):
        recipe_of_soup(open_members([write_run("a"), write_run("b")]), "soup")


@pytest.mark.parametrize(
    "changed",
    [{"schedule": "soup", "stages": ()}, {"soup": ("a", "b")}, {"schedule": "soup", "stages": (), "soup": ("a",)}],
)
def test_a_recipe_names_the_runs_of_a_soup_and_no_others(changed):
    with pytest.raises(UserError, match=r"^soup: expected"):
        replace(RECIPE, **changed)


def test_a_classifier_has_no_teacher():
    with pytest.raises(UserError, match="distill: expected nothing beside schedule=knn"):
        override(RECIPE, ["stages=[]", "schedule=knn", "distill=RUN"])
