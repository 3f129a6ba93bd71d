import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.edge.tasks.classification.calibration import sigmoid, softmax
from kmedtl.files import html
from kmedtl.statistics.confidence import Estimate, delong_auc, undefined
from kmedtl.tasks.classification import decision_plots, probability_plots
from kmedtl.tasks.classification.decision_curve import decision_curve
from kmedtl.tasks.classification.reliability import reliability
from kmedtl.tasks.classification.selective import selective_curve

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, 200)
LABELS = (RANDOM.random(200) < sigmoid(LOGITS)).astype(int)
PATIENTS = np.arange(200) // 2
CHANCES = sigmoid(LOGITS)
FIGURE = Estimate(0.8, 0.7, 0.9, "")
ESTIMATES = dict.fromkeys(("auc", "average_precision", "sensitivity", "specificity", "ppv"), FIGURE)
TABLE = pd.DataFrame({"label": LABELS, "logit": LOGITS})
CLASSES = {f"grade {number}": ESTIMATES for number in range(5)}
MANY = RANDOM.normal(0, 1, (200, 5))
TARGETS = np.eye(5, dtype=int)[softmax(MANY).argmax(axis=1)]
TARGETS[:, 4] = -1  # a finding without answers has no curve


@pytest.fixture(scope="module")
def figures():
    two = SimpleNamespace(estimates=ESTIMATES, confusion=((50, 10), (20, 120)))
    five = RANDOM.integers(0, 30, (5, 5)).tolist()
    column = CHANCES[:, None], LABELS[:, None], PATIENTS, "binary"
    return {
        "roc": decision_plots.roc(TABLE, two),
        "roc_by_finding": decision_plots.roc_by_finding(TARGETS, MANY, CLASSES),
        "precision_recall": decision_plots.precision_recall(TABLE, two),
        "precision_recall_by_finding": decision_plots.precision_recall_by_finding(TARGETS, MANY, CLASSES),
        "confusion of two": decision_plots.confusion(two.confusion, ["no", "yes"]),
        "confusion of five": decision_plots.confusion(five, list(CLASSES)),
        "reliability": probability_plots.reliability(reliability(*column)),
        "histogram": probability_plots.histogram(CHANCES, LABELS, {0: "no", 1: "yes"}),
        "selective": probability_plots.selective(selective_curve(np.abs(LOGITS), (CHANCES > 0.5) != LABELS, PATIENTS)),
        "decision_curve": probability_plots.decision_curve(decision_curve(LABELS, CHANCES, PATIENTS)),
        "subgroups": decision_plots.subgroups([("all", 200, FIGURE), ("men", 3, undefined("one class only"))]),
    }


def test_every_figure_is_drawn_with_names_on_its_axes(figures):
    for name, figure in figures.items():
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes), name
        file = io.BytesIO()
        figure.savefig(file, dpi=40)
        assert np.asarray(Image.open(file).convert("L")).std() > 1, name  # something is on it


def test_the_curve_encloses_the_area_that_it_names(figures):
    curve = max(figures["roc"].axes[0].lines, key=lambda line: len(line.get_xdata()))
    area = np.trapezoid(curve.get_ydata(), curve.get_xdata())
    assert area == pytest.approx(delong_auc(LABELS, LOGITS, PATIENTS).value)


def test_a_finding_without_answers_is_left_out_of_the_legend(figures):
    texts = [text.get_text() for text in figures["roc_by_finding"].legends[0].get_texts()]
    assert [text.split(" AUC")[0] for text in texts] == [*list(CLASSES)[:4], "operating point"]


def test_the_matrix_holds_every_count(figures):
    texts = {text.get_text().split("\n")[0] for text in figures["confusion of two"].axes[0].texts}
    assert texts == {"50", "10", "20", "120"}


def test_a_group_without_a_figure_says_why(figures):
    assert any("one class only" in text.get_text() for text in figures["subgroups"].axes[0].texts)


def test_a_saved_plot_has_no_ground_and_its_colours_follow_the_theme(figures, tmp_path):
    saved = html.save_plots({"roc": figures["roc"]}, tmp_path / "plots")["roc"]
    svg = base64.b64decode(saved.split(",")[1]).decode()
    style = re.search("<style>(.*?)</style>", svg)[1]
    drawn = svg.replace(style, "")
    assert "prefers-color-scheme:dark" in style
    assert not re.search("#[0-9a-f]{6}", drawn)  # every colour is a variable, none is that of a white ground
    assert set(re.findall("var[(](--c[0-9a-f]{6})[)]", drawn)) <= set(re.findall("(--c[0-9a-f]{6}):", style))
