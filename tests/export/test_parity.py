from dataclasses import replace

import numpy as np
import pytest

from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.export.formats import FILES, check
from kmedtl.export.parity import Parity, failed_gates
from kmedtl.recipe import Gate
from kmedtl.statistics.confidence import Estimate, auc_loss
from kmedtl.tasks import TASKS
from kmedtl.tasks.classification.drift import TITLES, drift
from tests.models import decoder_of, examples_of, question_of

LOSS = Estimate(0.005, 0.001, 0.01, "DeLong")
KEPT = Parity("file", 1.0, "auc", 0.9, LOSS, {"mean_difference": 0.03, "max_difference": 1e-3, "flips": 0.02})


@pytest.mark.parametrize(
    ("format", "loss", "change", "words"),
    [
        ("float32", 0.005, {}, ()),
        ("float32", 0.005, {"max_difference": 2e-3}, ("max |Δp| 0.002 > 0.001",)),
        ("onnx", 0.005, {"max_difference": 2e-3}, ("max |Δp| 0.002 > 0.001",)),
        ("saved_model", 0.005, {"flips": 1.0, "mean_difference": 1.0}, ()),
        ("float16", 0.005, {"max_difference": 2e-3}, ()),
        ("float16", 0.005, {"max_difference": 6e-3}, ("max |Δp| 0.006 > 0.005",)),
        ("int8", 0.005, {"max_difference": 0.9}, ()),
        ("int8", 0.006, {"flips": 0.03}, ("AUC loss 0.006 > 0.005", "decisions changed 0.03 > 0.02")),
        ("dynamic", 0.005, {"mean_difference": 0.04}, ("mean |Δp| 0.04 > 0.03",)),
    ],
)
def test_a_gate_names_what_is_missed(format, loss, change, words):
    row = replace(KEPT, loss=replace(LOSS, value=loss), drift={**KEPT.drift, **change})
    assert failed_gates(row, format, Gate(), TITLES) == words


@pytest.mark.parametrize(("low", "is_missed"), [(0.001, True), (0.0, False), (-0.02, False), (np.nan, True)])
def test_a_loss_that_chance_explains_is_no_miss(low, is_missed):
    row = replace(KEPT, loss=replace(LOSS, value=0.2, low=low))
    assert bool(failed_gates(row, "int8", Gate(), TITLES)) == is_missed


@pytest.mark.parametrize("format", FILES)
def test_gates_can_be_set(format):
    closed = Gate(*(0.0,) * 5)
    assert failed_gates(KEPT, format, closed, TITLES)
    assert not failed_gates(KEPT, format, Gate(*(1.0,) * 5), TITLES)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_what_gates_bound(task):
    assert {"mean_difference", "max_difference"} <= set(TASKS[task].drift_titles)


def test_an_unknown_format_is_refused_with_the_nearest():
    assert check(["int8", "onnx"]) == ("int8", "onnx")
    with pytest.raises(UserError, match=r"no such format: 'flot16'\. Did you mean 'float16'\?"):
        check(["float32", "flot16"])


def test_a_file_is_compared_under_its_own_calibration(answers):
    """A file whose logits are shifted is the same file once its calibration takes the shift back."""
    anew = decoder_of("binary", ("NO", "YES"), Calibration("vector", "binary", (1.0,), (-3.0,)))
    found = drift(question_of(), answers, PLAIN, {LOGITS: answers.outputs[LOGITS] + 3}, anew)
    assert (found.loss.value, found.figures["flips"], found.loss.low, found.loss.high) == (0, 0, 0, 0)
    assert found.figures["max_difference"] < 1e-12


def test_differences_are_those_of_the_images(answers):
    before = answers.outputs[LOGITS]
    logits = before.copy()
    logits[:5] *= -1
    found = drift(question_of(), answers, PLAIN, {LOGITS: logits}, PLAIN)
    changed = np.abs(probabilities(logits, PLAIN.calibration) - probabilities(before, PLAIN.calibration))
    assert found.figures["mean_difference"] == pytest.approx(changed.mean())
    assert found.figures["max_difference"] == pytest.approx(changed.max())
    assert found.figures["flips"] == 5 / len(logits)
    interval = auc_loss(answers.targets[LOGITS][:, 0], before[:, 0], logits[:, 0], answers.patients)
    expected = interval.value, interval.low, interval.high
    assert (found.loss.value, found.loss.low, found.loss.high) == pytest.approx(expected)


PLAIN = decoder_of("binary", ("NO", "YES"))


@pytest.fixture
def answers():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 60)
    return examples_of(labels[:, None], random.normal(2 * labels - 1)[:, None], np.arange(60) // 2)
