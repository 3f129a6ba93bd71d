"""Each built-in recipe from the command line to its report, on data made here in the layout that people download."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl import config, recipes
from kmedtl.cli import main
from kmedtl.data import splits
from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.runs.prepare import Prepared, prepare_run
from tests.recipes import data_sets as made

LITTLE = (
    "backbone.name=Tiny", "backbone.weights=random", "schedule=stages", "data.size=32", "data.batch_size=16",
    "stages=[{name: head, train: head, epochs: 1, lr: 0.003, views: 1}]", "export.formats=[]",
    "evaluation.resamples=100", "evaluation.cases=0", "training.tensorboard=false",
)  # fmt: skip
QUICK = (made.kermany,)  # of the whole runs: the others take 5 to 10 seconds each
# Run as another of the same recipe; all are read.
ALIKE = (made.pneumoniamnist_without_test, made.chestmnist, made.bloodmnist, made.chexpert)
WRITTEN = (
    "report.html",
    "model_card.md",
    "audit.html",
    "manifest.csv",
    "predictions.csv",
    "model.keras",
    "recipe.yaml",
)


@dataclass(frozen=True)
class Case:
    """What a recipe should make of a data set.

    Attributes:
        recipe: its name.
        make: writes the data set and returns what `--data` is given.
        headline: the figure that metrics.json names.
        classes: in their order; the finding is the last of two.
        patients: how many there are.
        test: images of the test, where the source says which they are.
        groups: the sexes, where they are judged apart.
        settings: beside those that make the run small.
    """

    recipe: str
    make: Callable[[Path], Path]
    headline: str
    classes: Sequence[str]
    patients: int
    test: int | None = None
    groups: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


CASES = (
    Case("pneumonia", made.kermany, "auc", ("NORMAL", "PNEUMONIA"), 22, test=12),
    Case("chest_findings", made.nih, "macro_auc", made.NIH, 60, test=32, groups=("F", "M")),
    Case("chest_findings", made.chexpert, "macro_auc", ("Edema", "Fracture"), 24, groups=("Female", "Male")),
    Case("skin_lesion", made.ham10000, "macro_auc", made.HAM10000, 35, groups=("female", "male")),
    Case("brain_tumor", made.brain_mri, "auc", ("no", "yes"), 24),
    Case("breast_ultrasound", made.busi, "lesion.dice", ("benign", "malignant", "normal"), 24,
         settings=("task.alone=false", "data.batch_size=4")),
    Case("diabetic_retinopathy", made.aptos, "kappa", ("0", "1", "2", "3", "4"), 60),
    Case("blood_cells", made.blood, "macro_auc", made.BLOOD, 64),
    Case("malaria", made.malaria, "auc", ("uninfected", "parasitized"), 12),
    Case("colorectal_histology", made.kather, "macro_auc", made.TISSUES, 64),
    Case("medmnist", made.pneumoniamnist, "auc", ("0", "1"), 96, test=24),
    Case("medmnist", made.pneumoniamnist_without_test, "auc", ("0", "1"), 72, test=24),
    Case("medmnist", made.chestmnist, "macro_auc", tuple(map(str, range(14))), 96, test=24),
    Case("medmnist", made.retinamnist, "kappa", tuple("01234"), 96, test=24, settings=("task.kind=ordinal",)),
    Case("medmnist", made.bloodmnist, "macro_auc", tuple("01234567"), 96, test=24),
)  # fmt: skip


def small(case: Case, folder: Path) -> Recipe:
    source = case.make(folder / "set")
    return config.override(recipes.find(case.recipe), [f"data.source={source}", *LITTLE, *case.settings])


def divided(found: Prepared, recipe: Recipe) -> pd.DataFrame:
    return splits.split(found.manifest, found.table, recipe.data.validation, recipe.data.test, recipe.seed)


def name(case: Case) -> str:
    return f"{case.recipe}-{case.make.__name__}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_recipe_reads_its_data_set_as_downloaded(case, tmp_path):
    recipe = small(case, tmp_path)
    found = prepare_run(recipe)
    table = divided(found, recipe)
    assert found.manifest.classes == tuple(case.classes)
    assert table["patient"].nunique() == case.patients
    for whole in ("patient", "twin"):
        assert (table.groupby(whole)["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "val", "test"}
    assert case.test in (None, (table["split"] == "test").sum())
    assert {value for group in recipe.evaluation.groups for value in table[group]} == set(case.groups)


def as_run(case: Case) -> object:
    return pytest.param(case, id=name(case), marks=() if case.make in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("case", [as_run(case) for case in CASES if case.make not in ALIKE])
def test_a_recipe_runs_from_its_data_set_as_downloaded_to_a_report(case, tmp_path, capsys):
    settings = [word for setting in (*LITTLE, *case.settings) for word in ("--set", setting)]
    source, out = case.make(tmp_path / "set"), tmp_path / "run"
    assert main(["run", case.recipe, "--data", str(source), "--out", str(out), *settings]) == 0, capsys.readouterr().err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["headline"] == case.headline
    assert set(metrics["test"][case.headline]) >= {"value", "low", "high"}
    assert {part["name"] for part in metrics.get("subgroups", ())} == set(case.groups)
    decoder = json.loads((out / "kmedtl.json").read_text())["decoder"]
    decoder = decoder.get("tasks", {}).get("diagnosis", decoder)
    assert decoder.get("classes", decoder.get("grades")) == list(case.classes)
    manifest = pd.read_csv(out / "manifest.csv")
    assert (manifest.groupby("patient")["split"].nunique() == 1).all()
    assert set(pd.read_csv(out / "predictions.csv")["id"]) <= set(manifest["id"])
    assert {path.name for path in out.iterdir()} >= set(WRITTEN)


@pytest.mark.slow
def test_nodules_on_ct_run_offline(tmp_path, capsys):
    little = [word for setting in ("backbone.truncate_at=", *LITTLE) for word in ("--set", setting)]
    out = tmp_path / "run"
    assert main(["run", "lung_nodule_ct", "--data", "phantom_ct:24", "--out", str(out), *little]) == 0
    assert "SYNTHETIC IMAGES" in capsys.readouterr().out
    table = pd.read_csv(out / "predictions.csv")
    assert table["id"].is_unique
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["images"] == (table["split"] == "test").sum()
    assert json.loads((out / "kmedtl.json").read_text())["slices"] == "max"
    told, ill = pd.read_csv(out / "slices.csv"), table.query("split == 'test' and label == 1")["id"]
    assert set(told.loc[told["marked"] == 1, "id"]) == set(ill)  # by the phantom's masks
    top = told.loc[told.groupby("id")["logits"].idxmax()].set_index("id")["marked"]
    assert metrics["slices"]["pointing"]["hits"]["value"] == pytest.approx(top[ill].mean())
    assert metrics["slices"]["pointing"]["volumes"] == len(ill)


@pytest.mark.slow
def test_alzheimer_runs_offline_with_age_and_sex(tmp_path, capsys):
    little = [word for setting in ("backbone.truncate_at=", *LITTLE) for word in ("--set", setting)]
    out = tmp_path / "run"
    assert main(["run", "alzheimer", "--data", "phantom_brain:24", "--out", str(out), *little]) == 0
    assert "SYNTHETIC IMAGES" in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["headline"] == "auc"
    assert (
        metrics["test"]["images"] == pd.read_csv(out / "predictions.csv").query("split == 'test'")["patient"].nunique()
    )
    info = json.loads((out / "kmedtl.json").read_text())
    assert {field["name"] for field in info["fields"]} == {"age", "sex"}
    assert info["slices"] == "mean"


@pytest.mark.slow
def test_liver_and_tumor_run_offline(tmp_path, capsys):
    little = [word for setting in LITTLE for word in ("--set", setting)]
    out = tmp_path / "run"
    assert main(["run", "liver_tumor", "--data", "phantom_liver:12", "--out", str(out), *little]) == 0
    assert "SYNTHETIC IMAGES" in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["headline"] == "dice"
    assert set(metrics["by"]) >= {"liver", "tumor"}
    assert metrics["test"]["images"] == metrics["test"]["patients"] == 3  # volumes


def test_malaria_reads_what_tensorflow_datasets_prepared(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(made.malaria_of_tfds(tmp_path)))
    recipe = config.override(recipes.find("malaria"), LITTLE)
    found = prepare_run(recipe)
    assert found.manifest.classes == ("uninfected", "parasitized")
    assert not found.manifest.patients_known
    brightness = [found.table.loc[found.table["label"] == label, "path"].map(mean).mean() for label in (0, 1)]
    assert brightness[1] > brightness[0] + 40


def mean(path: str) -> float:
    return float(np.asarray(Image.open(path)).mean())


def test_pictures_in_two_parts_of_medmnist_are_refused_until_they_are_allowed(tmp_path):
    path = made.pneumoniamnist(tmp_path)
    content = dict(np.load(path))
    content["test_images"][5] = content["train_images"][1]
    np.savez(path, **content)
    settings = [f"data.source={path}", *LITTLE]
    with pytest.raises(UserError, match=r"train/1 and test/5; .*--set data\.allow_leakage=true"):
        prepare_run(config.override(recipes.find("medmnist"), settings))
    allowed = config.override(recipes.find("medmnist"), [*settings, "data.allow_leakage=true"])
    assert prepare_run(allowed).audit.leaks == (("train/1", "test/5"),)


def test_a_recipe_without_its_data_says_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "skin_lesion"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert "HAM10000_metadata.csv: no such folder or file" in said
    assert "given with --data" in said
