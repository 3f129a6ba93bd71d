"""Images that do not suit the recipe are named; where the model would see something else, the run is refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.errors import UserError
from kmedtl.recipe import Data, Evaluation, Recipe, Stage
from kmedtl.runs.prepare import prepare, refuse
from kmedtl.tasks import task_of
from tests.data.sources.test_dicom_tree import write_dicom

RECIPE = Recipe("r", (Stage("head", "head", 1, 0.01),))


def pictures(root, colour, count=12, size=40, labels="ab", suffix="jpg"):
    for number in range(count):
        folder = root / labels[number % len(labels)]
        folder.mkdir(parents=True, exist_ok=True)
        gray = np.random.default_rng(number).integers(40, 200, (size, size), dtype=np.uint8)
        tint = [20, 0, -20] if colour(number) else [0, 0, 0]
        Image.fromarray((gray[..., None] + np.array(tint)).astype(np.uint8)).save(folder / f"{number}.{suffix}")
    return root


def said(root, **settings):
    recipe = replace(RECIPE, data=Data(str(root), **{"size": 40, **settings}))
    data = prepare(recipe.data, 0)
    return data, recipe, " ".join(data.audit.warnings)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_photographs_in_gray_are_refused(tmp_path, suffix):
    data, recipe, text = said(pictures(tmp_path, lambda number: True, suffix=suffix), channels=1)
    assert "12 of 12 images looked at are coloured, and data.channels=1 shows the model gray" in text
    assert "data.augment=xray is for gray ones" in text
    with pytest.raises(UserError, match=r"are coloured, .*set data.channels=3, or data.allow_mismatch=true"):
        refuse(data, recipe)
    refuse(data, replace(recipe, data=replace(recipe.data, allow_mismatch=True)))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_gray_images_that_are_stored_in_colour_are_gray(tmp_path, suffix):
    root = pictures(tmp_path, lambda number: False, suffix=suffix)
    data, recipe, text = said(root, channels=1)
    assert "coloured" not in text
    refuse(data, recipe)
    assert "with data.channels=1 the model sees the same" in said(root, channels=3)[2]
    assert "data.augment=skin is for coloured ones" in said(root, channels=3, augment="skin")[2]


def test_a_few_coloured_images_are_named_alone(tmp_path):
    data, recipe, text = said(pictures(tmp_path, lambda number: number < 3), channels=1)
    assert "3 of 12 images looked at are coloured" in text
    refuse(data, recipe)


def test_tiny_images_are_named(tmp_path):
    text = said(pictures(tmp_path, lambda number: False, size=28), size=224, channels=1)[2]
    assert "12 of 12 images are far smaller than data.size=224 (median 28 pixels)" in text


def test_another_modality_is_named(tmp_path):
    for number in range(8):
        write_dicom(tmp_path / "ab"[number % 2] / f"{number}.dcm", number, Modality="MR")
    assert "data.augment=xray is not for images of these modalities: 8 MR" in said(tmp_path, channels=1)[2]
    assert "modalities" not in said(tmp_path, channels=1, augment="mri")[2]


@pytest.mark.parametrize(
    ("labels", "classes", "good"),
    [
        (["No_DR", "Mild", "Severe"], (), False),
        (["No_DR", "Mild", "Severe"], ("No_DR", "Mild", "Severe"), True),
        (["0", "2", "10"], (), True),
    ],
)
def test_grades_have_an_order_that_somebody_gave(tmp_path, labels, classes, good):
    data, recipe, _ = said(pictures(tmp_path, lambda number: False, labels=labels), channels=1, classes=classes)
    recipe = replace(recipe, evaluation=Evaluation(ordered=True))
    assert data.manifest.classes == (classes or tuple(sorted(labels, key=str if not good else int)))
    if good:
        refuse(data, recipe)
    else:
        with pytest.raises(
            UserError, match=r"evaluation.ordered: .*--set 'data.classes=\[…\]', of Mild, No_DR, Severe"
        ):
            refuse(data, recipe)


def test_images_without_labels_are_looked_at_and_not_trained_on(tmp_path):
    pictures(tmp_path, lambda number: False, labels=["images"])
    recipe = replace(RECIPE, data=Data(str(tmp_path), size=40, channels=1))
    data = prepare(recipe.data, 0, labels="wanted")
    assert data.audit.used == 12
    with pytest.raises(UserError, match="no labels to train on"):
        task_of(recipe.task).ask(recipe.task, recipe.data, data.manifest)
