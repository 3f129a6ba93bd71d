import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data.manifest import from_rows
from kmedtl.edge.predictor import Model, Seen, answer_images
from kmedtl.edge.tasks.regression import VALUE, NumberDecoder
from kmedtl.errors import UserError
from kmedtl.images.decode import Facts
from kmedtl.recipe import Backbone, Data, Evaluation, Export, Recipe, Regression, Stage, Training
from kmedtl.runner import run
from kmedtl.tasks import TASKS
from kmedtl.tasks.regression.row import ask, select
from tests.models import info_of

ROW = TASKS["regression"]
AGES = [30, 40.5, "50", " 60 ", 70, 80]


def manifest(ages=AGES):
    rows = [
        {
            "id": f"{number}.png",
            "path": f"/{number}.png",
            "patient": f"p{number}",
            "label": "AB"[number % 2],
            "age": age,
        }
        for number, age in enumerate(ages)
    ]
    return from_rows(rows, (), "films.csv")


def refused(action):
    with pytest.raises(UserError) as error:
        action()
    line = str(error.value)
    assert "\n" not in line
    return line


def test_the_question_has_the_scale_of_the_numbers():
    question, listed = ask(Regression("age", "years"), Data(), manifest())
    numbers = np.array([30, 40.5, 50, 60, 70, 80])
    assert (question.target, question.unit) == ("age", "years")
    assert (question.offset, question.scale) == pytest.approx((numbers.mean(), numbers.std()))
    targets = ROW.targets(question, Data(), listed, listed.table).of(listed.table)[VALUE]
    assert targets[:, 0] * question.scale + question.offset == pytest.approx(numbers, rel=1e-6)
    assert listed.classes == ()
    assert list(listed.table["stratum"]) == sorted(listed.table["stratum"])


@pytest.mark.parametrize("blank", ["", " ", "nan", "NaN", "None", "NA", "n/a", "unknown", None, float("nan")])
def test_images_without_a_number_are_left_out_and_counted(blank):
    _, listed = ask(Regression("age"), Data(), manifest([*AGES, blank, blank]))
    assert list(listed.table["id"]) == [f"{number}.png" for number in range(len(AGES))]
    assert listed.unlabelled == 2


@pytest.mark.parametrize(
    ("target", "ages", "words"),
    [
        ("agee", AGES, ["films.csv has no column 'agee'", "Did you mean 'age'?"]),
        ("age", [*AGES, "old"], ["6.png", "expected a number in 'age'", "'old'"]),
        ("age", [*AGES, "030Y"], ["6.png", "'030Y'"]),
        ("age", [*AGES, "inf"], ["6.png", "'inf'"]),
        ("age", [*AGES, "1,5"], ["6.png", "'1,5'"]),
        ("age", [50] * 6, ["'age'", "two different numbers", "1"]),
        ("age", [""] * 6, ["'age'", "two different numbers", "0"]),
        ("patient", AGES, ["expected a number in 'patient'", "'p0'"]),
    ],
)
def test_a_target_that_cannot_be_asked_for_is_refused(target, ages, words):
    line = refused(lambda: ask(Regression(target), Data(), manifest(ages)))
    assert line.startswith("task.target: ")
    for word in words:
        assert word in line


def test_only_r2_chooses_the_epoch():
    question, listed = ask(Regression("age"), Data(), manifest())
    targets = ROW.targets(question, Data(), listed, listed.table).of(listed.table)
    assert select(question, Training(), targets, targets) == 1
    line = refused(lambda: select(question, Training(select="sensitivity"), targets, targets))
    assert line.startswith("training.select: expected headline or worst_shift")


def test_the_scanner_tells_number_interval_and_unit():
    decoder = NumberDecoder("age", "years", 12.0, 60.0, 8.5, 0.9)
    info = info_of(decoder)
    model = Model(lambda images: {VALUE: np.array([[0.5]], np.float32)}, info.reading, info)
    answer = answer_images(model, [Seen("film", Facts(32, 32), np.zeros((32, 32, 1), np.uint8))])[0].prediction.answer
    assert answer.document() == {"target": "age", "value": 66.0, "low": 57.5, "high": 74.5, "unit": "years"}
    assert answer.decision == "66 years"
    assert [one.unit for one in answer.measurements()] == ["years"] * 3
    assert ROW.edge.header(decoder) == ["age [years]", "LOW", "HIGH (90% interval)"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, number) for name in ("scale", "offset", "half_width", "coverage") for number in (np.nan, np.inf)),
        *(("scale", 0.0), ("scale", -1.0), ("half_width", -1.0), ("coverage", 0.0), ("coverage", 1.0), ("target", "")),
    ],
)
def test_a_decoder_that_cannot_be_is_refused(name, value):
    sound = NumberDecoder("age", "years", 12.0, 60.0, 8.5, 0.9)
    assert name in refused(lambda: replace(sound, **{name: value}))


@pytest.fixture(scope="module")
def brightness(tmp_path_factory):
    """A table of images with their brightness, of which two are not known."""
    root = tmp_path_factory.mktemp("brightness")
    random, rows = np.random.default_rng(0), []
    for number in range(60):
        level = int(random.integers(20, 200))
        Image.fromarray(random.integers(level, level + 40, (40, 40), dtype=np.uint8)).save(root / f"{number}.png")
        rows.append({"path": root / f"{number}.png", "patient": f"p{number:02}", "level": level})
    table = pd.DataFrame(rows).astype({"level": object})
    table.loc[:1, "level"] = ""
    table.to_csv(root / "levels.csv", index=False)
    return root / "levels.csv"


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_either_loss_learns_and_the_scanner_knows_the_unit(loss, brightness, tmp_path, capsys):
    recipe = Recipe(
        "levels",
        (Stage("head", "head", 40, 5e-2, batch_norm="adapt"),),
        task=Regression("level", "HU", loss, 0.5),
        data=Data(str(brightness), size=32, channels=1, batch_size=16, augment="none", keep_ids=True),
        backbone=Backbone("Tiny", "random"),
        evaluation=Evaluation(cases=1),
        export=Export(("float32",)),
    )
    result, folder = run(recipe, tmp_path / "run", log=lambda text: None)
    assert result.audit.unlabelled == 2
    assert result.audit.used == 58
    assert result.trained.history[-1].row()["loss"] < result.trained.history[0].row()["loss"] / 2
    assert result.evaluation.estimates["r2"].value > 0.5
    first = result.test.iloc[0]
    path = result.manifest.table.set_index("id")["path"][first["id"]]
    capsys.readouterr()
    assert main(["predict", str(folder / "model_float32.tflite"), str(path), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["target"], found["unit"]) == ("level", "HU")
    told = [found[name] for name in ("value", "low", "high")]
    assert told == pytest.approx(list(first[["prediction", "low", "high"]]), abs=0.01)
