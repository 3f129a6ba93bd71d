"""Distances say in which unit they are, wherever figures of several models or images stand beside each other."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.manifest import SIZES, SPACINGS
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.recipe import Head, Recipe, Segmentation
from kmedtl.runs import compare_page, cross_validation, shift_page
from kmedtl.runs.compare import Comparison, Run
from kmedtl.runs.shift import shift
from kmedtl.tasks import TASKS
from kmedtl.tasks.task import Examples
from tests.models import info_of

ROW = TASKS["segmentation"]
RECIPE = Recipe("masks", schedule="auto", task=Segmentation(tolerance=3.0), head=Head("unet"))
DISTANCE = "Hausdorff distance (95 %)"


@pytest.fixture(params=["mm", "px"])
def judged(request):
    """The unit, a decoder, images, and what is known of them."""
    images = np.full((6, 32, 32, 1), 40, np.uint8)
    images[:, 8:20, 8:20] = 200
    known = np.array([f"{number}.png" for number in range(6)], object)
    table = pd.DataFrame(dict.fromkeys(SIZES, [32] * 6) | dict.fromkeys(SPACINGS, [0.5] * 6))
    examples = Examples(known, known, {MASK: (images > 100).astype(np.uint8)}, bright(images), table)
    return request.param, plain(("lesion",), 3.0, "stretch", request.param), images, examples


def bright(images):
    return {MASK: (images.astype(np.float32) - 100) / 10}


def test_a_shift_tells_the_unit_of_distances(judged, tmp_path):
    unit, decoder, images, examples = judged
    found = shift(bright, images, examples, decoder, severities=(3,))
    shift_page.write(found, tmp_path, "model.keras", info_of(decoder), "", "1.0")
    page, table = (tmp_path / "shift.html").read_text(), pd.read_csv(tmp_path / "shift.csv")
    assert f"{DISTANCE} [{unit}]" in page
    for told in (page, "\n".join(shift_page.summary(found))):
        assert f" [{unit}]" in told  # a terminal leaves out the middle of long headings
        assert f"Surface Dice [within 3 {unit}]" in told
    assert set(table["hd95_unit"]) == {unit}


def test_folds_tell_the_unit_of_distances(judged, tmp_path):
    unit, decoder, _, examples = judged
    question, fit = ROW.question(decoder), SimpleNamespace(decoder=decoder)
    fold = SimpleNamespace(
        question=question,
        fit=fit,
        arrays={},
        test=pd.DataFrame({"id": examples.ids}),
        manifest=SimpleNamespace(classes=()),
        audit=SimpleNamespace(synthetic=False),
        evaluation=ROW.figures(question, RECIPE.evaluation, examples, decoder),
    )
    made = {"began": "2026-11-26T17:58:00", "seconds": 9.0, "resumed": False}
    pooled = cross_validation.pool({"A": fold, "B": fold}, {"A": examples, "B": examples}, RECIPE, made)
    cross_validation.write(pooled, tmp_path)
    told = (tmp_path / "report.html").read_text(), cross_validation.summary(pooled, tmp_path)
    assert told[0].count(f"{DISTANCE} [{unit}]") == 2  # of all together, and of each fold
    assert f"{DISTANCE} [{unit}]" in told[1]
    assert json.loads((tmp_path / "metrics.json").read_text())["units"]["hd95"] == unit


def test_a_comparison_tells_how_far_apart_borders_agree(judged, tmp_path):
    unit, decoder, _, examples = judged
    figures = ROW.figures(ROW.question(decoder), RECIPE.evaluation, examples, decoder).estimates
    judged = (figures["dice"], figures["surface_dice"])
    runs = tuple(
        Run(name, RECIPE, 10, 1, 60.0, "dice", *judged, examples, decoder, None, "") for name in ("one", "other")
    )
    found = Comparison(runs, {}, (None, None), (None, None))
    compare_page.write(found, tmp_path, "1.0")
    for told in ((tmp_path / "compare.html").read_text(), "\n".join(compare_page.summary(found))):
        assert told.count(f"Surface Dice [within 3 {unit}]") == 1
    assert set(found.table()["surface_dice_unit"]) == {f"within 3 {unit}"}
    other = replace(runs[1], decoder=replace(decoder, tolerance=1.0))
    compare_page.write(replace(found, runs=(runs[0], other)), tmp_path, "1.0")
    for tolerance in (3, 1):
        assert f"{figures['surface_dice']} within {tolerance} {unit}" in (tmp_path / "compare.html").read_text()
