"""Without a home folder, a name or a place to write to, commands work from the temporary folder and say so once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmedtl.errors import UserError
from kmedtl.system import home

ROOT = Path(__file__).parents[2]
NOBODY = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
AGAIN = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"


def _can_be_nobody() -> bool:
    """Tell whether somebody without a name may run this Python, and that another one."""
    if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*NOBODY, sys.executable, "-c", AGAIN], capture_output=True, check=False).returncode == 0


as_root = pytest.mark.skipif(not _can_be_nobody(), reason="needs root, setpriv, and a Python that everybody may run")


def called(arguments, folder, variables=(), before=()):
    """Run a command with an environment of nothing but `PATH` and what is given, in a folder of its own."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")} | dict(variables)
    for name in ("tmp", "work"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    command = [*before, sys.executable, "-m", "kmedtl", *map(str, arguments)]
    return subprocess.run(command, env=bare, cwd=folder / "work", capture_output=True, text=True, check=False)


@pytest.fixture
def open_folder(tmp_path):
    """A folder that everybody may look into."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    return tmp_path


@pytest.mark.parametrize("before", [(), pytest.param(NOBODY, marks=as_root)])
@pytest.mark.parametrize("variables", [{}, {"HOME": "/"}, {"HOME": "/proc"}, {"HOME": "/nowhere/at/all"}])
@pytest.mark.parametrize("arguments", [["backbones", "VGG*"], ["store", "list"]])
def test_small_commands_work_without_a_home(arguments, variables, before, open_folder):
    done = called(arguments, open_folder, variables, before)
    assert done.returncode == 0, done.stderr
    assert list((open_folder / "work").iterdir()) == []


@as_root
def test_an_audit_works_as_nobody_and_says_where_it_keeps_things(open_folder):
    done = called(["audit", "phantom:6", "--set", "data.size=32", "--out", "audit"], open_folder, (), NOBODY)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "KMEDTL_CACHE" in line]
    assert len(told) == 1
    assert str(open_folder / "tmp" / "kmedtl-of-12345") in told[0]
    assert [path.name for path in (open_folder / "work").iterdir()] == ["audit"]
    assert (open_folder / "tmp" / "kmedtl-of-12345" / ".cache" / "kmedtl" / "stores").is_dir()


@as_root
@pytest.mark.slow
def test_a_run_and_its_answers_work_as_nobody(open_folder):
    small = ["data.size=64", "backbone.weights=random", "export.calibration_images=8"]
    settings = [part for setting in small for part in ("--set", setting)]
    stages = ["--set", "stages=[{name: a, train: head, epochs: 1, lr: 1e-3}]"]
    done = called(
        ["run", "pneumonia", "--data", "phantom:24", *settings, *stages, "--out", "run"], open_folder, (), NOBODY
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in (open_folder / "work").iterdir()] == ["run"]
    image = open_folder / "film.png"
    Image.fromarray(np.full((40, 40), 180, np.uint8)).save(image)
    for model in ("run", "run/model_int8.tflite", "run/saved_model"):
        done = called(["predict", model, image], open_folder, (), NOBODY)
        assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in (open_folder / "work").iterdir()] == ["run"]


def test_a_folder_of_somebody_elses_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    home.temporary().symlink_to(other)
    monkeypatch.setenv("HOME", "/dev/null/home")
    assert home.home() is None
    with pytest.raises(UserError, match="set KMEDTL_CACHE"):
        home.below_home(".cache")


def test_a_home_that_is_not_known_is_one_line():
    with pytest.raises(UserError, match=r"~nobody-of-this-name/x.*write the path in full"):
        home.expanded("~nobody-of-this-name/x")
