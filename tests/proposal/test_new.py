"""`kmedtl new`: a recipe for images that nobody described."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.runs.prepare import prepare_run
from tests.conftest import write_image_folder


def picture(path, level, size=96, colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(abs(hash(path.name)) % 2**32)
    pixels = np.clip(random.normal(level, 30, (size, size, 3 if colour else 1)), 0, 255).astype(np.uint8)
    if colour:
        pixels[..., 2] //= 3
    Image.fromarray(pixels.squeeze()).save(path)


def mask(path, size=96):
    pixels = np.zeros((size, size), np.uint8)
    pixels[20:50, 30:70] = 255
    Image.fromarray(pixels).save(path)


def proposed(tmp_path, monkeypatch, *options):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "images", *options]) == 0
    return recipes.read(tmp_path / "mine.yaml"), (tmp_path / "mine.yaml").read_text()


def test_class_folders_become_a_classification_with_a_reason_beside_each_choice(tmp_path, monkeypatch, capsys):
    write_image_folder(tmp_path / "images")
    recipe, text = proposed(tmp_path, monkeypatch)
    assert recipe.task.kind == "classification"
    assert recipe.data.channels == 1
    assert recipe.data.size == 64
    printed = capsys.readouterr().out
    assert "Could not be known: Who the patients are" in printed
    assert "kmedtl run mine.yaml" in printed
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip().startswith(("channels:", "augment:", "size:", "classes:", "stages:", "task:")):
            assert lines[number - 1].strip().startswith("# ")
    assert yaml.safe_load(text)["name"] == "mine"
    prepare_run(recipe)  # as a run does before it trains


def test_classes_with_masks_are_asked_for_both_and_what_is_normal_is_empty(tmp_path, monkeypatch):
    for number in range(12):
        for name in ("benign", "normal"):
            picture(tmp_path / "images" / name / f"{name}{number}.png", 90)
        mask(tmp_path / "images" / "benign" / f"benign{number}_mask.png")
    recipe, text = proposed(tmp_path, monkeypatch)
    assert {name: task.kind for name, task in recipe.task.tasks.items()} == {
        "mask": "segmentation", "class": "classification",
    }  # fmt: skip
    assert (recipe.data.missing_masks, recipe.data.aspect, recipe.head.kind) == ("empty", "keep", "unet")
    assert "no image of normal has a mask" in text
    assert recipe.data.folds == 5
    prepare_run(recipe)


def test_coloured_photographs_with_masks_alone_become_a_segmentation(tmp_path, monkeypatch):
    for number in range(10):
        picture(tmp_path / "images" / "images" / f"retina{number}.png", 120, colour=True)
        (tmp_path / "images" / "masks").mkdir(exist_ok=True)
        mask(tmp_path / "images" / "masks" / f"retina{number}.png")
    recipe, text = proposed(tmp_path, monkeypatch)
    assert recipe.task.kind == "segmentation"
    assert (recipe.data.channels, recipe.data.augment) == (3, "retina")
    assert "'retina' is in the name of the source" in text
    prepare_run(recipe)


@pytest.mark.slow
def test_masks_of_two_kinds_are_asked_for_each_and_not_as_one(tmp_path, monkeypatch, capsys):
    for number in range(10):
        picture(tmp_path / "images" / "images" / f"{number}_training.png", 120, colour=True)
        for folder, name in (("1st_manual", f"{number}_manual1"), ("mask", f"{number}_training_mask")):
            (tmp_path / "images" / folder).mkdir(exist_ok=True)
            mask(tmp_path / "images" / folder / f"{name}.png")
    recipe, text = proposed(tmp_path, monkeypatch)
    assert recipe.data.structures == {"1st_manual": "1st_manual/*", "mask": "mask/*"}
    assert "masks of several kinds" in text
    prepare_run(recipe)
    together = replace(recipe, data=replace(recipe.data, structures={}))
    warned = [note for note in prepare_run(together).audit.warnings if "several kinds" in note]
    assert len(warned) == 1
    assert 'data.structures={1st_manual: "1st_manual/*", mask: "mask/*"}' in warned[0]


@pytest.mark.slow
def test_the_phantom_is_looked_at_without_a_native_log(tmp_path):
    command = [sys.executable, "-m", "kmedtl", "new", "film", "--data", "phantom:12", "--out", str(tmp_path / "f.yaml")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stderr.splitlines() == ["Loading TensorFlow …"]


def test_rare_classes_and_groups_are_seen_in_a_table(tmp_path, monkeypatch):
    rows = ["path,label,patient,sex,density"]
    for number in range(60):
        picture(tmp_path / f"p{number}.png", 100)
        rows.append(f"p{number}.png,{'rare' if number % 10 == 0 else 'common'},q{number},{'FM'[number % 2]},{number}.5")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "table.csv"]) == 0
    recipe = recipes.read(tmp_path / "mine.yaml")
    assert {stage.class_weights for stage in recipe.stages} == {"balanced"}
    assert recipe.evaluation.groups == ("sex",)
    assert "balanced, since rare has 6 images and common 54" in (tmp_path / "mine.yaml").read_text().replace(
        "\n# ", " "
    )
    assert main(["new", "other", "--data", "table.csv", "--target", "density"]) == 0
    assert recipes.read(tmp_path / "other.yaml").task.target == "density"
    prepare_run(recipes.read(tmp_path / "other.yaml"))


@pytest.mark.parametrize(
    ("name", "patients"),
    [
        ("P{patient:02}-{number}.png", 6),
        ("sub-{patient:02}_{number}.png", 6),
        ("person{patient}_virus_{number}.png", 6),
        ("slide{patient}-{number}.png", 24),  # says nothing of a patient
        ("P_2017032{patient}_{number}.png", 24),  # the day
        ("IM-000{patient}-{number}.png", 24),  # perhaps a series
        ("p{within}.png", 24),  # begins anew in each folder
    ],
)
def test_patients_are_guessed_by_the_names_of_files_where_each_tells_one(name, patients, tmp_path, monkeypatch, capsys):
    for number in range(24):
        told = name.format(patient=number // 4, number=number, within=number // 2)
        picture(tmp_path / "films" / "ab"[number % 2] / told, 100)
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "films"]) == 0
    printed = capsys.readouterr().out
    assert ("Who the patients are" in printed) == (patients == 24)
    assert ("Whether the names of the files tell the patients" in printed) == (patients == 6)
    assert prepare_run(recipes.read(tmp_path / "mine.yaml")).manifest.table["patient"].nunique() == patients


@pytest.mark.parametrize("place", ["{split}/{label}/p{patient}-{number}.png", "{label}/p{label}-{number}.png"])
def test_a_guess_that_a_run_would_refuse_is_none(place, tmp_path, monkeypatch, capsys):
    for number in range(48):
        split, label = ("train", "val", "test")[number % 3], "01"[number // 3 % 2]
        picture(tmp_path / "films" / place.format(split=split, label=label, patient=number // 12, number=number), 100)
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "films"]) == 0
    assert "Who the patients are" in capsys.readouterr().out
    prepare_run(recipes.read(tmp_path / "mine.yaml"))


def test_a_choice_that_is_the_default_stands_with_its_reason_as_well(tmp_path, monkeypatch):
    write_image_folder(tmp_path / "chest")
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "chest"]) == 0
    lines = (tmp_path / "mine.yaml").read_text().splitlines()
    assert lines[lines.index("  augment: xray") - 1] == "  # 'chest' is in the name of the source, a class or an image"


@pytest.mark.parametrize(("folder", "kind"), [("severity", "ordinal"), ("tissue", "classification")])
def test_numbers_are_grades_where_a_name_says_so_and_else_a_question(folder, kind, tmp_path, monkeypatch):
    for number in range(12):
        picture(tmp_path / folder / str(number % 3) / f"{number}.png", 60 + 60 * (number % 3))
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", folder]) == 0
    assert recipes.read(tmp_path / "mine.yaml").task.kind == kind
    assert ("grades in order; if so" in (tmp_path / "mine.yaml").read_text()) == (kind == "classification")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda folder: (folder / "mine.yaml").write_text(""), (), "mine.yaml: exists already"),
        (lambda folder: None, ("--target", "hight"), "--target hight: no such column"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, options, message, tmp_path, monkeypatch, capsys):
    write_image_folder(tmp_path / "images")
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "images", *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line


def test_images_of_which_nothing_is_known_are_refused(tmp_path, monkeypatch, capsys):
    for number in range(5):
        picture(tmp_path / "images" / f"{number}.png", 100)
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--data", "images"]) == 2
    assert "have no classes and no masks, so nothing can be asked" in capsys.readouterr().err
    assert not (tmp_path / "mine.yaml").exists()


NOT = {
    "bccd": "no classes and no masks",
    "dicom": "no classes and no masks",
    "dicom_series": "start from recipes/hippocampus.yaml",
    "hippocampus": "start from recipes/hippocampus.yaml",
    "keras_weights": "no images of a format that is read",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["brain_mri", "busi", "cxr_pneumonia", "drive", "ham10000", "nuclei", "pneumoniamnist_trainval.npz", *NOT],
)
def test_each_real_set_gets_a_recipe_that_goes_through_or_a_line_why_not(name, real_data, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    code = main(["new", "mine", "--data", str(real_data / name), "--out", str(path)])
    if name in NOT:
        assert code == 2
        assert NOT[name] in capsys.readouterr().err
        return
    assert code == 0
    recipe = recipes.read(path)
    prepare_run(recipes.config.override(recipe, ["data.limit=80"]))
