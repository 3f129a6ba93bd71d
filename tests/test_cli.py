import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from kmedtl.cli import main, parser
from kmedtl.commands.options import configured
from kmedtl.recipes.pneumonia import RECIPE
from tests.conftest import write_image_folder

SMALL = ["--size", "32", "--set", "backbone.weights=random", "--set", "stages.0.epochs=1"]


def kmedtl(*arguments, timeout=120):
    return subprocess.run([sys.executable, "-m", "kmedtl", *arguments], capture_output=True, text=True, timeout=timeout)


def test_help_is_quick_and_imports_nothing_heavy():
    code = "import kmedtl.cli, sys; print(sorted(sys.modules)); kmedtl.cli.main(['--help'])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("tensorflow", "keras", "pandas", "matplotlib", "sklearn", "PIL", "numpy", "yaml", "tqdm"):
        assert f"'{name}'" not in output
    assert "predict" in output


def test_recipes_and_backbones_are_listed(capsys):
    assert main(["recipes"]) == 0
    assert "pneumonia" in capsys.readouterr().out
    assert main(["backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("EfficientNetLite0") and "pip" in line for line in lines)
    assert len(lines) > 35
    assert main(["backbones", "ResNet*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert main(["backbones", "resnet*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert main(["backbones", "ResNet5O"]) == 2
    assert "Did you mean 'ResNet50'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pneumoni"], ["pneumoni", "Did you mean 'pneumonia'?"]),
        (["gone.yaml"], ["gone.yaml", "no such recipe file"]),
        (["pneumonia", "--data", "{tmp}/nothing"], ["nothing", "no such folder"]),
        (["pneumonia", "--data", "{tmp}/empty"], ["empty", "no images in class folders"]),
        (["pneumonia", "--data", "{tmp}/one"], ["one", "only the class 'NORMAL'"]),
        (["pneumonia", "--data", "{tmp}/few", *SMALL], ["class NORMAL", "2 patients", "at least one patient"]),
        (["pneumonia", "--data", "{tmp}/broken", *SMALL], ["unreadable", "data.max_unreadable", "0 bytes"]),
        (["pneumonia", "--backbone", "ResNet51"], ["ResNet51", "Did you mean 'ResNet50'?"]),
        (["pneumonia", "--set", "stages.0.epoch=3"], ["stages.0.epoch", "Did you mean 'epochs'?"]),
        (["pneumonia", "--set", "stages.0.train=blok7"], ["blok7", "Did you mean 'block7'?"]),
        (["pneumonia", "--size", "10"], ["data.size", "32"]),
        (["pneumonia", "--out", "{tmp}/empty"], ["empty", "exists already"]),
        (["pneumonia", "--out", "/proc/nowhere/run"], ["/proc/nowhere/run", "cannot be written"]),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_2(tmp_path, capfd, monkeypatch, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "NORMAL").mkdir(parents=True)
    Image.new("L", (40, 40)).save(tmp_path / "one" / "NORMAL" / "NORMAL-p0-0.png")
    pattern = "^([A-Z]+-p[0-9]+)"
    write_image_folder(tmp_path / "few", patients=2)
    broken = write_image_folder(tmp_path / "broken")
    for file in list((broken / "NORMAL").iterdir())[:4]:
        file.write_bytes(b"")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    if arguments[1:2] == ["--data"]:
        arguments += ["--set", f"data.patient_pattern={pattern}"]
    elif "--set" in arguments or "--backbone" in arguments:
        arguments += ["--data", "phantom:40"]
    assert main(["run", *arguments]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    for word in words:
        assert word in error
    leftovers = [path for path in (tmp_path / "work").rglob("*") if path.is_file() or "unfinished" in path.name]
    assert leftovers == []


@pytest.mark.parametrize("model", ["", "model.keras", "saved_model", "model_float32.tflite"])
def test_predict_answers_the_same_from_every_model(trained, capsys, model):
    result, folder = trained
    row = result.test.iloc[0]
    path = result.manifest.table.set_index("id")["path"][row["id"]]
    assert main(["predict", str(folder / model), path, "--format", "json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)[0]
    assert answer["probabilities"] == {"PNEUMONIA": pytest.approx(row["probability"], abs=1e-4)}
    assert (
        answer["decision"] == result.info.decoder.classes[int(row["probability"] >= result.info.decoder.thresholds[0])]
    )
    assert answer["thresholds"] == {"PNEUMONIA": pytest.approx(result.info.decoder.thresholds[0], abs=1e-4)}
    assert "nothing about patients" in captured.err


def test_predict_formats_and_unreadable_images(trained, tmp_path, capsys):
    _, folder = trained
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(np.full((50, 50), 90, np.uint8)).save(good)
    bad.write_bytes(b"")
    model = str(folder / "model_int8.tflite")
    assert main(["predict", model, str(good), "--format", "csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "image,probability,decision,error,unlike_training,out_of_distribution"
    assert row.startswith(str(good))
    assert main(["predict", model, str(good), str(bad)]) == 2
    table = capsys.readouterr().out.splitlines()
    assert "P(PNEUMONIA)" in table[0]
    assert table[1].split()[2] in ("NORMAL", "PNEUMONIA")
    assert "UNLIKE THE TRAINING IMAGES" in table[1]
    assert "empty (0 bytes)" in table[2]


def test_predict_with_tflite_imports_no_tensorflow(trained):
    result, folder = trained
    code = (
        "import sys; from kmedtl.cli import main; main(sys.argv[1:]);"
        "heavy = {'tensorflow', 'keras', 'pandas', 'sklearn'} & set(sys.modules); assert not heavy, heavy"
    )
    path = result.manifest.table["path"][0]
    arguments = [sys.executable, "-c", code, "predict", str(folder / "model_int8.tflite"), path]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tflite", b"nonsense", ["a.tflite", "not a TFLite model"]),
        ("a.keras", b"nonsense", ["a.keras", "no kmedtl model"]),
        ("gone.tflite", None, ["gone.tflite", "no such file", "expected a .tflite file"]),
    ],
)
def test_predict_refuses_what_is_no_model(tmp_path, capsys, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    Image.new("L", (40, 40)).save(tmp_path / "image.png")
    assert main(["predict", str(tmp_path / name), str(tmp_path / "image.png")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    for word in words:
        assert word in error


@pytest.mark.slow
def test_ctrl_c_exits_130_and_leaves_nothing(tmp_path, cache):
    environment = os.environ | {"KMEDTL_CACHE": str(cache)}
    arguments = [sys.executable, "-m", "kmedtl.recipes.pneumonia", "--data", "phantom:40", "--size", "64"]
    process = subprocess.Popen(
        arguments, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    unfinished = tmp_path / "saved_models" / "pneumonia"
    for _ in range(600):
        if unfinished.exists() and list(unfinished.iterdir()):
            break
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    # Both are 130 to a shell: Python dies by the signal itself if it came while C code was running Python's.
    assert process.returncode in (130, -signal.SIGINT), error
    assert "Traceback" not in error
    assert "stopped" in error
    assert list(unfinished.iterdir()) == []


def test_audit_prints_what_it_found_and_writes_a_page(image_folder, tmp_path, capsys):
    (image_folder / "NORMAL" / "NORMAL-p0-0.png").write_bytes(b"")
    out = tmp_path / "audit"
    arguments = ["audit", str(image_folder), "--out", str(out), "--set", "data.size=32"]
    assert main([*arguments, "--set", "data.max_unreadable=0.1"]) == 0
    text = capsys.readouterr().out
    assert "24 files, 23 images used (0 other files, 0 masks, 0 unlabelled, 0 set aside, 1 unreadable)" in text
    assert "NORMAL: 11 images" in text
    assert str(out / "audit.html") in text
    assert {path.name for path in out.iterdir()} == {"audit.html", "audit.json"}
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


def test_audit_reads_images_as_a_recipe_does(image_folder, tmp_path, capsys):
    arguments = ["--recipe", "pneumonia", "--out", str(tmp_path / "audit"), "--set", "data.size=32"]
    assert main(["audit", str(image_folder), *arguments]) == 2
    assert "finds no patient in the file name" in capsys.readouterr().err


def test_store_lists_builds_and_clears(image_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    assert main(["store", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["store", "build", str(image_folder), "--set", "data.size=32"]) == 0
    assert "24 of 24 images decoded" in capsys.readouterr().out
    (tmp_path / "cache" / "stores" / "0123.abc.unfinished").mkdir()
    assert main(["store", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert any("left by a killed run" in line for line in lines)
    name = next(line.split()[0] for line in lines[2:] if "unfinished" not in line)
    assert main(["store", "clear", name[:-1]]) == 2
    assert f"Did you mean '{name}'" in capsys.readouterr().err
    assert main(["store", "clear", name]) == 0
    assert main(["store", "clear"]) == 0
    assert "1 unfinished left" in capsys.readouterr().out
    assert main(["store", "clear", "stores/0123.abc.unfinished"]) == 0
    assert list((tmp_path / "cache" / "stores").iterdir()) == []


def test_manifest_does_not_overwrite(image_folder, tmp_path, capsys):
    target = tmp_path / "m.csv"
    assert main(["manifest", str(image_folder), "-o", str(target)]) == 0
    assert "24 images of 24 patients" in capsys.readouterr().out
    assert main(["manifest", str(image_folder), "-o", str(target)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--seed", "0"], {"seed": 0}),
        (["--backbone", "resnet50v2"], {"name": "ResNet50V2"}),
        (["--data", "2023"], {"source": "2023"}),
        (["--folds", "5"], {"folds": 5}),
        (["--folds", "site"], {"folds": "site"}),
        (["--keep-ids"], {"keep_ids": True}),
        (["--seed", "3", "--set", "seed=4"], {"seed": 4}),
    ],
)
def test_options_reach_the_recipe(arguments, settings):
    recipe = configured(RECIPE, parser().parse_args(["run", "pneumonia", *arguments]))
    for name, value in settings.items():
        part = {"seed": recipe, "name": recipe.backbone}.get(name, recipe.data)
        assert getattr(part, name) == value
