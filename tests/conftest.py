"""Shared by all tests: one small cache, one trained run, and the real images where they are."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # pytest has a process a core already
os.environ["KMEDTL_SALT"] = "of the tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files in which something takes long, so that no process is left at it when others have done."""
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep the user's own cache out of the tests, and the tests' out of the user's."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("KMEDTL_CACHE")
    os.environ["KMEDTL_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["KMEDTL_CACHE"]
    else:
        os.environ["KMEDTL_CACHE"] = before


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real images, in KMEDTL_REAL_DATA or beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KMEDTL_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}")
    return folder


@pytest.fixture(scope="session")
def small_recipe():
    """The pneumonia recipe, small enough to train in seconds: on the network of 54,320 weights."""
    from kmedtl.recipe import Backbone, Export
    from kmedtl.recipes.pneumonia import RECIPE

    return replace(
        RECIPE,
        data=replace(RECIPE.data, source="phantom:40", size=64, batch_size=16),
        backbone=Backbone("Tiny", "random"),
        stages=(
            replace(RECIPE.stages[0], epochs=2),
            replace(RECIPE.stages[1], train="last:1", epochs=1),
        ),
        export=Export(calibration_images=16),
    )


@pytest.fixture(scope="session")
def trained(small_recipe, tmp_path_factory):
    """A finished run: (Result, run folder), a copy for each of pytest's processes."""
    from kmedtl.runner import run

    def make(folder):
        result, _ = run(small_recipe, folder / "run", log=lambda text: None)
        (folder / "result.pickle").write_bytes(pickle.dumps(result))

    made = made_for_all(tmp_path_factory, "trained", make)
    copy = shutil.copytree(made / "run", tmp_path_factory.mktemp("runs") / "trained")
    return pickle.loads((made / "result.pickle").read_bytes()), copy  # noqa: S301 – of this very session


def made_for_all(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that whichever of pytest's processes needs it first makes, for all of them."""
    from kmedtl.files.cache import made_once

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `made_once` alone would let each process make it
        return made_once(shared / name, make)


@pytest.fixture
def image_folder(tmp_path) -> Path:
    """NORMAL/ and PNEUMONIA/ with six patients each, two images a patient; bright images are PNEUMONIA."""
    return write_image_folder(tmp_path / "images")


def write_image_folder(root: Path, patients: int = 6, suffix: str = ".png") -> Path:
    random = np.random.default_rng(0)
    for label, base in (("NORMAL", 60), ("PNEUMONIA", 160)):
        (root / label).mkdir(parents=True)
        for patient in range(patients):
            for view in range(2):
                pixels = random.integers(base, base + 60, (48, 40), dtype=np.uint8)
                Image.fromarray(pixels).save(root / label / f"{label}-p{patient}-{view}{suffix}")
    return root


def of_other_people(source, seed):
    """Return a manifest of synthetic films whose patients are none of any other phantom's."""
    from kmedtl.data.phantom.source import phantom_manifest

    manifest = phantom_manifest(source, (), seed)
    return replace(manifest, table=manifest.table.assign(patient="B-" + manifest.table["patient"]))
