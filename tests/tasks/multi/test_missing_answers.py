"""A run in which images lack answers: they teach the tasks that they have one to, and are judged by these alone."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.manifest import write
from kmedtl.data.phantom.source import phantom_manifest
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.recipe import (
    Backbone,
    Classification,
    Data,
    Evaluation,
    Export,
    Head,
    Multi,
    Recipe,
    Regression,
    Segmentation,
    Stage,
)
from kmedtl.runner import run


def test_an_unknown_mask_stays_unknown_however_its_image_is_varied():
    known = np.zeros((4, 32, 32, 1), np.uint8)
    known[:2, 8:20, 8:20] = 1
    known[2:] = 255
    table = pd.DataFrame({"record": np.arange(4), "stratum": 0})
    images = ImagesInMemory(np.full((4, 32, 32, 1), 90, np.uint8))
    pipeline = Pipeline(images, table, {"spot.mask": known}, 4, {"spot.mask": "mask"})
    ((_, targets, _),) = pipeline.varied(1, Variation("skin"), "none").as_numpy_iterator()
    assert set(np.unique(targets["spot.mask"][:2])) == {0.0, 1.0}
    assert (targets["spot.mask"][2:] == -1).all()


@pytest.mark.slow
@pytest.mark.parametrize("views", [2, 0], ids=["cached", "whole"])
def test_a_run_goes_through_with_images_that_lack_answers(views, tmp_path):
    manifest = phantom_manifest("phantom:40", (), 7)
    number = np.arange(len(manifest.table))
    area = np.where(number % 2 == 0, "", manifest.table["area"].astype(str))
    mask = manifest.table["mask"].where(number % 3 > 0, "")
    table = manifest.table.assign(area=area, mask=mask).drop(columns="split")
    write(replace(manifest, table=table.assign(split="")), tmp_path / "films.csv")
    recipe = Recipe(
        "missing",
        (Stage("head", "head", 1, 1e-2, views=views), Stage("more", "last:1", 1, 1e-3, views=views)),
        task=Multi(
            {"finding": Classification(), "area": Regression("area"), "lung": Segmentation()},
            weighting="uncertainty" if views else "fixed", alone=views > 0,
        ),
        data=Data(
            source=str(tmp_path / "films.csv"), size=32, channels=1, batch_size=16, augment="xray",
            missing_masks="leave_out", structures={"lung": "*_lung*"},
        ),
        backbone=Backbone("Tiny", "random"),
        head=Head("unet", hidden=16),
        evaluation=Evaluation(cases=1, resamples=100),
        export=Export(()),
    )  # fmt: skip
    lines = []
    result, folder = run(recipe, tmp_path / "run", log=lines.append)
    metrics = json.loads((folder / "metrics.json").read_text())
    test = result.test
    ids = set(test["id"])
    truly = {
        "finding": len(test),
        "area": sum(row.area != "" for row in table.itertuples() if row.id in ids),
        "lung": sum(row.mask != "" for row in table.itertuples() if row.id in ids),
    }
    assert {name: one["test"]["images"] for name, one in metrics["tasks"].items()} == truly
    assert truly["area"] < truly["finding"]
    assert np.isfinite(pd.read_csv(folder / "history.csv")["loss"]).all()
    assert set(metrics.get("alone", ())) == (set(truly) if views else set())
    told = "\n".join(lines)
    assert bool(re.search(r"area, asked alone", told)) == (views > 0)
