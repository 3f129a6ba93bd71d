"""The scripts that measure what the pages quote still run with this package."""

import ast
import importlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))
ASK = """
import runpy, sys
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print("END", script.rsplit("/", 1)[-1], end.code, flush=True)
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_imports_is_there(name):
    assert missing_names(FOLDER / name) == []


def test_the_page_says_of_every_script_what_it_shows():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {row.split(".py")[0].strip("| `") for row in page.splitlines() if row.startswith("| `")} == {
        name.removesuffix(".py") for name in SCRIPTS
    }
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not (FOLDER / link).exists()] == []


def test_a_name_that_is_gone_is_noticed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def work():\n    from kmedtl.data import splits, gone\n    from kmedtl.lost import found\n")
    assert missing_names(script) == ["kmedtl.data.gone", "kmedtl.lost.found"]


@pytest.mark.slow
def test_every_script_explains_its_options():
    """All in one process, as most of them load TensorFlow first."""
    done = python("-c", ASK, *(FOLDER / name for name in SCRIPTS))
    ended = [line.split() for line in done.stdout.splitlines() if line.startswith("END ")]
    assert ended == [["END", name, "0"] for name in SCRIPTS], done.stderr
    assert done.stdout.count("usage: ") == len(SCRIPTS)


@pytest.mark.slow
def test_all_sets_a_figure_beside_the_last_one(tmp_path):
    told = [output_of("all.py", "--quick", "--only", "near copies", "--out", tmp_path) for _ in range(2)]
    rows = [next(line for line in text.splitlines() if line.startswith("near copies")) for text in told]
    assert [re.findall(r"(?<= )100(?= |$)|–", row) for row in rows] == [["100", "–"], ["100", "100"]]
    assert len((tmp_path / "figures.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert "mirrored" in (tmp_path / "near copies.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_near_duplicates_are_counted(image_folder):
    printed = output_of("near_duplicates.py", image_folder, "--copies", "4")
    assert "24 images; fingerprints" in printed
    assert "mirrored                        100.0% of 4" in printed


@pytest.mark.slow
def test_options_against_shift_are_measured():
    stage = "stages=[{name: head, train: head, epochs: 1, lr: 3e-3}]"
    printed = output_of("robustness.py", "--scanner", "--patients", "60", "--size", "32", "--set", stage)
    assert "| option | AUC on A | AUC on B | lost |" in printed
    assert "| default | 0." in printed


@pytest.mark.slow
def test_options_are_measured_on_the_scanner_that_training_did_not_see(tmp_path):
    """All but one training were done before, and what was found then is made up."""
    left_out, stage = tmp_path / "left_out.csv", "stages=[{name: a, train: 'last:1', epochs: 1, lr: 1e-3, views: 1}]"
    same = "32,1000,pneumonia,phantom:40,site"
    found = [f"default,{place},{seed},{same},.9,.8" for place in "AB" for seed in (7, 8)]
    found += [f"adapt,{place},{seed},{same},.91,{gained}" for place in "AB" for seed, gained in ((7, 0.85), (8, 0.852))]
    found += [f"fourier,{place},{seed},{same},.9,.8" for place, seed in (("A", 7), ("A", 8), ("B", 7))]
    named = "option,left_out,seed,size,images,recipe,source,domain,val_auc,test_auc"
    left_out.write_text("\n".join([named, *found, ""]))
    tiny = [word for setting in ("backbone={name: Tiny, weights: random}", stage) for word in ("--set", setting)]
    asked = ["--patients", "40", "--size", "32", "--seeds", "2", "--only", "default", "adapt", "fourier", "adversarial"]
    printed = output_of("robustness.py", "--leave-scanner-out", *asked, *tiny, "--out", left_out)
    assert "adversarial without A is left out: stage a: domains: expected training images of two domains" in printed
    assert "| default | 2 | 2 | 0.9000 ± 0.0000 | 0.8000 ± 0.0000 |  |  |" in printed
    assert "| adapt | 2 | 2 | 0.9100 ± 0.0000 | 0.8510 ± 0.0127 | 0.0510 ± 0.0127 | helps |" in printed
    assert "| fourier | 2 | 2 | " in printed
    *_, last = left_out.read_text().split()
    assert last.startswith(f"fourier,B,8,{same},")


@pytest.mark.slow
def test_a_first_run_is_timed():
    settings = ["data.size=48", "stages=[{name: head, train: head, epochs: 1, lr: 3e-3}]", "export.formats=[float32]"]
    words = [word for setting in settings for word in ("--set", setting)]
    printed = output_of("first_light.py", "--data", "phantom:40", *words)
    assert "synthetic: True\ntest AUC 0." in printed
    assert "model_float32.tflite: AUC lost " in printed


def missing_names(script):
    """Return what a script imports from kmedtl, wherever in it, that kmedtl does not have."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "kmedtl"]
    return [
        f"{node.module}.{alias.name}" for node in imports for alias in node.names if not has(node.module, alias.name)
    ]


def has(module, name):
    try:
        return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError:
        return False


def output_of(name, *words):
    """Return what a script prints; it must end well."""
    done = python(FOLDER / name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(*words):
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent)}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
