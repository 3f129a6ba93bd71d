"""`kmedtl adapt` of what a run wrote: its files carry how validation looked, and a `.keras` is copied as well."""

from __future__ import annotations

import shutil
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.reference import LEVELS
from kmedtl.runner import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judged(small_recipe, tmp_path_factory):
    """A run with 10 validation images of either class or more."""
    stages = (replace(small_recipe.stages[0], epochs=1),)
    data = replace(small_recipe.data, source="phantom:150", size=32)
    recipe = replace(small_recipe, data=data, stages=stages, export=replace(small_recipe.export, formats=("float32",)))
    _, folder = run(recipe, tmp_path_factory.mktemp("adapt") / "run", log=lambda text: None)
    return folder


@pytest.mark.parametrize("file", ["model.keras", "model_float32.tflite"])
def test_each_file_says_how_validation_looked_to_it(judged, file):
    table = pd.read_csv(judged / "predictions.csv")
    table = table[table["split"] == "val"]
    look = model_info.read(judged / file).validation
    assert look.patients == table["patient"].nunique()
    for label, one in ((0, look.negative), (1, look.positive)):
        scores = table.loc[table["label"] == label, "logit"]
        assert one.images == len(scores)
        assert one.scores == pytest.approx(np.quantile(scores, LEVELS), rel=1e-3, abs=1e-3)


def test_a_keras_file_is_copied_with_another_decoder(judged, tmp_path, capsys):
    """The films are blank, so both have shifted; with a prevalence that is given there is an answer."""
    shutil.copytree(judged, tmp_path / "RUN")
    random = np.random.default_rng(0)
    (tmp_path / "films").mkdir()
    for number in range(60):
        pixels = np.clip(random.normal(100 + number, 30, (64, 64)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "films" / f"{number}.png")
    asked = ["adapt", str(tmp_path / "RUN"), "--data", str(tmp_path / "films"), "--site", "b", "--prevalence", "0.2"]
    assert main(asked) == 0
    assert "shifted" in capsys.readouterr().out
    there = tmp_path / "RUN" / "model-b.keras"
    assert model_info.read(there).adapted[0].file == "model.keras"
    old, new = (keras.models.load_model(path, compile=False) for path in (tmp_path / "RUN" / "model.keras", there))
    assert all((a == b).all() for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
    assert main(["predict", str(there), str(tmp_path / "films" / "0.png")]) == 0
