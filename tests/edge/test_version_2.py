"""Documents that kmedtl wrote before tasks were rows, version 2: they are read, and answer as they did then.

`version_2/` has one of each kind of question as that kmedtl wrote it, and in `answers.json` what it answered.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmedtl.edge import model_info
from kmedtl.edge.cli import main
from kmedtl.edge.model_info import MEMBER, VERSION
from kmedtl.edge.predictor import Model, Seen, answer_images
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.images.decode import Facts

FOLDER = Path(__file__).parent / "version_2"
KINDS = ("binary", "multi_class", "multi_label")
ANSWERS = json.loads((FOLDER / "answers.json").read_text())


def written(kind):
    return json.loads((FOLDER / f"{kind}.json").read_text())


def read(document, folder):
    (folder / MEMBER).write_text(json.dumps(document))
    return model_info.read(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_what_validation_chose_is_the_decoder_now(kind, tmp_path):
    was, info = written(kind), read(written(kind), tmp_path)
    decoder = info.decoder
    assert was["version"] == 2
    assert info.version == VERSION
    assert (decoder.kind, decoder.labels, list(decoder.classes)) == ("classification", kind, was["classes"])
    assert list(decoder.thresholds) == was["thresholds"]
    calibration = decoder.calibration
    assert (calibration.method, calibration.kind) == (was["calibration"]["method"], kind)
    for name in ("scale", "bias"):
        assert list(getattr(calibration, name)) == was["calibration"][name]
    assert [[list(knot) for knot in knots] for knots in calibration.knots] == was["calibration"]["knots"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_else_stays_as_it_was(kind, tmp_path):
    was, info = written(kind), read(written(kind), tmp_path)
    for name in ("size", "channels", "recipe", "source", "seed", "synthetic", "kmedtl", "pixel_offset", "recipe_hash"):
        assert getattr(info, name) == was[name]
    for name in ("data_hash", "made", "parity", "intended_use"):
        assert getattr(info, name) == was[name]
    assert {name: list(figure) for name, figure in info.metrics.items()} == was["metrics"]
    assert (info.window.center, info.window.width) == (was["window"]["center"], was["window"]["width"])
    assert (info.out_of_distribution is None) == (was["out_of_distribution"] is None)


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_the_kmedtl_that_wrote_it(kind, tmp_path):
    info, then = read(written(kind), tmp_path), ANSWERS[kind]
    logits = np.array(then["logits"])
    answers = info.task.decode({LOGITS: logits}, info.decoder)
    assert [answer.decision for answer in answers] == then["decisions"]
    for answer, row, expected in zip(answers, logits, then["probabilities"], strict=True):
        assert answer.probabilities == pytest.approx(expected, abs=1e-15)
        (seen,) = answer_images(model_of(info, row), [Seen("film", Facts(64, 64), np.zeros((64, 64, 1), np.uint8))])
        assert seen.prediction.answer == answer


def model_of(info, logits):
    return Model(lambda images: {LOGITS: logits[None]}, info.reading, info)


def test_it_tells_images_of_another_kind_as_it_did(tmp_path):
    known, then = read(written("binary"), tmp_path).out_of_distribution, ANSWERS["binary"]
    found = known.score(np.array(then["features"], np.float32))
    assert found == pytest.approx(then["unlike_training"], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_written_again_it_is_of_this_version_and_reads_the_same(kind, tmp_path):
    info = read(written(kind), tmp_path)
    model_info.attach(info, tmp_path)
    assert json.loads((tmp_path / MEMBER).read_text())["version"] == VERSION
    assert model_info.read(tmp_path) == info


def test_a_model_file_of_version_2_predicts(bare_model, tmp_path, capsys):
    was = written("binary") | {"size": 32, "out_of_distribution": None}
    model, image = tmp_path / "model.tflite", tmp_path / "film.png"
    model.write_bytes(bare_model.read_bytes())
    _append(model, was)
    Image.fromarray(np.full((40, 40), 180, np.uint8)).save(image)
    assert main(["predict", str(model), str(image), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    scale = was["calibration"]["scale"][0]
    assert found["probabilities"]["PNEUMONIA"] == pytest.approx(_sigmoid(8 * (180 / 255 - 0.5) * scale), abs=1e-6)
    assert found["decision"] == "PNEUMONIA"


def _append(model, document):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr(MEMBER, json.dumps(document))


def _sigmoid(margin):
    return 1 / (1 + np.exp(-margin))


@pytest.mark.parametrize("version", [1, 4, 99])
def test_a_version_that_is_not_known_is_refused_with_what_to_do(version, tmp_path):
    line = refused(written("binary") | {"version": version}, tmp_path)
    assert f"version {version}, this kmedtl reads 2 and {VERSION}" in line
    assert "use the kmedtl that wrote it, or export the model again" in line


@pytest.mark.parametrize("name", ["classes", "kind", "calibration", "thresholds", "window", "size"])
def test_a_field_that_is_missing_is_named(name, tmp_path):
    document = written("multi_label")
    del document[name]
    line = refused(document, tmp_path)
    assert f"damaged ({name}" in line
    assert "export the model again" in line


DAMAGED = [
    ("classes", []),
    ("classes", ["A", "A", "B"]),
    ("classes", None),
    ("kind", "ordinal"),
    ("kind", "binary"),  # of three classes
    ("kind", ["multi_label"]),
    ("calibration", None),
    ("calibration", {"method": "none"}),
    ("thresholds", [0.5]),
    ("thresholds", [0.5, 0.5, float("nan")]),
    ("thresholds", [0.5, 0.5, 2.0]),
    ("size", 0),
    ("window", []),
]


@pytest.mark.parametrize(("name", "value"), DAMAGED)
def test_a_damaged_one_is_refused_in_one_line(name, value, tmp_path):
    assert f"its {MEMBER} is damaged (" in refused(written("multi_label") | {name: value}, tmp_path)


def refused(document, folder):
    with pytest.raises(UserError) as error:
        read(document, folder)
    line = str(error.value)
    assert line.startswith(f"{folder}: ")
    assert "\n" not in line
    return line
