"""What a PACS is given: a structured report and a secondary capture, both of the study that they answer for."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.edge.cli import main
from tests.data.sources.test_dicom_tree import write_dicom
from tests.edge.conftest import rows

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "study" / "IM0"
    write_dicom(path, 0, SeriesInstanceUID="1.2.840.99.3.0")
    return path


@pytest.fixture
def told(model, film, tmp_path, capsys):
    """The answer, its report and its capture."""
    assert main(["predict", str(model), str(film), "--format", "jsonl", "--dicom-report", str(tmp_path / "out")]) == 0
    answer = json.loads(capsys.readouterr().out)
    return answer, *map(pydicom.dcmread, answer["dicom_report"])


def test_both_belong_to_the_images_study_and_patient(told, film):
    source = pydicom.dcmread(film)
    _, report, capture = told
    for made in (report, capture):
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.PatientID == source.PatientID
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert "SYNTHETIC MODEL" in made.SeriesDescription
        assert "research only" in made.SeriesDescription
    assert (report.Modality, report.SOPClassUID.name) == ("SR", "Enhanced SR Storage")
    assert capture.SOPClassUID.name == "Secondary Capture Image Storage"


def test_the_report_says_probability_decision_and_image(told, film):
    answer, report, _ = told
    items = list(_items(report))
    numbers = [float(item.MeasuredValueSequence[0].NumericValue) for item in items if item.ValueType == "NUM"]
    assert numbers == [pytest.approx(answer["probabilities"]["BRIGHT"], abs=1e-6)]
    words = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeMeaning
        for item in items
        if item.ValueType == "CODE"
    }
    assert words["Decision at the operating point"] == answer["decision"]
    assert words["Unlike the training images"] in ("yes", "no")
    assert words["Trained on synthetic images"] == "says nothing about patients"
    images = [item.ReferencedSOPSequence[0] for item in items if item.ValueType == "IMAGE"]
    assert images[0].ReferencedSOPInstanceUID == pydicom.dcmread(film).SOPInstanceUID


def test_names_of_any_letters_stay_what_they_are(model, film, tmp_path, capsys):
    data = pydicom.dcmread(film)
    data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "MÜLLER^JÖRG"
    data.save_as(film)
    assert main(["predict", str(model), str(film), "--format", "jsonl", "--dicom-report", str(tmp_path / "out")]) == 0
    for path in json.loads(capsys.readouterr().out)["dicom_report"]:
        assert str(pydicom.dcmread(path).PatientName) == "MÜLLER^JÖRG"


def test_the_capture_is_the_heat_map_in_colour(told):
    _, _, capture = told
    pixels = capture.pixel_array
    assert pixels.ndim == 3
    assert max(pixels.shape) == 512
    assert capture.PhotometricInterpretation == "RGB"


def test_answers_without_a_study_get_no_report(model, tmp_path, capsys):
    image = tmp_path / "film.png"
    Image.fromarray(rows(np.array([99], np.uint8))[0, :, :, 0]).save(image)
    bare = tmp_path / "bare.dcm"
    write_dicom(bare, 0)
    out = tmp_path / "out"
    assert main(["predict", str(model), str(image), str(bare), "--format", "jsonl", "--dicom-report", str(out)]) == 0
    captured = capsys.readouterr()
    assert "film.png: no DICOM report: no DICOM file" in captured.err
    assert "the file has no SeriesInstanceUID to refer to" in captured.err
    assert all("dicom_report" not in json.loads(line) for line in captured.out.splitlines())
    assert list(out.iterdir()) == []


def test_a_model_of_real_images_is_not_called_synthetic(make_model, info, film, tmp_path, capsys):
    model = make_model(replace(info, synthetic=False))
    assert main(["predict", str(model), str(film), "--format", "jsonl", "--dicom-report", str(tmp_path / "out")]) == 0
    report, _ = json.loads(capsys.readouterr().out)["dicom_report"]
    assert "SYNTHETIC" not in pydicom.dcmread(report).SeriesDescription


def test_what_is_printed_names_nothing_of_the_header(model, film, tmp_path):
    """Also where highdicom would quote the header: it warns of a name that has one part only."""
    source = pydicom.dcmread(film)
    source.PatientName = "ROE"
    source.save_as(film)
    command = [sys.executable, "-m", "kmedtl.edge", "predict", model, film]
    for options in (["--format", "table"], ["--format", "jsonl", "--dicom-report", tmp_path / "out"]):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        for hidden in ("ROE", str(source.PatientID), str(source.StudyInstanceUID)):
            assert hidden not in done.stdout + done.stderr


def _items(dataset):
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)
