"""Where output goes: nobody who stops to listen stops a training, and a log file gets lines, not bars."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from kmedtl.system import progress as shown
from kmedtl.system.progress import progress

SMALL = (
    "data.size=64", "backbone={name: Tiny, weights: random}", "export.calibration_images=8", "export.formats=[]",
    "stages=[{name: a, train: head, epochs: 2, lr: 1e-3}]",
)  # fmt: skip
RUN = ["run", "pneumonia", "--data", "phantom:24", *(part for setting in SMALL for part in ("--set", setting))]


def started(arguments, folder, **pipes):
    command = [sys.executable, "-m", "kmedtl", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, **pipes)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_run_whose_reader_leaves_goes_on_and_says_it_in_its_log(closed, tmp_path):
    stderr = subprocess.STDOUT if closed == "both" else subprocess.DEVNULL
    with started([*RUN, "--out", "run"], tmp_path, stdout=subprocess.PIPE, stderr=stderr) as process:
        process.stdout.readline()
        process.stdout.close()
    assert process.returncode == 0
    assert (tmp_path / "run" / "report.html").is_file()
    log = (tmp_path / "run" / "output.log").read_text()
    for words in ("Data: phantom:24", "Test set:", "Report:"):
        assert words in log


@pytest.mark.slow
def test_a_run_that_fails_says_so_whoever_listens(tmp_path):
    bad = [*RUN, "--data", "/nowhere", "--out", "run"]
    with started(bad, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        process.stdout.close()
    assert process.returncode == 2


@pytest.mark.parametrize("arguments", [["backbones"], ["recipes"], ["--help"], ["store", "list"]])
def test_other_commands_end_quietly(arguments, tmp_path):
    with started(arguments, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (0, b"")


def test_predict_ends_quietly_when_its_reader_leaves(tmp_path, model):
    from PIL import Image

    for number in range(30):
        Image.new("L", (40, 40), 180).save(tmp_path / f"{number}.png")
    asked = ["predict", model, tmp_path, "--format", "jsonl"]
    with started(asked, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
    assert process.returncode == 0
    assert "rror" not in told


def test_a_short_loop_says_nothing_in_a_log(capsys):
    assert list(progress(range(1000), "Short", unit="step")) == list(range(1000))
    with progress(total=3, title="Short") as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


def test_a_long_loop_says_a_line_now_and_then_and_a_last_one(capsys, monkeypatch):
    monkeypatch.setattr(shown, "EVERY", 0.2)
    for _ in progress(range(100), "Long", unit="step"):
        time.sleep(0.01)
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert 3 <= len(lines) <= 7
    assert all(line.startswith("Long: ") for line in lines)
    assert "100/100 step" in lines[-1]
    assert "\r" not in told


def test_what_is_to_stay_is_one_line(capsys):
    with progress(total=8, title="head 1/3", unit="step", leave=True) as bar:
        for step in range(8):
            bar.set_postfix_str(f"loss {step}", refresh=False)
            bar.update()
        bar.set_postfix_str("loss 7, val AUC 0.5")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("head 1/3: 8/8 step")
    assert line.endswith("loss 7, val AUC 0.5")


def test_a_terminal_gets_a_bar():
    code = "from kmedtl.system.progress import progress\nfor _ in progress(range(3), 'Bar', mininterval=0): pass"
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    subprocess.run([sys.executable, "-c", code], stderr=there, check=True, env=os.environ | {"PYTHONPATH": "."})
    told = os.read(here, 10_000)
    os.close(there)
    os.close(here)
    assert b"\r" in told
    assert "█".encode() in told or b"#" in told
