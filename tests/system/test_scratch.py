"""What a killed process left in the temporary folder is removed by the next, and what a living one uses is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from kmedtl.cli import main
from kmedtl.system.scratch import Scratch, remove_abandoned

HOLD = (
    "import sys, time; from kmedtl.system.scratch import Scratch; scratch = Scratch('activations');"
    "(scratch.path / '0').write_bytes(b'x' * 5000); print(scratch.path, flush=True); time.sleep(60)"
)


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A process that uses a folder of its own, and the name of that."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))  # what the command clears
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process, tmp_path / process.stdout.readline().strip()
        process.kill()


def _by_a_run():
    Scratch("activations")


def _by_the_command():
    assert main(["store", "clear"]) == 0


@pytest.mark.parametrize("again", [_by_a_run, _by_the_command])
def test_only_the_folder_of_a_process_that_is_no_more_is_removed(other, again):
    process, folder = other
    again()
    assert (folder / "0").is_file()
    process.kill()
    process.wait()
    again()
    assert not folder.exists()


def test_a_folder_goes_with_its_object(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))  # what the command clears
    scratch = Scratch("features")
    assert [path.name for path in tmp_path.iterdir()] == [scratch.path.name]
    assert remove_abandoned() == 0
    del scratch
    assert list(tmp_path.iterdir()) == []


def test_one_that_says_nothing_of_its_process_is_left_for_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))  # what the command clears
    folder = tmp_path / "kmedtl-activations-older"
    folder.mkdir()
    remove_abandoned()
    assert folder.is_dir()
    os.utime(folder, (time.time() - 90_000,) * 2)
    remove_abandoned()
    assert not folder.exists()
