"""What a PACS is given of masks: one DICOM Segmentation an image, of the same pixels as the PNG files."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmedtl import cli as main_of_kmedtl
from kmedtl.edge.cli import add_predict_options, main
from kmedtl.edge.predict_files import answer
from kmedtl.edge.predictor import Model
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.errors import UserError
from kmedtl.images.dicom_seg import source_image
from kmedtl.images.masks import read_mask
from tests.data.sources.test_dicom_tree import write_dicom
from tests.edge.conftest import INFO

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

DX = "1.2.840.10008.5.1.4.1.1.1.1"
STRUCTURES = ("bright", "top-left", "nothing", "größe")
FILM = {"SeriesInstanceUID": "1.2.840.99.3.0", "Modality": "DX", "SOPClassUID": DX}


def masks_of(pixels):
    """Return logits, (N, h, w, M): the bright half, a corner, nothing, the bright half again."""
    logits = np.full((*pixels.shape[:3], len(STRUCTURES)), -9, np.float32)
    bright = pixels[..., 0] > 127
    logits[..., 0][bright] = logits[..., 3][bright] = 9
    logits[:, :9, :5, 1] = 9
    return {MASK: logits}


@pytest.fixture
def model():
    info = replace(INFO, decoder=plain(STRUCTURES, 2.0, "stretch"), recipe="brightness")
    return Model(masks_of, info.reading, info)


@pytest.fixture
def film(tmp_path):
    """A film of 40 × 40 pixels."""
    path = tmp_path / "study" / "IM0"
    write_dicom(path, 0, **FILM)
    return path


@pytest.fixture
def asked(model, tmp_path, capsys):
    """Return what answers files with their segmentations and PNG masks, and what was said on stderr."""

    def ask(*images):
        parser = argparse.ArgumentParser()
        add_predict_options(parser)
        wanted = ["--masks", tmp_path / "masks", "--dicom-seg", tmp_path / "segs", "--format", "jsonl"]
        code = answer(model, parser.parse_args([*map(str, images), *map(str, wanted)]))
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return ask


def test_a_segmentation_holds_the_masks_of_the_png_files(asked, film):
    code, (told,), said = asked(film)
    assert code == 0
    assert "DICOM segmentations: 1 in" in said
    made = pydicom.dcmread(told["dicom_seg"])
    assert [segment.SegmentLabel for segment in made.SegmentSequence] == list(STRUCTURES)
    assert (made.NumberOfFrames, made.Rows, made.Columns, made.SegmentationType) == (4, 40, 40, "BINARY")
    marks = {name: number for number, name in enumerate(STRUCTURES, 1)}
    found = read_mask(told["dicom_seg"], marks, image=source_image(str(film), None)).marked
    for (name, mask), path in zip(found.items(), told["masks"], strict=True):
        with Image.open(path) as png:
            assert np.array_equal(mask, np.asarray(png) == 255), name
        assert mask.sum() == told["structures"][name]["pixels"]
    assert not found["nothing"].any()
    assert 0 < found["top-left"].sum() < 40 * 40 / 4
    assert np.array_equal(made.pixel_array == 1, np.stack(list(found.values())))


def test_a_second_answer_overwrites_no_file_of_the_first(asked, film):
    (_, (first,), _), (_, (again,), _) = asked(film), asked(film)
    written = [*first["masks"], *again["masks"], first["dicom_seg"], again["dicom_seg"]]
    assert len(set(written)) == 2 * len(STRUCTURES) + 2
    assert all(Path(path).is_file() for path in written)


def test_it_belongs_to_the_images_study_and_says_who_made_it(asked, film):
    _, (told,), _ = asked(film)
    made, source = pydicom.dcmread(told["dicom_seg"]), pydicom.dcmread(film)
    assert (made.StudyInstanceUID, made.PatientID, made.PatientName) == (
        source.StudyInstanceUID, source.PatientID, source.PatientName,
    )  # fmt: skip
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert (made.Modality, made.SOPClassUID.name) == ("SEG", "Segmentation Storage")
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == [source.SOPInstanceUID]
    assert "SYNTHETIC MODEL, research only" in made.SeriesDescription
    assert (made.ManufacturerModelName, made.SoftwareVersions) == ("brightness", "0.1.0")
    for segment in made.SegmentSequence:
        assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", "kmedtl brightness")
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmVersion == "0.1.0"


def test_an_image_on_which_nothing_is_found_has_empty_frames(asked, film):
    data = pydicom.dcmread(film)
    data.PixelData = bytes(40 * 40)
    data.save_as(film)
    _, (told,), _ = asked(film)
    made = pydicom.dcmread(told["dicom_seg"])
    assert made.NumberOfFrames == 4
    assert made.pixel_array.sum(axis=(1, 2)).astype(bool).tolist() == [False, True, False, False]


def test_names_of_any_letters_stay_what_they_are(asked, film):
    data = pydicom.dcmread(film)
    data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "MÜLLER^JÖRG"
    data.save_as(film)
    _, (told,), _ = asked(film)
    made = pydicom.dcmread(told["dicom_seg"])
    assert str(made.PatientName) == "MÜLLER^JÖRG"
    assert made.SegmentSequence[3].SegmentLabel == "größe"


def test_what_has_no_study_is_answered_without_and_the_others_go_on(asked, film, tmp_path):
    image, bare, several = tmp_path / "film.png", tmp_path / "bare.dcm", tmp_path / "several.dcm"
    Image.fromarray(np.full((30, 50), 200, np.uint8)).save(image)
    write_dicom(bare, 0)
    write_dicom(several, 0, frames=3, **FILM)
    code, answers, said = asked(image, bare, several, film)
    assert code == 0
    assert ["dicom_seg" in told for told in answers] == [False, False, False, True]
    assert all(len(told["masks"]) == 4 for told in answers)
    assert "film.png: no DICOM segmentation: no DICOM file" in said
    assert "the file has no SeriesInstanceUID to refer to" in said
    assert "several.dcm: no DICOM segmentation: it has several frames" in said
    for hidden in ("DOE", "MRN", "1.2.840.99"):
        assert hidden not in said
    assert len(list((tmp_path / "segs").iterdir())) == 1


def test_a_header_that_no_segmentation_can_be_made_of_is_told_without_quoting_it(asked, tmp_path):
    film = tmp_path / "ct.dcm"  # of a CT, which must have a frame of reference
    write_dicom(film, 0, SeriesInstanceUID="1.2.840.99.3.0", Modality="CT", PatientName="ROE")
    code, (told,), said = asked(film)
    assert (code, "dicom_seg" in told) == (0, False)
    assert "no DICOM segmentation: its header does not fit a segmentation (ValueError)" in said
    assert "ROE" not in said


def test_where_an_image_lies_in_the_patient_goes_along(asked, tmp_path):
    film = tmp_path / "ct.dcm"
    place = {"FrameOfReferenceUID": "1.2.840.99.4.0", "ImagePositionPatient": [1, 2, 3], "PixelSpacing": [0.5, 0.25]}
    place |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SliceThickness": 2}
    write_dicom(film, 0, SeriesInstanceUID="1.2.840.99.3.0", Modality="CT", **place)
    _, (told,), _ = asked(film)
    made = pydicom.dcmread(told["dicom_seg"])
    assert made.FrameOfReferenceUID == "1.2.840.99.4.0"
    assert made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing == [0.5, 0.25]


def test_areas_are_in_mm2_where_a_film_states_its_spacing(model, film, tmp_path, capsys):
    data = pydicom.dcmread(film)
    data.ImagerPixelSpacing = [0.5, 0.2]
    data.save_as(film)
    png = tmp_path / "film.png"
    Image.fromarray(np.full((40, 40), 200, np.uint8)).save(png, dpi=(254, 254))
    parser = argparse.ArgumentParser()
    add_predict_options(parser)
    report = ["--dicom-report", str(tmp_path / "reports")]
    assert answer(model, parser.parse_args([str(film), str(png), "--format", "jsonl", *report])) == 0
    known, unknown = map(json.loads, capsys.readouterr().out.splitlines())
    for told in known["structures"].values():
        assert told["mm2"] == pytest.approx(told["pixels"] * 0.1)
    assert [told["mm2"] for told in unknown["structures"].values()] == [None] * 4
    measured = [item.MeasuredValueSequence[0] for item in _items(pydicom.dcmread(known["dicom_report"][0]))]
    assert [float(one.NumericValue) for one in measured] == [
        pytest.approx(told["mm2"]) for told in known["structures"].values()
    ]
    assert {one.MeasurementUnitsCodeSequence[0].CodeValue for one in measured} == {"mm2"}
    assert answer(model, parser.parse_args([str(film), str(png), "--format", "csv"])) == 0
    first, second = csv.DictReader(capsys.readouterr().out.splitlines())
    assert float(first["bright_mm2"]) == pytest.approx(float(first["bright_pixels"]) * 0.1)
    assert second["bright_mm2"] == ""


def _items(dataset):
    """Return the numbers of a structured report."""
    for item in dataset.get("ContentSequence", ()):
        if item.ValueType == "NUM":
            yield item
        yield from _items(item)


@pytest.mark.parametrize("command", [main, main_of_kmedtl.main])
def test_a_model_whose_answers_are_no_masks_is_refused(make_model, info, film, tmp_path, capsys, command):
    path = make_model(info)
    assert command(["predict", str(path), str(film), "--dicom-seg", str(tmp_path / "segs")]) == 2
    assert "--dicom-seg: expected a model of a segmentation" in capsys.readouterr().err
    assert not (tmp_path / "segs").exists()


def test_a_model_that_says_nothing_of_itself_is_refused(model, film, tmp_path):
    parser = argparse.ArgumentParser()
    add_predict_options(parser)
    options = parser.parse_args([str(film), "--dicom-seg", str(tmp_path)])
    with pytest.raises(UserError, match="--dicom-seg: expected a model of a segmentation"):
        answer(replace(model, info=None), options)
