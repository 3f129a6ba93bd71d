"""`kmedtl-edge predict` through its front door: every kind of input and output, and models that are none."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.cli import main as main_of_kmedtl
from kmedtl.edge.cli import main
from tests.edge.conftest import SIZE


@pytest.fixture
def folder(tmp_path):
    """Three images of the kind that the model knows, one of another kind, one broken, and a text."""
    folder = tmp_path / "films"
    (folder / "deeper").mkdir(parents=True)
    for name, pixels in {
        "a.png": np.full((40, 50), 80),
        "b.tif": np.full((40, 50), 180),
        "deeper/c.png": np.full((9, 9), 128),
        "unlike.png": np.repeat([[0], [255]], [60, 40], axis=0) * np.ones((1, 50)),
    }.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    return folder


def answers(capsys, *arguments):
    """Return exit code, answers and what was said on stderr."""
    code = main(["predict", *map(str, arguments), "--format", "jsonl"])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_folder_is_answered_image_by_image(model, folder, capsys):
    code, found, said = answers(capsys, model, folder)
    by_name = {answer["image"]: answer for answer in found}
    assert list(by_name) == [
        str(folder / name) for name in ("a.png", "b.tif", "broken.png", "deeper/c.png", "unlike.png")
    ]
    assert by_name[str(folder / "a.png")]["probabilities"] == {"BRIGHT": pytest.approx(_probability(80), abs=1e-6)}
    assert [answer["decision"] for answer in found] == ["DARK", "BRIGHT", None, "BRIGHT", "DARK"]
    assert by_name[str(folder / "broken.png")]["error"] == "the file is empty (0 bytes)"
    assert code == 2
    assert "1 files that are no images are left out" in said
    assert "nothing about patients" in said
    assert all(answer["synthetic"] for answer in found)


def test_many_images_are_answered_in_order_as_each_by_itself(model, folder, capsys):
    paths = []
    for level in range(40):
        paths.append(folder / f"{39 - level:02d}.png")
        Image.fromarray(np.full((20, 20), 6 * level, np.uint8)).save(paths[-1])
    paths.insert(17, folder / "broken.png")
    _, found, _ = answers(capsys, model, *paths)
    assert [answer["image"] for answer in found] == list(map(str, paths))
    assert found.pop(17)["error"]
    alone = [answers(capsys, model, path)[1][0] for path in (paths[0], paths[20], paths[40])]
    told = ("image", "probabilities", "decision", "unlike_training", "out_of_distribution")
    for one, other in zip((found[0], found[19], found[39]), alone, strict=True):
        assert {name: one[name] for name in told} == {name: other[name] for name in told}


def test_an_image_of_another_kind_is_answered_and_marked(model, folder, capsys):
    code, found, _ = answers(capsys, model, folder / "a.png", folder / "unlike.png")
    assert [answer["out_of_distribution"] for answer in found] == [False, True]
    assert found[1]["unlike_training"] > found[0]["unlike_training"]
    assert found[1]["decision"] == "DARK"
    assert code == 0
    assert main(["predict", str(model), str(folder / "unlike.png")]) == 0
    assert "DARK  (UNLIKE THE TRAINING IMAGES" in capsys.readouterr().out


def test_stdin_is_an_image_or_a_list(model, folder):
    def piped(arguments, given):
        command = [sys.executable, "-m", "kmedtl.edge", "predict", model, *arguments, "--format", "csv"]
        done = subprocess.run(command, input=given, capture_output=True, check=True)
        return [row["image"] for row in csv.DictReader(io.StringIO(done.stdout.decode()))], done.stdout

    bright = folder / "b.tif"
    names, text = piped([folder / "a.png", "-"], bright.read_bytes())
    assert names == [str(folder / "a.png"), "-"]
    assert b"BRIGHT" in text.splitlines()[2]
    names, _ = piped(["--files-from", "-"], f"{bright}\n{folder / 'deeper'}\n".encode())
    assert names == [str(bright), str(folder / "deeper" / "c.png")]


def test_a_model_without_metadata_answers_with_raw_outputs(bare_model, folder, capsys):
    code, found, said = answers(capsys, bare_model, folder / "b.tif")
    assert found[0]["outputs"] == [pytest.approx(8 * (180 / 255 - 0.5), abs=1e-4)]
    assert "probabilities" not in found[0]
    assert "raw outputs" in said
    assert code == 0
    for style in ("table", "csv", "json"):
        assert main(["predict", str(bare_model), str(folder / "b.tif"), "--format", style]) == 0
        assert "1.64" in capsys.readouterr().out


def test_kmedtl_predict_answers_the_same(model, folder, capsys):
    image = str(folder / "b.tif")
    assert main(["predict", str(model), image, "--format", "json"]) == 0
    ours = capsys.readouterr().out
    assert main_of_kmedtl(["predict", str(model), image, "--format", "json"]) == 0
    assert capsys.readouterr().out == ours


@pytest.mark.parametrize("program", [main, main_of_kmedtl])
def test_answers_go_to_a_file_and_what_was_written_is_said(program, model, folder, tmp_path, capsys):
    out, why = tmp_path / "answers.csv", tmp_path / "why"
    arguments = ["predict", str(model), str(folder / "a.png"), "--format", "csv"]
    assert program(arguments) == 0
    printed = capsys.readouterr().out
    assert program([*arguments, "--out", str(out), "--explain", str(why)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Answers: {out}\nHeat maps: 1 in {why}\n" in captured.err
    assert out.read_text() == printed
    assert program([*arguments, "--out", str(out)]) == 2
    assert f"{out}: exists already; choose another --out" in capsys.readouterr().err
    assert program([*arguments, "--out", str(tmp_path / "no" / "answers.csv")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_explanations_are_pictures_in_the_files_own_aspect(model, folder, tmp_path, capsys):
    code, found, _ = answers(capsys, model, folder / "b.tif", "--explain", tmp_path / "why")
    with Image.open(found[0]["explanation"]) as picture:
        assert (picture.size, picture.mode) == ((512, 410), "RGB")
    assert code == 0


def test_explanations_never_overwrite_what_a_folder_holds(model, folder, tmp_path, capsys):
    wanted = ["--explain", tmp_path / "why"]
    _, (first,), _ = answers(capsys, model, folder / "b.tif", *wanted)
    before = (tmp_path / "why" / "0001_b.png").read_bytes()
    (folder / "other").mkdir()
    Image.fromarray(np.full((20, 90), 10, np.uint8)).save(folder / "other" / "b.tif")
    _, (again,), _ = answers(capsys, model, folder / "other" / "b.tif", *wanted)
    assert (first["explanation"], again["explanation"]) == tuple(
        str(tmp_path / "why" / name) for name in ("0001_b.png", "0002_b.png")
    )
    assert (tmp_path / "why" / "0001_b.png").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": 48}, ["model.tflite", "(48, 48, 1)", f"({SIZE}, {SIZE}, 1)", "export it again"]),
        ({"channels": 3}, [f"({SIZE}, {SIZE}, 3)", f"({SIZE}, {SIZE}, 1)"]),
        ({"version": 99}, ["model.tflite", "version 99", "use the kmedtl that wrote it"]),
    ],
)
def test_metadata_that_do_not_fit_are_refused_in_one_line(make_model, info, changed, words, capsys):
    model = make_model(replace(info, **changed))
    _refused(["predict", str(model), "image.png"], words, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense.tflite", "a.png"], ["nonsense.tflite", "not a TFLite model"]),
        (["gone.tflite", "a.png"], ["gone.tflite", "expected a .tflite file"]),
        (["run_folder", "a.png"], ["run_folder", "expected a .tflite file"]),
        (["MODEL"], ["images", "Received: none"]),
        (["MODEL", "empty"], ["empty", "expected a folder with images", "an empty folder"]),
        (["MODEL", "--files-from", "gone.txt"], ["gone.txt", "a name a line"]),
        (["MODEL", "-", "--files-from", "-"], ["stdin", "one image or one list"]),
        (["MODEL", "a.png", "--explain", "nonsense.tflite"], ["nonsense.tflite", "expected a folder"]),
        (["BARE", "a.png", "--dicom-report", "reports"], ["--dicom-report", "metadata"]),
    ],
)
def test_what_a_user_can_mend_is_one_line(model, bare_model, tmp_path, monkeypatch, arguments, words, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nonsense.tflite").write_bytes(b"nonsense" * 99)
    for name in ("empty", "run_folder"):
        (tmp_path / name).mkdir()
    named = {"MODEL": str(model), "BARE": str(bare_model)}
    _refused(["predict", *(named.get(argument, argument) for argument in arguments)], words, capsys)


def _refused(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    for word in words:
        assert word in error


def _probability(level):
    return 1 / (1 + np.exp(-2 * 8 * (level / 255 - 0.5)))
