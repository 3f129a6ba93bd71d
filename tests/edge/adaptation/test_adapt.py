"""`kmedtl adapt` and `kmedtl-edge adapt`: a model's decoder fitted to another hospital's images, by evidence."""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.cli import main as kmedtl
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.lineage import sha256
from kmedtl.edge.adaptation.reference import reference
from kmedtl.edge.cli import main as kmedtl_edge
from kmedtl.edge.tasks.classification.calibration import Calibration
from kmedtl.edge.tasks.classification.decoder import ClassDecoder
from kmedtl.statistics import out_of_distribution
from tests.edge.conftest import SIZE, features_of

IMAGES = 120


def films(random, count, share, brighter=0.0):
    """Return images uint8 (count, SIZE, SIZE, 1) and labels: those with the finding are brighter.

    Another scanner makes all `brighter` in the mean, the lower rows more than the upper ones.
    """
    labels = (np.arange(count) < share * count).astype(int)
    levels = 100 + 50 * labels + random.normal(0, 14, count)
    noise = random.normal(0, 12, (count, SIZE, SIZE, 1))
    added = brighter * np.linspace(0, 2, SIZE)[:, None, None]
    return np.clip(levels[:, None, None, None] + added + noise, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def looked():
    """What tells images of another kind, and how validation looked: 400 films, half of them with the finding."""
    random = np.random.default_rng(3)
    training, _ = films(random, 300, 0.5)
    validation, labels = films(random, 400, 0.5)
    features = features_of(validation).astype(np.float32)
    kind = out_of_distribution.fit(features_of(training).astype(np.float32), features)
    scores = 8 * (features.mean(axis=1) - 0.5)
    return kind, reference(scores, labels, np.arange(400), "youden", kind, features)


@pytest.fixture
def model(make_model, info, looked):
    """Its operating point lies between the two kinds of film: a mean level of 125."""
    kind, look = looked
    decoder = ClassDecoder("binary", ("DARK", "BRIGHT"), Calibration("temperature", "binary", (4.0,), (0.0,)), (0.42,))
    return make_model(replace(info, decoder=decoder, out_of_distribution=kind, validation=look), "model.tflite")


@pytest.fixture
def site(tmp_path):
    """Return what writes a folder of films, and a table of the labels of some of them."""

    def write(share=0.5, brighter=0.0, labelled=0, seed=5):
        pixels, labels = films(np.random.default_rng(seed), IMAGES, share, brighter)
        folder = tmp_path / "site"
        folder.mkdir()
        for number, image in enumerate(pixels):
            Image.fromarray(image[..., 0]).save(folder / f"{number:03d}.png")
        known = np.random.default_rng(seed).permutation(IMAGES)[:labelled]
        with (tmp_path / "labels.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "patient"])
            rows.writerows([f"site/{row:03d}.png", ("DARK", "BRIGHT")[labels[row]], f"p{row}"] for row in known)
        return folder, labels

    return write


def decided(path, folder, capsys):
    """Return the decisions of a model file, 0 or 1, and the share that it calls unlike the training images."""
    assert kmedtl_edge(["predict", str(path), str(folder), "--format", "jsonl"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    unlike = np.mean([answer["out_of_distribution"] for answer in answers])
    return np.array([answer["decision"] == "BRIGHT" for answer in answers]), unlike


def accuracy(path, folder, labels, capsys):
    called, _ = decided(path, folder, capsys)
    return ((called == labels)[labels == 1].mean() + (called == labels)[labels == 0].mean()) / 2


@pytest.mark.slow
def test_another_scanner_is_noticed_and_scores_are_aligned(model, site, tmp_path, capsys):
    folder, labels = site(brighter=30)
    before = accuracy(model, folder, labels, capsys)
    out = tmp_path / "there.tflite"
    assert kmedtl(["adapt", str(model), "--data", str(folder), "--site", "north", "--out", str(out)]) == 0
    assert "the acquisition shifted: scores aligned" in capsys.readouterr().out
    assert before < 0.8
    assert accuracy(out, folder, labels, capsys) > before + 0.1
    assert decided(model, folder, capsys)[1] > 0.2 > decided(out, folder, capsys)[1]
    lineage = model_info.read(out).adapted
    assert [(one.parent, one.file, one.site, one.images, one.labels) for one in lineage] == [
        (sha256(model), "model.tflite", "north", IMAGES, 0)
    ]
    assert kmedtl_edge(["inspect", str(out)]) == 0
    assert f"Adapted    to north, {lineage[0].date}: {IMAGES} images, none of them labelled" in capsys.readouterr().out
    assert kmedtl(["adapt", "--undo", str(out)]) == 0
    assert f"Use it again: {model}" in capsys.readouterr().out


def test_the_copy_has_the_same_weights_and_one_document(model, site, tmp_path, bare_model):
    folder, _ = site(brighter=30)
    out = tmp_path / "there.tflite"
    assert kmedtl_edge(["adapt", str(model), "--data", str(folder), "--out", str(out)]) == 0
    weights = bare_model.read_bytes()
    assert out.read_bytes().startswith(weights)
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["kmedtl.json"]
        assert len(archive.read("kmedtl.json")) < 12_000


def test_where_nothing_shifted_nothing_is_written(model, site, tmp_path, capsys):
    folder, _ = site(labelled=40)
    labels = ["--labels", str(tmp_path / "labels.csv")]
    for more in ([], labels):
        assert kmedtl_edge(["adapt", str(model), "--data", str(folder), *more]) == 0
        assert "nothing shifted" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.tflite")] == ["model.tflite"]


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, 0.15])
def test_more_healthy_people_change_probabilities_and_no_decision(model, site, tmp_path, given, capsys):
    folder, _ = site(share=0.15)
    out = tmp_path / "there.tflite"
    more = [] if given is None else ["--prevalence", str(given)]
    assert kmedtl_edge(["adapt", str(model), "--data", str(folder), "--out", str(out), *more]) == 0
    assert "the prevalence shifted: probabilities for a prevalence of 0.1" in capsys.readouterr().out
    assert (decided(model, folder, capsys)[0] == decided(out, folder, capsys)[0]).all()
    assert model_info.read(out).decoder.thresholds[0] < model_info.read(model).decoder.thresholds[0]


@pytest.mark.slow
def test_where_both_shifted_it_takes_labels_or_a_prevalence(model, site, tmp_path, capsys):
    folder, labels = site(share=0.15, brighter=30, labelled=60)
    ask = ["adapt", str(model), "--data", str(folder)]
    assert kmedtl_edge(ask) == 2
    refused = capsys.readouterr().err
    assert "acquisition and prevalence shifted" in refused
    assert "--labels of 25 images or more" in refused
    assert len(refused.splitlines()) == 1
    before = accuracy(model, folder, labels, capsys)
    for name, more in {"a": ["--prevalence", ".15"], "b": ["--labels", str(tmp_path / "labels.csv")]}.items():
        out = tmp_path / f"{name}.tflite"
        assert kmedtl_edge([*ask, "--out", str(out), *more]) == 0
        printed = capsys.readouterr().out
        assert accuracy(out, folder, labels, capsys) > before + 0.1, name
    assert "labels more would tell the accuracy to within 2 points" in printed
    assert model_info.read(out).adapted[0].labels == 60


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        ({}, ["--labels", "LABELS"], "--labels: expected 25 labelled images or more"),
        ({}, ["--prevalence", "1.5"], "--prevalence: expected a share above 0 and below 1"),
        ({}, ["--out", "MODEL"], "exists already"),
        ({}, ["--data", "nowhere"], "--data: nowhere: no such file or folder"),
        ({"validation": None}, [], "does not say how its validation looked"),
        (
            {
                "decoder": ClassDecoder(
                    "multi_label", ("A",), Calibration("none", "multi_label", (1.0,), (0.0,)), (0.5,)
                )
            },
            [],
            "expected a yes-or-no question",
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused_in_a_line(changed, more, message, model, make_model, site, tmp_path, capsys):
    folder, _ = site(labelled=10)
    path = make_model(replace(model_info.read(model), **changed), "other.tflite")
    names = {"LABELS": str(tmp_path / "labels.csv"), "MODEL": str(model)}
    assert kmedtl_edge(["adapt", str(path), "--data", str(folder), *(names.get(word, word) for word in more)]) == 2
    told = capsys.readouterr().err
    assert message in told.splitlines()[-1]


def test_a_table_of_paths_brings_its_labels(model, site, tmp_path, capsys):
    site(brighter=30, labelled=60)
    assert kmedtl_edge(["adapt", str(model), "--data", str(tmp_path / "labels.csv"), "--site", "b"]) == 0
    assert "60 images, 60 of them labelled: the acquisition shifted: calibration and threshold from 60 labels" in (
        capsys.readouterr().out
    )


def test_a_model_that_was_never_adapted_has_no_parent(model, capsys):
    assert kmedtl_edge(["adapt", "--undo", str(model)]) == 2
    assert "was never adapted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "value"), [("patients", 0), ("unlike", -1.0), ("negative", {}), ("positive", {"images": 3, "scores": []})]
)
def test_a_look_that_cannot_be_is_refused(part, value, model, make_model, bare_model, tmp_path, capsys):
    with zipfile.ZipFile(model) as archive:
        document = json.loads(archive.read("kmedtl.json"))
    document["validation"][part] = value
    path = tmp_path / "damaged.tflite"
    path.write_bytes(bare_model.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("kmedtl.json", json.dumps(document))
    assert kmedtl_edge(["inspect", str(path)]) == 2
    assert "is damaged" in capsys.readouterr().err
