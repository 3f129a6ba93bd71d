"""A full disk is told as such, with the folder, whichever writer meets it."""

from __future__ import annotations

import os
import subprocess

import keras
import numpy as np
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.errors import UserError
from kmedtl.finetune.frozen_prefix import Activations
from kmedtl.system.disk import reserve


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def films(tmp_path):
    for label in ("A", "B"):
        (tmp_path / "films" / label).mkdir(parents=True)
        for number in range(12):
            noise = np.random.default_rng(number).integers(0, 256, (300, 300), np.uint8)
            Image.fromarray(noise).save(tmp_path / "films" / label / f"{number}.png")
    return tmp_path / "films"


def _refused(arguments, folder, capsys):
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {folder}")
    assert "no space left on the disk" in error


def test_the_store(small_disk, films, monkeypatch, capsys):
    monkeypatch.setenv("KMEDTL_CACHE", str(small_disk))
    _refused(["audit", films, "--set", "data.size=512", "--out", films.parent / "out"], small_disk, capsys)
    assert list((small_disk / "stores").iterdir()) == []


@pytest.mark.slow
def test_a_phantom(small_disk, monkeypatch, capsys):
    monkeypatch.setenv("KMEDTL_CACHE", str(small_disk))
    _refused(["audit", "phantom:60", "--out", "out"], small_disk, capsys)


def test_the_folder_of_results(small_disk, films, capsys):
    (small_disk / "filler").write_bytes(b"x" * 1_990_000)
    _refused(["audit", films, "--set", "data.size=64", "--out", small_disk / "out"], small_disk / "out", capsys)


def test_activations(small_disk, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    image = keras.Input((64, 64, 3))
    prefix = keras.Model(image, keras.layers.Activation("relu")(image))
    with pytest.raises(UserError, match=rf"{small_disk}.*no space left on the disk"):
        Activations(prefix, {"logits": np.zeros((1000, 1))}, 1, "float32")


def test_a_system_that_cannot_reserve_writes(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with (tmp_path / "file").open("wb") as file:
        reserve(file, 3_000_001)
    assert (tmp_path / "file").stat().st_size == 3_000_001
