from dataclasses import replace

import numpy as np
import pytest

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities
from kmedtl.errors import UserError
from kmedtl.evaluate.confidence import auc_loss
from kmedtl.export.formats import FILES, check
from kmedtl.export.parity import Parity, compare, failed_gates
from kmedtl.recipe import Gate
from kmedtl.tasks.classification.labelled_predictions import from_table

KEPT = Parity("file", 1.0, 0.9, 0.005, 0.03, 1e-3, 0.02)


@pytest.mark.parametrize(
    ("format", "change", "words"),
    [
        ("float32", {}, ()),
        ("float32", {"max_difference": 2e-3}, ("max |Δp| 0.002 > 0.001",)),
        ("onnx", {"max_difference": 2e-3}, ("max |Δp| 0.002 > 0.001",)),
        ("saved_model", {"flips": 1.0, "mean_difference": 1.0}, ()),
        ("float16", {"max_difference": 2e-3}, ()),
        ("float16", {"max_difference": 6e-3}, ("max |Δp| 0.006 > 0.005",)),
        ("int8", {"max_difference": 0.9}, ()),
        ("int8", {"auc_loss": 0.006, "flips": 0.03}, ("AUC loss 0.006 > 0.005", "decisions changed 0.03 > 0.02")),
        ("dynamic", {"mean_difference": 0.04}, ("mean |Δp| 0.04 > 0.03",)),
    ],
)
def test_a_gate_names_what_is_missed(format, change, words):
    assert failed_gates(replace(KEPT, **change), format, Gate()) == words


@pytest.mark.parametrize("format", FILES)
def test_gates_can_be_set(format):
    closed = Gate(*(0.0,) * 5)
    assert failed_gates(KEPT, format, closed)
    assert not failed_gates(KEPT, format, Gate(*(1.0,) * 5))


def test_an_unknown_format_is_refused_with_the_nearest():
    assert check(["int8", "onnx"]) == ("int8", "onnx")
    with pytest.raises(UserError, match=r"no such format: 'flot16'\. Did you mean 'float16'\?"):
        check(["float32", "flot16"])


def test_a_file_is_compared_under_its_own_calibration(answers):
    """A file whose logits are shifted is the same file once its calibration takes the shift back."""
    calibration = Calibration("vector", "binary", (1.0,), (-3.0,))
    info = ModelInfo(("NO", "YES"), "binary", 8, 1, calibration, (0.5,), "r", "s", 1, False, "1")
    row = compare("file", 2.0, answers, answers.logits + 3, info)
    assert (row.auc_loss, row.flips, row.auc_loss_low, row.auc_loss_high) == (0, 0, 0, 0)
    assert row.max_difference < 1e-12


def test_differences_are_those_of_the_images(answers):
    calibration = Calibration("none", "binary", (1.0,), (0.0,))
    info = ModelInfo(("NO", "YES"), "binary", 8, 1, calibration, (0.5,), "r", "s", 1, False, "1")
    logits = answers.logits.copy()
    logits[:5] *= -1
    row = compare("file", 2.0, answers, logits, info)
    changed = np.abs(probabilities(logits, calibration) - answers.probabilities)
    assert (row.mean_difference, row.max_difference) == pytest.approx((changed.mean(), changed.max()))
    assert row.flips == 5 / len(logits)
    interval = auc_loss(answers.targets[:, 0], answers.logits[:, 0], logits[:, 0], answers.patients)
    assert (row.auc_loss, row.auc_loss_low, row.auc_loss_high) == pytest.approx(
        (interval.value, interval.low, interval.high)
    )


@pytest.fixture
def answers():
    import pandas as pd

    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 60)
    table = pd.DataFrame({"label": labels, "logit": random.normal(2 * labels - 1), "patient": np.arange(60) // 2})
    return from_table(table, "test")
