"""What a model file says of itself is believed only where it can be so; all else is one line."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.edge import model_info
from kmedtl.edge.cli import main
from kmedtl.edge.model_info import LARGEST, MEMBER, ModelInfo
from kmedtl.edge.tasks.classification.calibration import Calibration
from kmedtl.errors import UserError
from tests.edge.conftest import INFO
from tests.models import decoder_of

NAN, INFINITY = float("nan"), float("inf")
TEXTS = ("recipe", "source", "kmedtl", "recipe_hash", "data_hash", "made", "intended_use")
NUMBERS = ("size", "channels", "seed", "version")


@pytest.fixture
def with_document(bare_model, tmp_path):
    """Return what writes the model with a document, given as text or as bytes."""

    def write(content, name=MEMBER, packing=zipfile.ZIP_DEFLATED):
        path = tmp_path / "model.tflite"
        path.write_bytes(bare_model.read_bytes())
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content, packing)
        return path

    return write


def document(info, **changed):
    return json.loads(json.dumps(asdict(info))) | changed


IMPOSSIBLE = [
    *((name, value) for name in TEXTS for value in (NAN, INFINITY, -5, None, ["x"], {"a": 1}, True)),
    *((name, value) for name in NUMBERS for value in (NAN, INFINITY, -5, None, "1", [1], {}, 1.5, True, 10**400)),
    ("channels", 2),
    ("size", 0),
    ("size", 10**9),
    *(("synthetic", value) for value in (NAN, -5, None, "true", 1, [])),
    *(("value_range", value) for value in (NAN, None, 255, [0.0], [0, 255, 1], [NAN, 255], [0, INFINITY], [-5, 255])),
    ("value_range", [0.0, 1.0]),
    *(("normalisation", value) for value in (NAN, -5, None, "", "divide by 255", [])),
    *(("metrics", value) for value in (NAN, -5, None, [], "x", {"auc": 1.0}, {"auc": [1.0]}, {"auc": [NAN, 0, 1]})),
    ("metrics", {"auc": [0.9, -INFINITY, 1.0]}),
    ("metrics", {"auc": ["a", "b", "c"]}),
    *(("parity", value) for value in (NAN, -5, None, [], "x")),
    *(("window", value) for value in (NAN, -5, None, [], "LUNG", {"center": 1.0}, {"center": NAN, "width": 5.0})),
    ("window", {"center": 0.0, "width": INFINITY}),
    ("window", {"center": 0.0, "width": -5}),
    ("window", {"name": 5}),
    ("window", {"colour": "red"}),
    *(("aspect", value) for value in (NAN, -5, None, "", "crop", [])),
    *(("decoder", value) for value in (NAN, -5, None, [], "none", {}, {"kind": "ordinal"}, {"kind": 5})),
    *(("out_of_distribution", value) for value in (NAN, -5, [], "none", {})),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_a_value_that_cannot_be_is_refused_in_one_line(name, value, with_document, capsys):
    _refused(with_document(json.dumps(document(INFO, **{name: value}))), name, capsys)


OF_DECODER = [
    *(("classes", value) for value in (NAN, -5, None, "AB", [], ["A"] * 2, ["A", ""], ["A", 1], list("ABC"), [["A"]])),
    *(
        ("labels", value)
        for value in (NAN, INFINITY, -5, None, "ordinal", ["binary"], {}, "multi_class", "multi_label")
    ),
    *(("thresholds", [value]) for value in (NAN, INFINITY, -INFINITY, -5, 1.5, None, "0.5", True, [0.5], 10**400)),
    *(("thresholds", value) for value in (NAN, -5, 0.5, None, "0.5", [], [0.5, 0.5], {})),
    *(("calibration", value) for value in (NAN, -5, None, [], "none", {})),
]


@pytest.mark.parametrize(("name", "value"), OF_DECODER)
def test_a_decoder_that_cannot_be_is_refused_in_one_line(name, value, with_document, capsys):
    changed = document(INFO)
    changed["decoder"][name] = value
    _refused(with_document(json.dumps(changed)), name if name != "labels" else "", capsys)


NESTED = [
    *(("calibration", name, value) for name in ("scale", "bias")
      for value in ([NAN], [INFINITY], [], [1.0, 1.0], None, 1.0, ["1"], [None], [True])),
    ("calibration", "scale", [-5]),
    *(("calibration", "method", value) for value in (NAN, -5, None, "beta", [], "isotonic")),
    *(("calibration", "kind", value) for value in (NAN, -5, None, "ordinal", [], "multi_label")),
    *(("calibration", "knots", value) for value in (NAN, -5, None, [[]], [[[0.0]]], [[[NAN, 0.5]]], [[[0, 0.5]]])),
    *(("out_of_distribution", name, value) for name in ("mean", "components")
      for value in (NAN, -5, None, [], "no base64", "AAA=")),
    *(("out_of_distribution", "variances", value) for value in (NAN, None, 1.0, [], [NAN], [INFINITY], [-5], ["1"])),
    *(("out_of_distribution", name, value) for name in ("residual", "threshold")
      for value in (NAN, INFINITY, -5, None, "1", [], True)),
    *(("out_of_distribution", "layout", value) for value in (NAN, -5, [], "x", {}, {"typical": "AAA=", "least": 0.5})),
]  # fmt: skip


@pytest.mark.parametrize(("part", "name", "value"), NESTED)
def test_a_part_that_cannot_be_is_refused_in_one_line(part, name, value, info, with_document, capsys):
    changed = document(info)
    (changed["decoder"] if part == "calibration" else changed)[part][name] = value
    _refused(with_document(json.dumps(changed)), "", capsys)


REQUIRED = (
    "decoder", "size", "channels", "recipe", "source", "seed", "synthetic", "kmedtl", "window", "version",
)  # fmt: skip


@pytest.mark.parametrize("name", REQUIRED)
def test_a_field_that_is_missing_is_named(name, with_document, capsys):
    changed = document(INFO)
    del changed[name]
    _refused(with_document(json.dumps(changed)), name, capsys)


@pytest.mark.parametrize("name", ["labels", "classes", "calibration", "thresholds"])
def test_a_field_of_the_decoder_that_is_missing_is_named(name, with_document, capsys):
    changed = document(INFO)
    del changed["decoder"][name]
    _refused(with_document(json.dumps(changed)), name, capsys)


def test_what_later_files_of_this_version_add_may_be_missing_or_unknown(with_document):
    changed = {name: value for name, value in document(INFO).items() if name in REQUIRED} | {"added_later": 1}
    assert model_info.read(with_document(json.dumps(changed))) == INFO


def test_the_aspect_ratio_travels_with_the_model(with_document):
    assert INFO.reading.aspect == "stretch"
    kept = model_info.read(with_document(json.dumps(document(INFO, aspect="keep"))))
    assert kept == replace(INFO, aspect="keep")
    assert kept.reading == replace(INFO.reading, aspect="keep")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"5", b"NaN", b'"text"', b"{", b"{}", b"\xff\xfe{\x00}\x00", b'{"version": 2}',
        b'{"version": 3}',
        b"[" * 100_000, b'{"a":' * 100_000, b'{"version": "2"}', b'{"version": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(content, with_document, capsys):
    _refused(with_document(content), "kmedtl.json", capsys)


def test_a_document_that_expands_is_cut_off(with_document, capsys):
    path = with_document(b" " * 300_000_000)
    assert path.stat().st_size < 1_000_000
    _refused(path, f"more than {LARGEST} bytes", capsys)


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_another_packing_is_refused(packing, with_document, capsys):
    _refused(with_document(json.dumps(document(INFO)), packing=packing), "no kmedtl model", capsys)


def _refused(path, words, capsys):
    assert main(["predict", str(path), "image.png"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {path}: ")
    assert words in error
    assert "unexpected" not in error


def test_several_findings_need_as_many_of_everything():
    several = decoder_of("multi_label", ("A", "B"))
    for changed in ({"thresholds": (0.5,)}, {"calibration": Calibration("none", "multi_label", (1.0,), (0.0,))}):
        with pytest.raises(UserError, match="2"):
            replace(several, **changed)


def test_a_model_of_another_number_of_findings_is_refused(make_model, capsys):
    path = make_model(replace(INFO, decoder=decoder_of("multi_label", ("A", "B"))))
    _refused(path, "says logits: 2, the model has 1", capsys)


def test_a_model_that_answers_with_no_number_calls_nothing(make_model, tmp_path, capsys):
    """A sure finding, but the bias makes it infinite on one side and its opposite on the other."""
    image = tmp_path / "film.png"
    Image.fromarray(np.full((40, 40), 200, np.uint8)).save(image)
    calibration = Calibration("vector", "binary", (1e308,), (-1.7e308,))
    path = make_model(replace(INFO, decoder=replace(INFO.decoder, calibration=calibration)))
    code = main(["predict", str(path), str(image), "--format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert (code, found["decision"] is None) in ((0, False), (2, True))
    assert isinstance(model_info.read(path), ModelInfo)
