"""From whom a run may learn without labels: nothing trains here."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import zoom

from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.ensemble.members import trained_on
from kmedtl.errors import UserError
from kmedtl.recipe import Data, Export, Head, Ordinal, Regression, Segmentation, Stage
from kmedtl.runner import run
from kmedtl.runs.divide import divided
from kmedtl.runs.prepare import prepare_run
from kmedtl.runs.unlabelled import Unlabelled, check_left, left_out, load, notes_of, pipeline_of, source_of
from kmedtl.runs.update.images import split
from tests.conftest import of_other_people
from tests.runs.update.test_images import written

# Patients A to D, a picture each, numbered 0 to 3; the unlabelled ones number the same pictures 10 to 13.
LABELLED = pd.DataFrame(
    {"id": list("abcd"), "patient": list("ABCD"), "twin": range(4), "split": ["train", "val", "test", "train"]}
)
TWINS = {number: number + 10 for number in range(4)}
REASONS = {
    "stranger": ([("E", 20)], [""]),
    "patient of training": ([("A", 20)], [""]),
    "patient of validation": ([("B", 20)], ["patients of validation or test"]),
    "patient of test, hidden already": ([(pseudonym("C"), 20)], ["patients of validation or test"]),
    "picture of test": ([("E", 12)], ["pictures of validation or test, or of patients who have one"]),
    "picture of training": ([("A", 13)], ["pictures of training"]),
    "other pictures of who has one of test": (
        [("E", 12), ("E", 20), ("F", 20), ("G", 21)],
        ["pictures of validation or test, or of patients who have one"] * 3 + [""],
    ),
}


def unlabelled(rows, patients_known=True):
    table = pd.DataFrame(rows, columns=["patient", "twin"]).assign(
        id=range(len(rows)), path="", record=range(len(rows))
    )
    table["id"] = table["id"].astype(str)
    return Unlabelled("elsewhere", None, table, TWINS, (), patients_known)


@pytest.mark.parametrize("case", REASONS)
def test_whom_a_run_is_judged_by_it_does_not_learn_from(case):
    rows, reasons = REASONS[case]
    found = unlabelled(rows)
    assert left_out(found, LABELLED).tolist() == reasons
    if "" in reasons:
        check_left(found, LABELLED)
        assert f"learned from: {reasons.count('')}, of" in notes_of(found, LABELLED)[-1]
    else:
        with pytest.raises(UserError, match=f"none of its images may be learned from: {len(rows)} of {reasons[0]}"):
            check_left(found, LABELLED)


def test_names_say_nothing_where_a_source_names_no_patients():
    assert left_out(unlabelled([("B", 20), ("E", 11)], patients_known=False), LABELLED).tolist() == [
        "",
        "pictures of validation or test, or of patients who have one",
    ]


def test_of_the_images_that_are_left_nothing_is_known():
    found = unlabelled([("C", 20), ("E", 21), ("F", 22)])
    training = Pipeline(None, LABELLED, {LOGITS: np.zeros((2, 3), np.float32)}, batch_size=4)
    part = pipeline_of(found, LABELLED, training)
    assert part.table["record"].tolist() == [1, 2]
    assert part.table["patient"].tolist() == [pseudonym("E"), pseudonym("F")]
    assert (part.targets[LOGITS] == np.full((2, 3), UNKNOWN)).all()


PSEUDO = Stage("both", "head", 1, 1e-3, objective="pseudo")
SIMCLR = Stage("start", "all", 1, 1e-3, objective="simclr", views=2)
REFUSED = {
    "data.unlabelled: expected nothing beside the task regression": {"task": Regression("age")},
    "data.unlabelled: expected nothing beside the task ordinal": {"task": Ordinal(target="grade")},
    "data.unlabelled: expected nothing beside the task segmentation": {"task": Segmentation(), "head": Head("unet")},
    "schedule: expected stages beside data.unlabelled": {"schedule": "auto", "stages": ()},
    "tabular: expected no fields beside data.unlabelled": {"tabular": {"age": "number"}},
    "distill: expected nothing beside data.unlabelled": {"distill": "saved_models/teacher"},
    "data.unlabelled: expected nothing where every stage": {"stages": (replace(PSEUDO, objective="supervised"),)},
    "stage both: objective: expected another one where no stage before it has trained": {"stages": (PSEUDO,)},
    "stage both: objective: expected another one where": {"stages": (SIMCLR, PSEUDO)},
    "stage start: objective: expected supervised in the last stage": {"stages": (SIMCLR,)},
    "head.standardise: expected false beside objective=simclr": {
        "stages": (SIMCLR, Stage("head", "head", 1, 1e-3)),
        "head": Head("linear", standardise=True),
    },
    "stage both: augment: expected a preset": {
        "stages": (replace(PSEUDO, objective="mixmatch", augment="none"),),
    },
}


def with_unlabelled(recipe, unlabelled, **data):
    """Return a recipe that learns from a source without its labels as well."""
    return replace(recipe, data=replace(recipe.data, unlabelled=unlabelled, **data), stages=(*recipe.stages, PSEUDO))


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_learn_from_them_is_refused(small_recipe, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        replace(with_unlabelled(small_recipe, "phantom:80"), **REFUSED[message])


def test_without_images_a_stage_that_needs_them_is_refused(small_recipe):
    with pytest.raises(UserError, match=r"^stage both: objective: expected supervised, or images to learn from"):
        replace(small_recipe, stages=(*small_recipe.stages, PSEUDO))


@pytest.mark.parametrize("settings", [{"views": ("t1", "t2")}, {"neighbours": 1, "channels": 3}])
def test_images_of_other_kinds_are_refused(small_recipe, settings):
    with pytest.raises(UserError, match=r"^data\.\w+: expected .* beside data\.unlabelled"):
        with_unlabelled(small_recipe, "phantom", size=64, **settings)


def textured(folder, numbers, save):
    """Write an image of its own for each number, the same each time."""
    folder.mkdir(parents=True)
    for number in numbers:
        cells = np.random.default_rng(number).integers(0, 256, (12, 12))
        save(Image.fromarray(zoom(cells, 8, order=1).astype(np.uint8)), folder / f"p{number}")


def test_a_picture_is_known_however_it_was_saved(small_recipe, tmp_path):
    """Twelve labelled people; of the unlabelled two thirds show one of them, under other names and as JPEG."""
    for label in (0, 1):
        textured(
            tmp_path / "films" / ("NORMAL", "PNEUMONIA")[label],
            range(label, 12, 2),
            lambda image, path: image.save(f"{path}.png"),
        )
    textured(tmp_path / "more" / "any", range(18), lambda image, path: image.save(f"{path}q.jpg", quality=60))
    films, more = str(tmp_path / "films"), str(tmp_path / "more")
    settings = {"source": films, "patient_pattern": r"p\d+q?", "max_poor": 1.0, "validation": 0.3, "test": 0.3}
    recipe = with_unlabelled(small_recipe, more, **settings)
    prepared = prepare_run(recipe)
    table, parts = divided(recipe, prepared, split(recipe, prepared.manifest, prepared.table))
    assert set(parts[UNLABELLED].table["id"]) == {f"any/p{number}q.jpg" for number in range(12, 18)}
    told = " ".join(notes_of(prepared.unlabelled, table))
    assert f"pictures of training: {len(parts['train'].table)}." in told
    assert f"patients who have one: {len(parts['val'].table) + len(parts['test'].table)}." in told


@pytest.mark.parametrize(
    ("names", "known"), [(("p1-1", "p1-2", "p2-1"), True), (("a", "b", "c"), False), (("p1-1", "p2-1", "c"), None)]
)
def test_the_pattern_of_the_labelled_images_finds_patients_in_all_names_or_in_none(tmp_path, names, known):
    ids = iter(names)
    textured(tmp_path / "more", range(3), lambda image, path: image.save(path.with_name(f"{next(ids)}.png")))
    data = source_of(Data(unlabelled=str(tmp_path / "more"), patient_pattern=r"p\d+"))
    if known is None:
        with pytest.raises(UserError, match=r"^data\.patient_pattern: .* in none\. Received: '2 of 3'"):
            load(data, 1, "unasked")
        return
    manifest = load(data, 1, "unasked")
    assert manifest.patients_known == known
    assert manifest.table["patient"].nunique() == (2 if known else 3)


def test_synthetic_images_are_refused_beside_real_ones(small_recipe, tmp_path):
    for label in ("NORMAL", "PNEUMONIA"):
        textured(tmp_path / label, range(20), lambda image, path: image.save(f"{path}.png"))
    recipe = with_unlabelled(small_recipe, "phantom:20", source=str(tmp_path), patient_pattern=r"p\d+", max_poor=1.0)
    with pytest.raises(UserError, match=r"^data\.unlabelled: expected real images beside real ones"):
        prepare_run(recipe)


def test_the_same_source_gives_what_training_leaves_out(small_recipe):
    """With `train_limit` the rest of training is learned from without labels, and nobody of validation or test."""
    recipe = with_unlabelled(small_recipe, small_recipe.data.source, train_limit=12)
    prepared = prepare_run(recipe)
    table, parts = divided(recipe, prepared, split(recipe, prepared.manifest, prepared.table))
    others = set(prepared.table["id"]) - set(table["id"])
    assert others
    assert set(parts[UNLABELLED].table["id"]) == others


@pytest.mark.slow
def test_a_run_learns_from_them_and_says_from_whom(small_recipe, tmp_path):
    manifest = of_other_people("phantom:20", seed=8)
    head, both = small_recipe.stages
    taught = [
        replace(both, name=name, objective=name, ema=0.9 if name == "mean_teacher" else 0.0)
        for name in ("pseudo", "mean_teacher", "mixmatch")
    ]
    source = str(written(manifest, manifest.table, tmp_path / "site.csv"))
    recipe = replace(
        small_recipe,
        data=replace(small_recipe.data, unlabelled=source),
        stages=(head, *taught),
        export=Export(formats=()),
        evaluation=replace(small_recipe.evaluation, cases=0),
    )
    told = []
    result, folder = run(recipe, tmp_path / "run", log=told.append)
    assert [epoch.stage for epoch in result.trained.history][2:] == [stage.name for stage in taught]
    listed = pd.read_csv(folder / "unlabelled.csv")
    assert set(listed["id"]) == set(manifest.table["id"])
    assert set(listed["patient"]) <= trained_on(folder)
    assert any("Unlabelled images that are learned from" in warning for warning in result.audit.warnings)
    assert sum("unlabelled images;" in line for line in told) == 3


def test_a_source_keeps_its_own_test_and_its_labels(small_recipe, tmp_path):
    manifest = of_other_people("phantom:20", seed=8)
    table = manifest.table.assign(split=np.where(manifest.table["label"] == 0, "train", "test"))
    source = str(written(manifest, table, tmp_path / "site.csv"))
    recipe = with_unlabelled(small_recipe, source)
    prepared = prepare_run(recipe)
    assert set(prepared.unlabelled.table["id"]) == set(table.loc[table["label"] == 0, "id"])
    assert "label" not in prepared.unlabelled.table
    assert f"keeps for validation or test, left out: {(table['label'] == 1).sum()}" in " ".join(
        prepared.unlabelled.notes
    )
