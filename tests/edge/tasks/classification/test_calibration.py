import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit
from scipy.special import softmax as scipy_softmax

from kmedtl.config import build
from kmedtl.edge.tasks.classification.calibration import Calibration, against_rest, probabilities, uncalibrated
from kmedtl.errors import UserError

KNOTS = ((-2.0, 0.1), (0.0, 0.4), (3.0, 0.95))
CALIBRATIONS = {
    "none": uncalibrated("multi_label", 3),
    "temperature": Calibration("temperature", "binary", (0.5,), (0.0,)),
    "vector": Calibration("vector", "multi_class", (0.5, 2.0, 1.0), (0.1, -0.3, 0.2)),
    "isotonic": Calibration("isotonic", "binary", (1.0,), (0.0,), (KNOTS,)),
    "isotonic of classes": Calibration("isotonic", "multi_class", (1.0,) * 3, (0.0,) * 3, (KNOTS,) * 3),
}


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_a_document_reads_back_equal_and_keeps_probabilities_in_range(calibration):
    assert build(Calibration, json.loads(json.dumps(asdict(calibration)))) == calibration
    logits = np.random.default_rng(0).normal(0, 3, (50, len(calibration.scale)))
    logits[0], logits[1] = 1e5, -1e5
    found = probabilities(logits, calibration)
    assert found.dtype == np.float64
    assert found.min() >= 0
    assert found.max() <= 1
    if calibration.kind == "multi_class":
        assert found.sum(axis=1) == pytest.approx(np.ones(50))


def test_probabilities_are_scipys():
    logits = np.random.default_rng(0).normal(0, 3, (50, 3))
    scale, bias = np.array([0.5, 2.0, 1.0]), np.array([0.1, -0.3, 0.2])
    assert probabilities(logits, CALIBRATIONS["vector"]) == pytest.approx(scipy_softmax(logits * scale + bias, axis=1))
    assert probabilities(logits, CALIBRATIONS["none"]) == pytest.approx(expit(logits))
    assert probabilities(np.array([[-40.0]]), uncalibrated("binary", 1))[0, 0] == pytest.approx(np.exp(-40))


def test_isotonic_runs_straight_between_its_knots_and_level_beyond():
    found = probabilities(np.array([[-9.0], [-1.0], [0.0], [1.5], [9.0]]), CALIBRATIONS["isotonic"])
    assert found[:, 0] == pytest.approx([0.1, 0.25, 0.4, 0.675, 0.95])


def test_the_score_of_a_class_is_its_log_odds_whatever_is_added_to_a_row():
    logits = np.random.default_rng(0).normal(0, 3, (20, 4))
    chances = scipy_softmax(logits, axis=1)
    assert against_rest(logits + 7) == pytest.approx(np.log(chances / (1 - chances)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"method": "beta"}, "method"),
        ({"kind": "ordinal"}, "kind"),
        ({"scale": []}, "scale"),
        ({"scale": [1.0, 1.0]}, "scale"),
        ({"scale": [0.0]}, "above 0"),
        ({"scale": [float("nan")]}, "finite"),
        ({"scale": ["1"]}, "a number"),
        ({"scale": 1.0}, "a list"),
        ({"bias": [float("inf")]}, "finite"),
        ({"bias": [0.0, 0.0]}, "bias"),
        ({"knots": []}, "knots"),
        ({"knots": [[]]}, "at least one"),
        ({"knots": [[[0.0, 0.4], [0.0, 0.5]]]}, "rising"),
        ({"knots": [[[0.0, 0.4], [1.0, 0.3]]]}, "rising"),
        ({"knots": [[[0.0, 1.0]]]}, "probability"),
        ({"knots": [[[0.0]]]}, "2 values"),
        ({"temperature": 1.0}, "no such setting"),
    ],
)
def test_a_damaged_document_is_refused_in_one_line(change, word):
    document = json.loads(json.dumps(asdict(CALIBRATIONS["isotonic"]))) | change
    with pytest.raises(UserError, match=word) as error:
        build(Calibration, document, text_as_number=False)
    assert "\n" not in str(error.value)


def test_logits_of_another_number_of_findings_are_refused():
    with pytest.raises(UserError, match="3 for each image"):
        probabilities(np.zeros((2, 1)), CALIBRATIONS["none"])


def test_the_device_needs_numpy_only():
    code = (
        "import sys, kmedtl.edge.tasks.classification.calibration;"
        " print({'pandas', 'scipy', 'sklearn', 'tensorflow'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
