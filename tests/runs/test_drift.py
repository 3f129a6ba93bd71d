"""`kmedtl drift`: a predictor's log over time beside validation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kmedtl.cli import main
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.reference import reference
from kmedtl.runs.drift import drift, read_log
from tests.edge.conftest import INFO

WINDOW, RATE = 50, 0.02
DRAWS = 300


def scored(random, count, moved=0.0):
    """Return scores and labels: the classes lie two deviations from 0, on either side."""
    labels = random.integers(0, 2, count)
    return 2.0 * (2 * labels - 1) + random.normal(0, 1, count) + moved, labels


@pytest.fixture(scope="module")
def watched():
    """A model whose validation had 2,000 images."""
    scores, labels = scored(np.random.default_rng(0), 2000)
    return replace(INFO, validation=reference(scores, labels, np.arange(2000), "youden"))


def write(path, info, scores, unlike):
    (scale,) = info.decoder.calibration.scale
    found = 1 / (1 + np.exp(-scale * scores))
    lines = [
        {
            "image": f"{n}",
            "probabilities": {"BRIGHT": p},
            "out_of_distribution": bool(u),
            "error": None,
            "time": f"T{n}",
        }
        for n, (p, u) in enumerate(zip(found.tolist(), unlike, strict=True))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def model(watched, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    model_info.attach(watched, folder)
    return folder


def test_false_alarms_are_as_rare_as_is_said(watched, tmp_path):
    random = np.random.default_rng(1)
    scores, _ = scored(random, DRAWS * WINDOW)
    path = write(tmp_path / "log.jsonl", watched, scores, random.random(len(scores)) < 0.01)
    found = drift(read_log(path, watched), watched, None, WINDOW, RATE)
    assert len(found.windows) == DRAWS
    assert len(found.alarms) <= DRAWS * RATE + 3 * np.sqrt(DRAWS * RATE)
    strict = drift(read_log(path, watched), watched, 2000, WINDOW, RATE)
    assert len(strict.alarms) <= DRAWS * RATE + 3 * np.sqrt(DRAWS * RATE)


@pytest.mark.parametrize(
    ("moved", "share", "what"), [(1.5, 0.01, "scores"), (0.0, 0.3, "images unlike those of training")]
)
@pytest.mark.parametrize("first", [None, 200])
def test_a_drift_is_an_alarm_from_its_window_on(moved, share, what, first, watched, model, tmp_path, capsys):
    random = np.random.default_rng(2)
    before, after = scored(random, 400)[0], scored(random, 100, moved)[0]
    unlike = np.concatenate([random.random(400) < 0.01, random.random(100) < share])
    log = write(tmp_path / "log.jsonl", watched, np.concatenate([before, after]), unlike)
    more = [] if first is None else ["--first", str(first)]
    assert main(["drift", str(log), "--model", str(model), "--window", "50", *more]) == 3
    assert f"{what}\n" in capsys.readouterr().out
    document = json.loads((tmp_path / "log-drift" / "drift.json").read_text())
    alarms = [window["first"] for window in document["windows"] if window["alarm"]]
    assert alarms == [401, 451]
    assert document["windows"][-1]["end"] == "T499"
    page = (tmp_path / "log-drift" / "drift.html").read_text()
    assert "SYNTHETIC" in page
    assert str(tmp_path) not in page
    assert (tmp_path / "log-drift" / "plots" / "drift.png").is_file()


def test_without_drift_it_says_so(watched, model, tmp_path, capsys):
    random = np.random.default_rng(4)
    log = write(tmp_path / "log.jsonl", watched, scored(random, 230)[0], random.random(230) < 0.01)
    with log.open("a") as file:
        file.write(json.dumps({"image": "x", "probabilities": {}, "error": "no image"}) + "\n")
    assert main(["drift", str(log), "--model", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "No alarm" in printed
    assert "1 lines without an answer" in printed
    assert "30 answers at the end" in printed


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("no json", [], "line 1: expected an answer"),
        ('{"image": "a"}', [], "line 1: has no probability of BRIGHT"),
        ('{"image": "a", "probabilities": {"BRIGHT": 0.5}}', [], "expected 100 answers or more"),
        ("", ["--window", "3"], "--window: expected 20 answers or more"),
        ("", ["--false-alarms", "2"], "--false-alarms: expected a rate"),
        ('{"image": "a", "probabilities": {"BRIGHT": 0.5}}', ["--first", "30"], "--first: expected 20 answers or more"),
    ],
)
def test_what_cannot_be_watched_is_refused_in_a_line(line, options, message, model, tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text(f"{line}\n")
    assert main(["drift", str(tmp_path / "log.jsonl"), "--model", str(model), *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1
