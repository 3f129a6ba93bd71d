"""`import kmedtl`: the names that programs may use."""

from __future__ import annotations

import ast
import configparser
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kmedtl
from kmedtl.cli import main
from kmedtl.errors import UserError
from kmedtl.recipes.pneumonia import RECIPE


def test_importing_it_imports_nothing_heavy():
    code = (
        "import kmedtl, sys; print([n for n in ('numpy', 'tensorflow', 'keras', 'pandas', 'yaml') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_name_is_there_and_no_other():
    for name in kmedtl.__all__:
        assert callable(getattr(kmedtl, name)), name
        assert name in dir(kmedtl)
    assert kmedtl.Recipe is type(RECIPE)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        kmedtl.trian  # noqa: B018


def test_type_checkers_see_the_same_names():
    source = Path(kmedtl.__file__)
    assert source.with_name("py.typed").is_file()
    block = next(node for node in ast.parse(source.read_text()).body if isinstance(node, ast.If))
    imported = {alias.asname or alias.name: (node.module, alias.name) for node in block.body for alias in node.names}
    assert imported == {name: kmedtl.PLACES.get(name, ("kmedtl.recipe", name)) for name in kmedtl.__all__}


def test_a_recipe_is_loaded_by_name_or_from_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nschedule: auto\n")
    assert kmedtl.load_recipe("Pneumonia") == RECIPE
    assert kmedtl.load_recipe(tmp_path / "mine.yaml").name == "mine"
    with pytest.raises(UserError, match="type `kmedtl run RECIPE --data"):
        kmedtl.load_recipe(tmp_path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Gray, RGB, RGBA and 16-bit arrays, and the files of the same values."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    arrays = {
        "gray": random.integers(0, 256, (70, 50), np.uint8),
        "one_channel": random.integers(0, 256, (70, 50, 1), np.uint8),
        "rgb": random.integers(0, 256, (90, 110, 3), np.uint8),
        "rgba": random.integers(0, 256, (40, 40, 4), np.uint8),
        "deep": random.integers(0, 4096, (80, 80), np.uint16),
        "whole": np.full((64, 64), 130, np.uint8),
    }
    for name, array in arrays.items():
        Image.fromarray(array.squeeze()).save(folder / f"{name}.png")
    return folder, arrays


def test_arrays_are_answered_as_the_files_of_the_same_values(trained, pictures):
    folder, arrays = pictures
    run = kmedtl.open_run(str(trained[1]))
    by_array = run.predict(list(arrays.values()))
    by_file = run.predict([folder / f"{name}.png" for name in arrays])
    assert list(by_array["image"]) == [str(number) for number in range(len(arrays))]
    pd.testing.assert_frame_equal(by_array.drop(columns="image"), by_file.drop(columns="image"))
    assert by_file["probability"].between(0, 1).all()


def test_the_table_is_that_of_the_command(trained, pictures, tmp_path, capsys):
    folder, _ = pictures
    model = trained[1] / "model_float32.tflite"
    (folder / "broken.png").write_bytes(b"")
    assert main(["predict", str(model), str(folder), "--format", "csv"]) == 2
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    found = kmedtl.predict(model, folder)
    printed = printed.astype({"out_of_distribution": "boolean"})
    pd.testing.assert_frame_equal(found, printed, check_dtype=False)
    assert found.set_index("image").loc[str(folder / "broken.png"), "error"] == "the file is empty (0 bytes)"


def test_a_batch_is_a_row_each_and_what_is_no_image_says_so(trained):
    model = str(trained[1] / "model_int8.tflite")
    assert len(kmedtl.predict(model, np.zeros((3, 64, 64, 1), np.uint8))) == 3
    assert len(kmedtl.predict(model, np.zeros((64, 64), np.uint8))) == 1
    odd = kmedtl.predict(
        model, [np.zeros((64, 64, 2), np.uint8), np.zeros((8, 8), complex), np.zeros((0, 4), np.uint8)]
    )
    assert "uint8 (64, 64, 2)" in odd["error"][0]
    assert "complex128" in odd["error"][1]
    assert odd["error"].notna().all()
    assert odd["probability"].isna().all()
    with pytest.raises(UserError, match="paths alone, or arrays alone"):
        kmedtl.predict(model, ["a.png", np.zeros((8, 8), np.uint8)])


@pytest.mark.slow
def test_the_page_on_python_is_true(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
    for name in kmedtl.__all__:
        assert f"`{name}" in page
    Image.new("L", (90, 90), 90).save(tmp_path / "film.png")
    monkeypatch.chdir(tmp_path)
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    assert "decision" in capsys.readouterr().out


def test_a_table_and_a_run_are_judged(trained):
    result, folder = trained
    assert kmedtl.evaluate(folder).estimates["auc"] == result.evaluation.estimates["auc"]
    assert kmedtl.evaluate(str(folder / "predictions.csv")).count == result.evaluation.images
    from kmedtl.statistics import confidence

    assert confidence.Estimate  # the room of that name is still there
    with pytest.raises(UserError, match="cannot be read"):
        kmedtl.evaluate("absent.csv")


def test_an_installation_carries_every_template_that_lies_among_the_modules():
    package = Path(kmedtl.__file__).parent
    described = configparser.ConfigParser()
    described.read(package.parent / "setup.cfg")
    patterns = {name: value.split(", ") for name, value in described["options.package_data"].items()}
    for path in package.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".md", ".css", ".js"):
            folder = ".".join(path.parent.relative_to(package.parent).parts)
            assert f"*{path.suffix}" in patterns.get(folder, ()), path
