"""The distribution `kmedtl-edge`: what is in its wheel, and that it answers where nothing else is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ("ai-edge-litert", "numpy", "pillow", "pydicom", "tqdm")
STARTS = 12
BARE = "import numpy, PIL.Image"  # what starts before anything of ours does: a measure of how fast the machine is now
NOT_ALONE = (  # the last three need the extra
    "kmedtl.edge.__main__", "kmedtl.edge.dicom_objects", "kmedtl.edge.segmentation_object",
    "kmedtl.edge.structured_report",
)  # fmt: skip
SLOWER = 6  # times as long as that; 0.7 s where it takes 0.12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, since setuptools leaves folders behind."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("edge", "kmedtl"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", copy]
    subprocess.run([*build, copy / "edge"], check=True, capture_output=True)
    return next(copy.glob("kmedtl_edge-*.whl"))


@pytest.fixture(scope="module")
def scanner(wheel, tmp_path_factory):
    """The Python of a fresh environment that has the wheel and what it requires, linked from this one, and no more."""
    folder = tmp_path_factory.mktemp("scanner")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    for name in _closure(REQUIREMENTS):
        for top in {file.parts[0] for file in distribution(name).files if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution(name).locate_file(top))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "bin" / "python"


def _closure(names):
    """Return the names with all that they require, extras and other platforms left out."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            wanted = [line for line in distribution(name).requires or () if ";" not in line]
            todo += [re.match(r"[\w.-]+", line)[0].lower() for line in wanted]
    return found


def run(python, *arguments):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, *map(str, arguments)], capture_output=True, text=True, env=clean, cwd="/", check=False
    )


def test_the_wheel_holds_the_edge_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("kmedtl/")]
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    assert {Path(name).parts[1] for name in names if name.count("/") > 1} == {"edge", "images", "system"}
    assert {Path(name).name for name in names if name.startswith("kmedtl/edge/")} == {
        path.name for path in (ROOT / "kmedtl" / "edge").rglob("*.py")
    }
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line]
    assert sorted(re.match(r"Requires-Dist: ([\w-]+)", line)[1] for line in required) == sorted(REQUIREMENTS)


def test_a_scanner_without_tensorflow_answers(scanner, model, tmp_path):
    assert run(scanner, "-c", "import tensorflow").returncode == 1
    modules = "import pkgutil, kmedtl; print(*(m.name for m in pkgutil.walk_packages(kmedtl.__path__, 'kmedtl.')))"
    for module in run(scanner, "-c", modules).stdout.split():
        if module not in NOT_ALONE:
            done = run(scanner, "-c", f"import {module}")
            assert done.returncode == 0, done.stderr
    image = tmp_path / "film.png"
    Image.fromarray(np.full((40, 40), 180, np.uint8)).save(image)
    done = run(
        scanner, "-m", "kmedtl.edge", "predict", model, image, "--format", "jsonl", "--explain", tmp_path / "why"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["decision"] == "BRIGHT"
    assert Path(answer["explanation"]).is_file()
    done = run(scanner, "-m", "kmedtl.edge", "adapt", model, "--data", image)
    assert "does not say how its validation looked" in done.stderr
    done = run(scanner, "-m", "kmedtl.edge", "predict", model, image, "--dicom-report", tmp_path)
    assert done.stderr.strip().endswith("pip install highdicom")


def test_dicom_is_read_without_the_codecs_and_what_needs_them_says_so(scanner, model, real_data):
    names = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm")
    files = [real_data / "dicom" / name for name in names]
    done = run(scanner, "-m", "kmedtl.edge", "predict", model, *files, "--format", "jsonl")
    plain, rle, jpeg2000 = map(json.loads, done.stdout.splitlines())
    assert plain["error"] is None
    assert rle["error"] is None
    assert "pip install imagecodecs" in jpeg2000["error"]


@pytest.mark.slow
def test_cold_start_and_memory_of_an_int8_lite0(scanner, lite0_int8, tmp_path):
    """The best of several: 0.7 s, or on a slow or busy machine a multiple of what Python takes there.

    Memory is that of the larger of its two processes, one of which decodes; both hold no more than twice as much.
    """
    image = tmp_path / "film.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1024, 1024), np.uint8)).save(image)
    code = (
        "import json, resource as r, subprocess, sys, time; t = time.perf_counter();"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); t = time.perf_counter() - t;"
        "print(json.dumps([t, r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6]))"
    )
    command = (scanner, "-m", "kmedtl.edge", "predict", lite0_int8, image)
    done = [json.loads(run(sys.executable, "-c", code, *command).stdout) for _ in range(STARTS)]
    bare = min(json.loads(run(sys.executable, "-c", code, scanner, "-c", BARE).stdout)[0] for _ in range(STARTS))
    fastest, most = min(seconds for seconds, _ in done), max(megabytes for _, megabytes in done)
    print(f"cold start {fastest:.2f} s, of it Python with NumPy and Pillow {bare:.2f} s; {most:.0f} MB a process")
    assert fastest < max(0.7, SLOWER * bare)
    assert 2 * most < 150


@pytest.fixture(scope="module")
def lite0_int8(tmp_path_factory):
    """EfficientNet-Lite0 at 224 px with the weights it comes with; without metadata."""
    from dataclasses import replace

    from kmedtl.export.formats import write_all
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.runs.train import build
    from kmedtl.tasks.classification.question import ClassQuestion

    network, _ = build(
        replace(RECIPE, data=replace(RECIPE.data, size=224)), ClassQuestion("binary", ("NORMAL", "PNEUMONIA"))
    )
    samples = np.random.default_rng(0).integers(0, 256, (4, 224, 224, RECIPE.data.channels), np.uint8)
    *_, path = write_all(network, tmp_path_factory.mktemp("lite0"), samples, ("int8",))
    return path


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_all_that_is_required_has_wheels_for_aarch64(python, tmp_path):
    download = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--quiet", "-d", tmp_path]
    platform = ["--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_27_aarch64"]
    platform += ["--platform", "manylinux2014_aarch64", "--python-version", python, "--implementation", "cp"]
    done = subprocess.run(
        [*download, *platform, *REQUIREMENTS, "imagecodecs", "highdicom", "nibabel"],
        capture_output=True,
        text=True,
        check=False,
    )
    if re.search("connection|resolve|timed out", done.stderr, re.IGNORECASE) and done.returncode:
        pytest.skip("no package registry")
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*.tar.gz"))
