import json
from dataclasses import asdict, replace

import keras
import numpy as np
import pandas as pd
import pytest

from kmedtl.config import override
from kmedtl.data import splits
from kmedtl.data.pipeline import pipelines
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.edge import model_info
from kmedtl.edge.tasks.classification.calibration import Calibration, sigmoid
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.ensemble.teacher import check_teacher, with_teacher_targets
from kmedtl.errors import UserError
from kmedtl.files.json_files import write_json
from kmedtl.recipe import Training
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runner import run
from kmedtl.runs.prepare import prepare
from kmedtl.tasks.classification.question import ClassQuestion
from tests.models import labels_of

SCALE = 0.02  # of a pixel's brightness in the teacher's logit


@pytest.fixture
def student(image_folder):
    """A recipe of 64 px, and the pipelines of its splits."""
    source = [f"data.source={image_folder}", "data.patient_pattern=(.*-p[0-9]+)"]
    recipe = override(RECIPE, [*source, "data.size=64", "data.batch_size=5"])
    found = prepare(recipe.data, recipe.seed)
    table = splits.split(found.manifest, found.table, 0.2, 0.2, recipe.seed)
    return recipe, pipelines(found.store, table, recipe.data.batch_size, labels_of(found.manifest))


@pytest.fixture
def teacher(write_run):
    """Write a run whose model answers with the mean brightness, at any size."""

    def written(name, size=64, calibration=None, shift=0.0, classes=("NORMAL", "PNEUMONIA")):
        folder = write_run(name, classes=classes)
        inputs = keras.Input((size, size, 3))
        outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(inputs))
        model = keras.Model(inputs, {LOGITS: outputs})
        model.set_weights([np.full((3, 1), SCALE / 3, np.float32), np.full(1, shift - 128 * SCALE, np.float32)])
        model.save(folder / "model.keras")
        info = model_info.read(folder)
        decoder = replace(info.decoder, calibration=calibration or info.decoder.calibration)
        model_info.attach(replace(info, size=size, decoder=decoder), folder)
        return folder

    return written


def margins(part):
    return SCALE * (part.pixels().mean(axis=(1, 2, 3)) - 128)


def soft(recipe, folder, data):
    """Return the teacher's part of the targets, having seen that the labels stand before it."""
    part = with_teacher_targets(override(recipe, [f"distill={folder}"]), data, lambda text: None)
    targets = part.targets[LOGITS]
    assert np.array_equal(targets[:, :1], data["train"].targets[LOGITS])
    assert targets.dtype == np.float32
    return targets[:, 1]


def test_a_teachers_calibrated_answers_are_softened_by_the_temperature(student, teacher):
    recipe, data = student
    folder = teacher("run", calibration=Calibration("temperature", "binary", (0.5,), (0.0,)))
    expected = sigmoid(0.5 * margins(data["train"]) / recipe.training.soft_temperature)
    assert soft(recipe, folder, data) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_teacher_of_another_size_reads_the_files_again(student, teacher):
    recipe, data = student
    large, same = (soft(recipe, teacher(f"run{size}", size), data) for size in (96, 64))
    assert large == pytest.approx(same, abs=0.01)  # the same brightness, resampled
    assert len(np.unique(same.round(3))) > 5  # images apart, so that a wrong order would show


@pytest.mark.slow
@pytest.mark.parametrize(("method", "weights"), [("mean", (0.5, 0.5)), ("weighted", (0.9, 0.1)), ("stack", (1.0, 2.0))])
def test_an_ensemble_teaches_what_its_members_say_together(student, teacher, tmp_path, method, weights):
    recipe, data = student
    members = [teacher("a", shift=1.0), teacher("b", 96, shift=-0.5)]
    votes = tmp_path / "votes"
    votes.mkdir()
    model_info.attach(model_info.read(members[0]), votes)
    document = {"method": method, "weights": weights, "members": list(map(str, members))}
    write_json(votes / "ensemble.json", document)
    for name in ("manifest.csv", "recipe.yaml"):
        (votes / name).write_bytes((members[0] / name).read_bytes())
    each = np.stack([margins(data["train"]) + 1.0, margins(data["train"]) - 0.5])
    if method == "stack":
        together = np.array(weights) @ each
    else:
        share = np.array(weights) @ sigmoid(each)
        together = np.log(share / (1 - share))
    assert soft(recipe, votes, data) == pytest.approx(sigmoid(together / 2), abs=0.01)


def test_a_teacher_that_knows_patients_of_the_test_is_refused(student, teacher):
    recipe, data = student
    folder = teacher("run")
    known = sorted(data["test"].table["patient"].unique())[:2]
    pd.DataFrame({"patient": known, "split": "train"}).to_csv(folder / "manifest.csv", index=False)
    told = rf"run: was trained on 2 patients .* the run that it shall teach, first: {min(map(pseudonym, known))};"
    with pytest.raises(UserError, match=told):
        soft(recipe, folder, data)


def test_so_is_one_whose_own_teacher_knew_them(student, teacher):
    recipe, data = student
    first, second = teacher("first"), teacher("second")
    (second / "recipe.yaml").write_text(
        (second / "recipe.yaml").read_text().replace("distill: ''", f"distill: {first}")
    )
    known = data["val"].table["patient"].iloc[0]
    pd.DataFrame({"patient": [known], "split": ["train"]}).to_csv(first / "manifest.csv", index=False)
    with pytest.raises(UserError, match=f"second: was trained on 1 patients .*{pseudonym(known)}"):
        soft(recipe, second, data)


def test_no_teacher_there(tmp_path):
    with pytest.raises(UserError, match=r"distill: .*expected a finished run or an ensemble of runs; .*model.keras"):
        check_teacher(override(RECIPE, [f"distill={tmp_path}"]))


def test_a_teacher_of_other_classes(teacher):
    recipe = override(RECIPE, [f"distill={teacher('run', classes=('A', 'B'))}"])
    check_teacher(recipe)
    with pytest.raises(UserError, match=r"expected what is asked of .*NORMAL, PNEUMONIA\. Received: binary; A, B"):
        check_teacher(recipe, ClassQuestion("binary", ("NORMAL", "PNEUMONIA")))


@pytest.mark.parametrize("settings", [{"soft_share": 1.2}, {"soft_temperature": 0.5}])
def test_shares_and_temperatures_that_cannot_be(settings):
    with pytest.raises(UserError, match=f"training.{next(iter(settings))}: expected"):
        Training(**settings)


@pytest.mark.slow
def test_a_student_is_a_run_like_any_other(trained, small_recipe, tmp_path):
    said = []
    recipe = override(small_recipe, [f"distill={trained[1]}", "export.formats=[float32]"])
    _, folder = run(recipe, tmp_path / "student", said.append)
    assert any(line.startswith("Teacher: ") for line in said)
    assert json.loads((folder / "metrics.json").read_text())["synthetic"]
    assert (folder / "model_float32.tflite").is_file()
    assert f"distill: {trained[1]}" in (folder / "recipe.yaml").read_text()
    assert asdict(model_info.read(folder))["decoder"]["classes"] == ("NORMAL", "PNEUMONIA")
