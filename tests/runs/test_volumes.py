"""A recipe of volumes from the command line to its files, and a volume answered by one of them."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.edge.cli import main as main_of_edge
from tests.data.sources.test_volumes import SHAPE, save_set

LITTLE = (
    "data.size=32", "stages=[{name: all, train: all, epochs: 1, lr: 0.01, batch_norm: train, views: 0}]",
    "export.formats=[float32]", "evaluation.resamples=100", "evaluation.cases=1", "training.tensorboard=false",
    "data.structures={front: 1, back: 2}",
)  # fmt: skip


@pytest.mark.slow
def test_a_recipe_of_volumes_runs_to_files_that_answer_volumes(tmp_path, capsys):
    source, out = save_set(tmp_path / "set", count=16), tmp_path / "run"
    settings = [word for setting in LITTLE for word in ("--set", setting)]
    assert main(["run", "hippocampus", "--data", str(source), "--out", str(out), *settings]) == 0
    said = capsys.readouterr().out
    assert "Volumes: 16, of 96 slices" in said
    metrics = json.loads((out / "metrics.json").read_text())
    table = pd.read_csv(out / "predictions.csv")
    test = table[table["split"] == "test"]
    assert metrics["headline"] == "dice"
    assert metrics["unit"] == "mm"
    assert metrics["test"]["images"] == test["volume"].nunique() == len(test) // SHAPE[2]
    volume = source / test["volume"].iloc[0]
    (model,) = out.glob("*float32.tflite")
    asked = ["predict", model, volume, "--masks", tmp_path / "masks", "--format", "json"]
    assert main_of_edge(list(map(str, asked))) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    written, image = nib.load(answer["masks"][0]), nib.load(volume)
    assert (written.affine == image.affine).all()
    labels = np.asarray(written.dataobj)
    counts = [int((labels == number).sum()) for number in (1, 2)]
    assert [answer["structures"][name]["voxels"] for name in ("front", "back")] == counts
