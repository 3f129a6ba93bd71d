"""A DICOM archive with its labels in a table, and nothing of a person in what comes out."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from kmedtl.cli import main
from kmedtl.data import sources
from kmedtl.data.pseudonyms import FORM, hide_patients
from kmedtl.data.splits import split
from kmedtl.errors import UserError
from kmedtl.recipe import Data

SECRETS = ("DOE", "JANE", "MRN-", "19700101", "ACC-", "1.2.840.99")


def uid(kind, number):
    return f"1.2.840.99.{kind}.{number}"


def write_dicom(path, number, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid(1, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.StudyInstanceUID = CTImageStorage, uid(1, number), uid(2, number // 2)
    data.PatientName, data.PatientID = f"DOE^JANE{number // 2}", f"MRN-{number // 2}"
    data.PatientBirthDate, data.AccessionNumber = "19700101", f"ACC-{number}"
    data.InstitutionName, data.ViewPosition, data.ImageLaterality = f"Site {number % 3}", "PA", "L"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    frames = tags.pop("frames", 1)
    data.Rows = data.Columns = 40
    if frames > 1:
        data.NumberOfFrames = frames
    for name, value in tags.items():
        setattr(data, name, value)
    pixels = np.random.default_rng(number).integers(0, 255, (frames, 40, 40), dtype=np.uint8)
    data.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


@pytest.fixture
def archive(tmp_path):
    """24 films of 12 people, in folders called after them; half the files have no suffix; one stranger has no label."""
    root = tmp_path / "archive"
    for number in range(24):
        name = uid(1, number) + (".dcm" if number % 2 else "")
        write_dicom(root / f"DOE^JANE{number // 2}" / name, number)
    (root / "DICOMDIR.txt").write_text("an index")
    return root


def label(number):
    return ("NORMAL", "PNEUMONIA")[number // 2 % 2]


def write_labels(path, key, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[key, "label"], *rows])
    return str(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SOPInstanceUID", lambda number: uid(1, number)),
        ("StudyInstanceUID", lambda number: uid(2, number // 2)),
        ("PatientID", lambda number: f"MRN-{number // 2}"),
        ("path", lambda number: f"DOE^JANE{number // 2}/{uid(1, number)}{'.dcm' if number % 2 else ''}"),
    ],
)
def test_labels_are_found_by_any_key(archive, tmp_path, key, value):
    labels = write_labels(tmp_path / "labels.csv", key, [[value(number), label(number)] for number in range(20)])
    found = sources.load(Data(str(archive), labels=labels), seed=0)
    assert len(found.table) == 20
    assert found.unlabelled == 4
    assert found.ignored == 1
    assert found.table["patient"].nunique() == 10
    assert (found.table.groupby("patient")["label"].nunique() == 1).all()
    assert found.table["site"].nunique() == 3
    assert all(FORM.fullmatch(site) for site in found.table["site"])
    assert set(found.table["view"]) == {"PA"}
    assert set(found.table["laterality"]) == {"L"}
    assert found.table["study"].nunique() == 10


def test_class_folders_of_dicom_take_patients_from_the_tags(tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number)
    found = sources.load(Data(str(tmp_path / "set")), seed=0)
    assert found.patients_known
    assert found.table["patient"].nunique() == 6


def test_nothing_of_a_person_is_written(archive, tmp_path, capsys):
    labels = write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(12)])
    broken = next(archive.rglob("*.dcm"))
    broken.write_bytes(broken.read_bytes()[:500])
    shutil.copy(next(archive.rglob("DOE^JANE3/*.dcm")), archive / "DOE^JANE5" / "copy.dcm")
    arguments = [str(archive), "--labels", labels, "--set", "data.max_unreadable=0.5"]
    assert main(["manifest", *arguments, "-o", str(tmp_path / "m.csv")]) == 0
    assert main(["audit", *arguments, "--out", str(tmp_path / "audit"), "--set", "data.size=32"]) == 0
    texts = [path.read_text() for path in (tmp_path / "m.csv", *(tmp_path / "audit").iterdir())]
    written = "".join([*texts, *capsys.readouterr()]).replace(str(archive), "").replace(labels, "")
    for secret in (*SECRETS, "Site 1"):
        assert secret not in written
    for path in (tmp_path / "audit").iterdir():
        assert str(archive.parent) not in path.read_text()


def test_free_text_in_coded_tags_is_not_taken_over(tmp_path):
    for number in range(8):
        tags = {"ViewPosition": "DOE JANE AP", "Laterality": "X", "Modality": "JANE", "ImageLaterality": ""}
        write_dicom(tmp_path / label(number) / f"{number}.dcm", number, **tags)
    found = sources.load(Data(str(tmp_path), keep_ids=True), seed=0)
    for column in ("view", "laterality", "modality"):
        assert set(found.table[column]) == {""}
    assert set(found.table["site"]) == {"Site 0", "Site 1", "Site 2"}  # --keep-ids


def test_a_site_that_a_table_names_stays(tmp_path):
    for number in range(8):
        write_dicom(tmp_path / "set" / f"{number}.dcm", number)
    rows = "".join(f"MRN-{n},{label(2 * n)},north\n" for n in range(4))
    (tmp_path / "l.csv").write_text(f"PatientID,label,site\n{rows}")
    assert set(sources.load(Data(str(tmp_path / "set"), labels=str(tmp_path / "l.csv")), seed=0).table["site"]) == {
        "north"
    }


def test_nobody_else_may_see_where_the_links_to_patients_lead(tmp_path, monkeypatch):
    monkeypatch.setenv("KMEDTL_CACHE", str(tmp_path / "cache"))
    for number in range(8):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number)
    sources.load(Data(str(tmp_path / "set")), seed=0)
    assert (tmp_path / "cache" / "dicom").stat().st_mode & 0o777 == 0o700


def test_the_split_depends_on_no_salt(tmp_path, monkeypatch):
    for number in range(60):
        write_dicom(tmp_path / label(number) / f"{number}.dcm", number)

    def parts():
        found = sources.load(Data(str(tmp_path)), seed=0)
        divided = split(found, found.table, 0.2, 0.2, seed=3)
        return dict(zip(divided["patient"], divided["split"], strict=True))

    first = parts()
    monkeypatch.setenv("KMEDTL_SALT", "another")
    assert parts() == first


@pytest.mark.slow
def test_what_was_written_is_a_source_again(archive, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(12)])
    assert main(["manifest", str(archive), "--labels", labels, "-o", str(tmp_path / "m.csv")]) == 0
    first = sources.load(Data(str(archive), labels=labels), seed=0)
    again = sources.load(Data(str(tmp_path / "m.csv")), seed=0)
    hidden = hide_patients(first.table)
    for column in ("id", "path", "label", "patient", "study", "site"):
        assert list(again.table[column]) == list(hidden[column]), column
    assert list(hide_patients(again.table)["patient"]) == list(hidden["patient"])
    for path in again.table["path"]:
        assert Path(path).resolve().is_relative_to(archive.resolve())


def test_ids_are_kept_when_asked(archive, tmp_path):
    labels = write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(12)])
    assert main(["manifest", str(archive), "--labels", labels, "-o", str(tmp_path / "m.csv"), "--keep-ids"]) == 0
    text = (tmp_path / "m.csv").read_text()
    assert "MRN-3" in text
    assert uid(1, 7) in text


@pytest.mark.slow
def test_another_salt_makes_other_pseudonyms(archive, tmp_path, monkeypatch):
    def names():
        table = sources.load(Data(str(archive), labels=labels), seed=0).table
        return set(table["id"]) | set(hide_patients(table)["patient"])

    labels = write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(12)])
    first = names()
    assert names() == first
    monkeypatch.setenv("KMEDTL_SALT", "another")
    assert not names() & first


def test_the_salt_is_made_once_and_nobody_else_may_read_it(archive, tmp_path, monkeypatch):
    monkeypatch.delenv("KMEDTL_SALT")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    labels = write_labels(tmp_path / "labels.csv", "PatientID", [[f"MRN-{n}", label(2 * n)] for n in range(12)])
    first = sources.load(Data(str(archive), labels=labels), seed=0).table
    salt = tmp_path / "config" / "kmedtl" / "salt"
    assert salt.stat().st_mode & 0o777 == 0o600
    assert list(sources.load(Data(str(archive), labels=labels), seed=0).table["id"]) == list(first["id"])


def test_a_key_that_no_image_has_gives_way_to_one_that_they_have(archive, tmp_path):
    rows = [f"9.9.{number},MRN-{number},{label(2 * number)}" for number in range(10)]
    (tmp_path / "labels.csv").write_text("\n".join(["SeriesInstanceUID,PatientID,label", *rows]))
    found = sources.load(Data(str(archive), labels=str(tmp_path / "labels.csv")), seed=0)
    assert len(found.table) == 20


@pytest.mark.parametrize(("frames", "count"), [("middle", 12), ("all", 16), (0, 12)])
def test_frames_become_images(tmp_path, frames, count):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number, frames=3 if number < 2 else 1)
    found = sources.load(Data(str(tmp_path / "set"), frames=frames), seed=0)
    assert len(found.table) == count
    assert found.table["id"].is_unique
    expected = {"middle": set(), "all": {"0", "1", "2"}, 0: {"0"}}[frames]
    assert set(found.table["frame"]) - {""} == expected


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["MRN-99", "NORMAL"]], "not one of its 24 images has a label"),
        ([["MRN-1", "NORMAL"], ["MRN-1", "PNEUMONIA"]], "line 3: two rows of one PatientID disagree"),
        ([["MRN-1", ""]], "not one of its 24 images has a label"),
    ],
)
def test_labels_that_fit_nothing_are_refused(archive, tmp_path, rows, words):
    labels = write_labels(tmp_path / "labels.csv", "PatientID", rows)
    with pytest.raises(UserError, match=words):
        sources.load(Data(str(archive), labels=labels), seed=0)


@pytest.mark.real_data
def test_headers_of_every_kind_are_read(real_data, tmp_path):
    files = sorted((real_data / "dicom").glob("*.dcm"))
    labels = write_labels(tmp_path / "labels.csv", "path", [[f.name, label(n)] for n, f in enumerate(files)])
    found = sources.load(Data(str(real_data / "dicom"), labels=labels), seed=0)
    assert len(found.table) == len(files) - 2
    assert "DICOM objects that are no images, left out: 1 RTDOSE, 1 SEG." in found.notes
    named = {pydicom.dcmread(file, force=True).get("PatientID", "") for file in files} - {""}
    assert named & set(found.table["patient"])
