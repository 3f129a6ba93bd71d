from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.corruptions import SEVERITIES, suite
from kmedtl.runs import shift_page
from kmedtl.runs.shift import shift
from kmedtl.statistics.confidence import undefined
from tests.models import decoder_of, examples_of, info_of

INFO = info_of(decoder_of("binary", ("NORMAL", "BRIGHT")))


@pytest.fixture(scope="module")
def films():
    """Images whose centre is bright where the label is 1, and what is known of them: two images a patient."""
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 30), 2)
    images = random.integers(60, 120, (60, 32, 32, 1)).astype(np.uint8)
    images[:, 8:24, 8:24] += (labels * 25 + random.integers(0, 15, 60)).astype(np.uint8)[:, None, None, None]
    return images, examples_of(labels[:, None], brightness(images)["logits"], np.repeat(np.arange(30), 2))


def brightness(images):
    return {"logits": ((images[:, 8:24, 8:24].mean((1, 2, 3)) - 109) / 4)[:, None]}


@pytest.fixture(scope="module")
def found(films):
    return shift(brightness, *films, INFO.decoder, seed=1)


def test_every_corruption_and_severity_has_a_row_beside_the_clean_images(found):
    table = found.table()
    assert [(row.corruption, row.severity) for row in found.rows] == [(n, s) for n in suite() for s in SEVERITIES]
    assert len(table) == 1 + 12 * 5
    assert (table["corruption"][0], table["severity"][0], table["auc_loss"][0]) == ("clean", 0, 0)
    for name in ("auc", "auc_loss", "sensitivity", "specificity"):
        assert (table[f"{name}_low"] <= table[name] + 1e-9).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-9).all()
    assert np.allclose(table["auc_loss"], table["auc"][0] - table["auc"])
    assert (found.images, found.patients) == (60, 30)


def test_a_model_of_brightness_suffers_from_exposure_and_not_from_a_marker(found):
    at = {row.corruption: row for row in found.at(3)}
    assert found.clean.estimates["auc"].value > 0.95
    assert at["exposure"].loss.low > 0
    assert at["marker"].loss.value == 0
    assert at["exposure"].estimates["sensitivity"].value < found.clean.estimates["sensitivity"].value
    assert found.worst.estimates["auc"].value == min(row.estimates["auc"].value for row in at.values())
    assert found.mean_loss.value == pytest.approx(np.mean([row.loss.value for row in at.values()]))
    assert found.mean_loss.low < found.mean_loss.value < found.mean_loss.high


def test_without_severity_three_the_largest_is_summarised(films):
    found = shift(brightness, *films, INFO.decoder, severities=(1, 2))
    assert found.summarised == 2
    assert {row.severity for row in found.rows} == {1, 2}


@pytest.mark.parametrize("notice", ["", "SYNTHETIC IMAGES"])
def test_the_page_stands_alone_and_marks_what_is_synthetic(found, tmp_path, notice):
    shift_page.write(found, tmp_path, "model.keras", INFO, notice, "1.0")
    page = (tmp_path / "shift.html").read_text()
    assert page.count("<tr>") == 2 + 12 * 5
    assert "data:image/svg+xml;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    assert ("SYNTHETIC" in page) == bool(notice)
    table = pd.read_csv(tmp_path / "shift.csv")
    assert (table["synthetic"] == bool(notice)).all()
    assert table["auc"].tolist() == pytest.approx(found.table()["auc"].tolist())


def test_the_summary_names_mean_and_worst(found):
    text = "\n".join(shift_page.summary(found))
    assert str(found.mean_loss) in text
    assert f"Worst: {found.worst.corruption}" in text
    assert len(text.splitlines()) == 2 + 1 + 12 + 2
    assert max(map(len, text.splitlines()[:15])) <= 120


def test_no_corruption_is_called_the_worst_where_none_costs_anything(found, tmp_path):
    harmless = tuple(replace(row, loss=replace(found.clean.loss, value=0.0)) for row in found.rows)
    assert "Worst" not in "\n".join(shift_page.summary(replace(found, rows=harmless)))
    shift_page.write(replace(found, rows=harmless), tmp_path, "model.keras", INFO, "", "1.0")
    assert "worst: " not in (tmp_path / "shift.html").read_text()


def test_why_a_figure_is_unknown_is_said_once_and_whole(found):
    why = "no image of the test shows it, so neither its sensitivity nor its AUC can be told by anybody"
    rows = tuple(replace(row, estimates=row.estimates | {"auc": undefined(why)}) for row in found.rows)
    lines = shift_page.summary(replace(found, rows=rows))
    assert lines.count(f"  – AUC: {why}") == 1
    assert sum("  –  " in line for line in lines) >= len(found.at(3))
