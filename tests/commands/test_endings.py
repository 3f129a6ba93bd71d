"""How a run ends in the terminal: with what comes next, or, where silence was asked for, with the last lines."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kmedtl.cli import main
from tests.conftest import write_image_folder

SETTINGS = (
    "data.size=32", "backbone={name: Tiny, weights: random}", "schedule=untrained",
    "training.tensorboard=false", "stages=[]", "export.formats=[]", "evaluation.cases=0", "evaluation.resamples=100",
)  # fmt: skip
SMALL = ["--data", "phantom:40"] + [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def ended(cache, tmp_path_factory):
    """A run, and what it printed."""
    folder = tmp_path_factory.mktemp("a place") / "run"
    command = [sys.executable, "-m", "kmedtl", "run", "pneumonia", *SMALL, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_the_commands_that_come_next_can_be_typed_as_they_stand(ended, image_folder, capsys):
    folder, printed = ended
    told = printed.partition("\nNext:\n")[2].splitlines()
    assert [line.split()[1] for line in told] == ["predict", "evaluate", "export"]
    assert printed.split("\nNext:\n")[0].rstrip() in (folder / "output.log").read_text()
    image = str(next(image_folder.rglob("*.png")))
    for line in told[:2]:
        arguments = [image if word == "IMAGE" else word for word in shlex.split(line)[1:]]
        assert main(arguments) == 0, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_mislabelled", "way_out"),
    [
        (False, "Against the border: run it again with --set stages.0.border=mask, and"),
        (True, "Against two labels: correct them in the CSV that kmedtl manifest writes"),
    ],
)
def test_warnings_of_the_audit_are_said_again_with_the_way_out(is_mislabelled, way_out, tmp_path, capsys):
    images = write_image_folder(tmp_path / "images", patients=20)
    if is_mislabelled:
        shutil.copy(images / "NORMAL" / "NORMAL-p0-0.png", images / "PNEUMONIA" / "PNEUMONIA-p0-9.png")
    stages = "stages=[{name: head, train: head, epochs: 1, lr: 0.001}]"
    more = ["schedule=stages", stages, "data.patient_pattern=^([A-Z]+-p[0-9]+)"]
    settings = [word for setting in more for word in ("--set", setting)]
    assert main(["run", "pneumonia", *SMALL, "--data", str(images), *settings, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out.partition("Before you rely on these figures:\n")[2].splitlines()
    warnings = json.loads((tmp_path / "run" / "audit.json").read_text())["warnings"]
    assert said[: len(warnings[:3])] == [f"  {warning}" for warning in warnings[:3]]
    assert any(line.startswith(f"  {way_out}") for line in said)


@pytest.mark.slow
def test_quiet_leaves_the_last_lines(ended, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "pneumonia", *SMALL, "--out", str(out), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0].startswith("SYNTHETIC IMAGES")
    assert lines[-2:] == [f"Run folder: {out}", f"Report:     {out / 'report.html'}"]
    assert len(lines) == 4
    assert "Data: phantom" in (out / "output.log").read_text()
    assert main(["audit", "phantom:8", "--quiet", "--limit", "6", "--out", str(tmp_path / "audit")]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"Page: {tmp_path / 'audit' / 'audit.html'}\n", "")
    assert json.loads((Path(tmp_path) / "audit" / "audit.json").read_text())["set_aside"] > 0
