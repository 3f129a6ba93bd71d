"""What somebody meant who typed what is not there; each answer is one line, and comes before TensorFlow."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from kmedtl.cli import main
from kmedtl.config import override
from kmedtl.recipe import write

# Exits with 9 where TensorFlow was loaded.
FREE = (
    "import sys; from kmedtl.cli import main; status = main(sys.argv[1:]);"
    "sys.exit(9 if 'tensorflow' in sys.modules else status)"
)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["train", "pneumonia"], "kmedtl train: no such command; type `kmedtl run`."),
        (["explain"], "kmedtl explain: no such command; type `kmedtl predict`."),
        (["exprot"], "kmedtl exprot: no such command. Did you mean 'export'?"),
        (["run", "pneumonia", "--epochs", "3"], "no such argument: --epochs. Type `--set stages.0.epochs=3`."),
        (["run", "pneumonia", "--lr=0.1"], "no such argument: --lr. Type `--set stages.0.lr=0.1`."),
        (["search", "pneumonia", "--batch-size", "8"], "--batch-size. Type `--set data.batch_size=8`."),
        (["run", "pneumonia", "--output", "here"], "no such argument: --output. Type `--out here`."),
        (["run", "pneumonia", "--gpu", "0"], "GPUs are used where there are any; `--set training.strategy=cpu`"),
        (["run", "pneumonia", "--epocs", "4"], "Did you mean `--set stages.0.epochs=4`?"),
        (["run", "pneumonia", "--folsd", "4"], "Did you mean `--folds`?"),
        (["predict", "model", "--formt", "csv"], "kmedtl predict: no such argument: --formt. Did you mean `--format`?"),
        (["predict", "model", "--epochs", "3"], "kmedtl predict: no such argument: --epochs. Known: --help,"),
        (["store", "build", "phantom", "--beem", "x"], "no such argument: --beem. Did you mean `--beam`?"),
        (["--debug", "recipes"], "It belongs behind the command: `kmedtl recipes --debug`."),
        (["run", "pneumonia", "."], "kmedtl run: no such argument: .. Type `--data .`."),
        (["audit", "--data", "films"], "no such argument: --data. Type the value alone: `kmedtl audit SOURCE`."),
        (["evaluate", "--predictions", "a.csv"], "Type the value alone: `kmedtl evaluate PREDICTIONS`."),
        (["run", "."], ".: expected a recipe. Received: images; type `kmedtl run RECIPE --data .`"),
        (["run", "my films.csv"], "type `kmedtl run RECIPE --data 'my films.csv'`"),
        (["run", "pneumonia", "--set", "epochs=3"], "epochs: no such setting. Did you mean 'stages.0.epochs'?"),
        (["run", "pneumonia", "--set", "epoch=3"], "epoch: no such setting. Did you mean 'stages.0.epochs'?"),
        (["run", "pneumonia", "--set", "data.dropout=0"], "Did you mean 'head.dropout'?"),
        (["run", "pneumonia", "--size", "big"], "argument --size: expected a whole number. Received: 'big'"),
        (["search", "pneumonia", "--hours", "a"], "argument --hours: expected a number. Received: 'a'"),
        (["evaluate"], "the following arguments are required: predictions; see `kmedtl evaluate --help`."),
        ([], "kmedtl: the following arguments are required: COMMAND; see `kmedtl --help`."),
    ],
)  # fmt: skip
def test_the_answer_is_what_to_type(arguments, answer, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert answer in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_recipe_that_is_a_script_answers_as_well():
    script = [sys.executable, "-m", "kmedtl.recipes.pneumonia", "--epocs", "2"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: kmedtl run: no such argument: --epocs. Did you mean `--set stages.0.epochs=2`?\n"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ("run pneumonia --data gone", "gone: no such folder or file"),
        ("run pneumonia --out .", ".: exists already"),
        ("run pneumonia --set backbone.weights=gone.h5", "gone.h5: no such file"),
        ("run pneumonia --set distill=gone", "gone: no such folder; expected a run folder"),
        ("run pneumonia --backbone resnet51", "Did you mean 'ResNet50'?"),
        ("search pneumonia --data gone", "gone: no such folder or file"),
        ("lr-find pneumonia --data gone", "gone: no such folder or file"),
        ("audit gone --limit 5", "gone: no such folder or file"),
        ("audit . --labels gone.csv", "data.labels: gone.csv: no such file"),
        ("store build gone", "gone: no such folder or file"),
        ("manifest gone", "gone: no such folder or file"),
        ("predict gone a.png", "gone: no such file or folder"),
        ("shift gone", "gone: no such folder; expected a run folder or one of its models"),
        ("predict . --files-from gone.txt", "--files-from: gone.txt: no such file"),
        ("shift .", "expected a run folder or a model in one"),
        ("compare gone other", "gone: no such folder; expected a run folder"),
        ("ensemble gone other", "gone: no such folder; expected a run folder"),
        ("export gone", "gone: no such folder; expected a run folder"),
        ("report gone", "gone: no such folder; expected a run folder"),
    ],
)
def test_what_is_not_there_is_said_before_tensorflow_loads(arguments, answer, tmp_path):
    command = [sys.executable, "-c", FREE, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert answer in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["shift", "export"])
def test_a_run_whose_images_are_gone_is_refused_before_tensorflow_loads(trained, tmp_path, name):
    run = shutil.copytree(trained[1], tmp_path / "run")
    write(override(trained[0].recipe, ["data.source=gone"]), run / "recipe.yaml")
    command = [sys.executable, "-c", FREE, name, "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"{tmp_path / 'gone'}: no such folder or file" in done.stderr


def test_images_of_which_none_is_there_are_refused_before_the_model_is_opened(trained, tmp_path):
    command = [sys.executable, "-c", FREE, "predict", trained[1], "gone.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: gone.png: no such file or folder; expected images")
