import shutil

import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.config import override
from kmedtl.recipe import read, write


@pytest.fixture
def run_folder(trained, tmp_path):
    """A copy of the trained run, to write into."""
    return shutil.copytree(trained[1], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "out"), [("", "shift"), ("model_int8.tflite", "shift-model_int8")])
def test_a_run_is_judged_elsewhere(trained, run_folder, capsys, model, out):
    result, _ = trained
    assert main(["shift", str(run_folder / model), "--severities", "3"]) == 0
    text = capsys.readouterr().out
    assert "Worst: " in text
    assert "SYNTHETIC IMAGES" in text
    test = result.evaluation
    assert f"Test set: {test.images} images of {test.patients} patients; severity 3" in text
    assert {path.name for path in (run_folder / out).iterdir()} == {"shift.csv", "shift.html", "plots"}
    table = pd.read_csv(run_folder / out / "shift.csv")
    assert len(table) == 1 + 12
    assert table["synthetic"].all()
    if not model:
        assert table["auc"][0] == pytest.approx(test.estimates["auc"].value)
        assert table["sensitivity"][0] == pytest.approx(test.estimates["sensitivity"].value)


@pytest.mark.slow
def test_few_images_and_another_sources_histogram(run_folder, tmp_path, image_folder, capsys):
    shared = ["shift", str(run_folder / "model_int8.tflite"), "--limit", "6", "--severities", "3"]
    assert main([*shared, "--out", str(tmp_path / "own")]) == 0
    assert main([*shared, "--out", str(tmp_path / "matched"), "--match", str(image_folder)]) == 0
    own, matched = (pd.read_csv(tmp_path / name / "shift.csv").set_index("corruption") for name in ("own", "matched"))
    others = [name for name in own.index if name != "histogram"]
    pd.testing.assert_frame_equal(own.loc[others], matched.loc[others])
    count = int(capsys.readouterr().out.split("Test set: ")[1].split()[0])
    assert count <= 12


def test_what_a_user_can_mend_is_one_line_and_exit_2(run_folder, tmp_path, image_folder, capsys):
    (tmp_path / "folds" / "fold-1").mkdir(parents=True)
    moved = shutil.copytree(run_folder, tmp_path / "moved")
    write(override(read(moved / "recipe.yaml"), [f"data.source={tmp_path / 'gone'}"]), moved / "recipe.yaml")
    other = shutil.copytree(run_folder, tmp_path / "other")
    settings = [f"data.source={image_folder}", "data.patient_pattern=^([A-Z]+-p[0-9]+)"]
    write(override(read(other / "recipe.yaml"), settings), other / "recipe.yaml")
    (run_folder / "shift").mkdir()
    cases = {
        str(tmp_path / "nowhere"): ["nowhere", "no such folder; expected a run folder"],
        str(tmp_path / "folds"): ["several folds", "fold-1"],
        str(run_folder): ["shift", "exists already"],
        str(moved): ["gone", "no such folder"],
        str(other): ["has no longer", "test images", "KMEDTL_SALT"],
    }
    for folder, words in cases.items():
        assert main(["shift", folder, "--severities", "3"]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        for word in words:
            assert word in error
    assert not (moved / "shift").exists()


@pytest.mark.parametrize("text", ["0", "3-1", "2-9", "x", ""])
def test_severities_are_one_to_five(text, capsys):
    assert main(["shift", "run", "--severities", text]) == 2
    assert "expected a severity from 1 to 5" in capsys.readouterr().err
