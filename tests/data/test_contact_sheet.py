import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.data import contact_sheet, splits
from kmedtl.data.manifest import classes_of
from kmedtl.data.pipeline import pipelines
from kmedtl.recipe import Stage
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runs.prepare import prepare

STAGE = Stage("head", "head", epochs=1, lr=1e-3)


@pytest.fixture
def recipe(image_folder):
    data = replace(RECIPE.data, source=str(image_folder), size=32, channels=1, patient_pattern=r"([A-Z]+-p\d)")
    return replace(RECIPE, data=data, stages=(STAGE,))


@pytest.fixture
def data(recipe):
    return prepare(recipe.data, recipe.seed)


def grey(picture):
    return np.asarray(Image.open(io.BytesIO(picture)), float)


def test_an_audits_sheet_shows_the_classes_in_turn_as_they_are(data):
    samples = contact_sheet.of_store(data.store, data.manifest, data.table, hidden=())
    assert len(samples) == len(data.table) == 24
    pixels = list(data.store.images().as_numpy_iterator())
    for sample in samples:
        row = data.table.set_index("id").loc[sample.id]
        assert sample.label == data.manifest.classes[row["label"]]
        (picture,) = sample.pictures
        assert abs(grey(picture) - pixels[row["record"]][..., 0]).mean() < 8  # but for JPEG


def test_what_shall_not_be_seen_is_not_shown(data):
    hidden = set(data.table["id"][:20])
    samples = contact_sheet.of_store(data.store, data.manifest, data.table, hidden)
    assert {sample.id for sample in samples} == set(data.table["id"]) - hidden
    assert contact_sheet.of_store(data.store, data.manifest, data.table, set(data.table["id"])) == []


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({}, 3),  # as it is, and varied twice
        ({"stages": (STAGE, replace(STAGE, name="next", augment="xray_strong"))}, 3),  # and once in each of two ways
        ({"stages": (replace(STAGE, augment="none"),)}, 1),
        ({"stages": (), "schedule": "logistic"}, 1),  # a classifier on features varies nothing
    ],
)
def test_a_training_sheet_shows_each_image_beside_its_variations(recipe, data, changes, pictures):
    table = splits.split(data.manifest, data.table, 0.2, 0.2, seed=0)
    train = pipelines(data.store, table, 16, lambda part: {"logits": data.manifest.targets(part)})["train"]
    samples = contact_sheet.of_training(
        train, data.manifest, replace(recipe, **changes), (), lambda table: classes_of(data.manifest, table)
    )
    assert {sample.id for sample in samples} <= set(train.table["id"])
    labels = [sample.label for sample in samples]
    assert labels.count("NORMAL") == labels.count("PNEUMONIA") == 4
    pixels = dict(zip(train.table["id"], train.pixels(), strict=True))
    for sample in samples:
        assert len(sample.pictures) == pictures
        apart = [abs(grey(picture) - pixels[sample.id][..., 0]).mean() for picture in sample.pictures]
        assert apart[0] < 8
        assert all(distance > 8 for distance in apart[1:])
