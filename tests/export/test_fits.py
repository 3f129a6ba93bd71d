"""In every format a model whose document speaks of another one is refused before it answers."""

from dataclasses import replace

import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.edge import model_info
from kmedtl.export.formats import FILES, NATIVE, write_all
from tests.export.conftest import SIZE, classifier
from tests.export.test_onnx import INFO
from tests.models import decoder_of

SEVERAL = replace(INFO, decoder=decoder_of("multi_label", ("A", "B")))
FORMATS = {"keras": NATIVE, **{name: FILES[name] for name in ("saved_model", "float32", "onnx")}}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tf2onnx")
    folder = tmp_path_factory.mktemp("written")
    list(write_all(classifier(), folder, None, [name for name in FORMATS if name != "keras"]))
    return folder


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (replace(INFO, size=SIZE + 8), f"({SIZE + 8}, {SIZE + 8}, 1), the model has ({SIZE}, {SIZE}, 1)"),
        (replace(INFO, channels=3), f"({SIZE}, {SIZE}, 3), the model has ({SIZE}, {SIZE}, 1)"),
        (SEVERAL, "logits: 2, the model has 1"),
    ],
)
def test_another_model_than_its_document_says_is_refused(name, said, words, written, tmp_path, capsys):
    path = written / FORMATS[name]
    model_info.attach(said, path)
    Image.new("L", (SIZE, SIZE)).save(tmp_path / "image.png")
    assert main(["predict", str(path), str(tmp_path / "image.png")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {path}: ")
    assert words in error
