"""Public data sets as they are downloaded, table and folder tree, made here in small."""

import csv

import numpy as np
import pydicom
import pytest
from PIL import Image

from kmedtl.data import sources
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from tests.data.sources.test_dicom_tree import write_dicom

COUNT = 12


def image(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (24, 24), dtype=np.uint8)).save(path)


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(",") if header else [], *rows][0 if header else 1 :])
    return path


def nih(root):
    names = [f"{number // 2:08}_{number % 2:03}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        image(root / f"images_{1 + number // 6:03}" / "images" / name, number)
    labels = ["Effusion|Mass", "No Finding", "Mass"]
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    rows = [[name, labels[n % 3], n % 2, n // 2, "058Y", "M", "PA"] for n, name in enumerate(names)]
    return table(root / "Data_Entry_2017.csv", header, rows)


def chexpert(root):
    top = root / "CheXpert-v1.0-small"
    rows = []
    for number in range(COUNT):
        name = f"train/patient{number // 2:05}/study{number % 2}/view1_frontal.jpg"
        image(top / name, number)
        rows.append(
            [f"CheXpert-v1.0-small/{name}", "Male", 41, "Frontal", "AP", "", "1.0" if number % 2 else "", "1.0"]
        )
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Fracture"
    return table(top / "train.csv", header, rows)


def rsna(root):
    rows = []
    for number in range(COUNT):
        name = f"0004cfab-{number}"
        (root / "stage_2_train_images").mkdir(parents=True, exist_ok=True)
        write_dicom(root / "stage_2_train_images" / f"{name}.dcm", number)
        boxes = [[264.0, 152.0, 213.0, 379.0], [562.0, 152.0, 256.0, 453.0]] if number % 2 else [[""] * 4]
        rows += [[name, *box, number % 2] for box in boxes]
    return table(root / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", rows)


def isic(root):
    for number in range(COUNT):
        image(root / "ISIC_2019_Training_Input" / f"ISIC_{number:07}.jpg", number)
    rows = [[f"ISIC_{n:07}", *(1.0 if n % 3 == column else 0.0 for column in range(3))] for n in range(COUNT)]
    return table(root / "ISIC_2019_Training_GroundTruth.csv", "image,MEL,NV,BCC", rows)


def ham10000(root):
    for number in range(COUNT):
        image(root / f"HAM10000_images_part_{1 + number % 2}" / f"ISIC_{number:07}.jpg", number)
    rows = [
        [f"HAM_{n // 2}", f"ISIC_{n:07}", ["nv", "mel"][n % 2], "histo", "60.0", "male", "back"] for n in range(COUNT)
    ]
    return table(root / "HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)


def aptos(root):
    for number in range(COUNT):
        image(root / "train_images" / f"{number:012x}.png", number)
    return table(root / "train.csv", "id_code,diagnosis", [[f"{n:012x}", [0, 3, 10][n % 3]] for n in range(COUNT)])


def pad_ufes(root):
    for number in range(COUNT):
        image(root / f"imgs_part_{1 + number % 3}" / f"PAT_{number}_1.png", number)
    rows = [[f"PAT_{n // 2}", n, "FEMALE", ["BCC", "ACK"][n % 2], f"PAT_{n}_1.png", "True"] for n in range(COUNT)]
    return table(root / "metadata.csv", "patient_id,lesion_id,gender,diagnostic,img_id,biopsed", rows)


def medmnist(root):
    for number in range(COUNT):
        image(root / "pneumoniamnist" / f"train{number}_{number % 2}.png", number)
    rows = [[["TRAIN", "VAL", "TEST"][n // 2 % 3], f"train{n}_{n % 2}.png", n % 2] for n in range(COUNT)]
    return table(root / "pneumoniamnist.csv", "", rows)


SETS = {  # maker → name as said, classes, patients
    nih: ("NIH ChestX-ray14", ("Effusion", "Mass"), 6),
    chexpert: ("CheXpert", ("Edema", "Fracture"), 6),
    rsna: ("RSNA pneumonia", ("0", "1"), COUNT),
    isic: ("ISIC, a column a class", ("BCC", "MEL", "NV"), COUNT),
    ham10000: ("HAM10000", ("mel", "nv"), 6),
    aptos: ("APTOS 2019", ("0", "3", "10"), COUNT),
    pad_ufes: ("PAD-UFES-20", ("ACK", "BCC"), 6),
    medmnist: ("", ("0", "1"), COUNT),
}


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
def test_a_known_data_set_is_read_as_it_is_downloaded(tmp_path, make, as_folder):
    path = make(tmp_path / "set")
    name, classes, patients = SETS[make]
    found = sources.load(Data(str(tmp_path / "set" if as_folder else path)), seed=0)
    assert found.classes == classes
    assert len(found.table) == COUNT
    assert found.table["patient"].nunique() == patients
    assert found.multi_label == (make in (nih, chexpert))
    if name:
        assert any(f"was read as a table of {name}" in note for note in found.notes)
    if make is medmnist:
        assert set(found.table["split"]) == {"train", "val", "test"}


def test_findings_and_labels_are_those_of_the_tables(tmp_path):
    found = sources.load(Data(str(nih(tmp_path / "nih"))), seed=0)
    assert found.targets(found.table)[:3].tolist() == [[1, 1], [0, 0], [0, 1]]
    found = sources.load(Data(str(isic(tmp_path / "isic"))), seed=0)
    assert [found.classes[label] for label in found.table["label"]][:3] == ["MEL", "NV", "BCC"]
    found = sources.load(Data(str(rsna(tmp_path / "rsna")), classes=("NORMAL", "PNEUMONIA")), seed=0)
    assert list(found.table["label"]) == [number % 2 for number in range(COUNT)]
    assert not {"x", "width"} & set(found.table)


def test_a_folder_with_two_tables_asks_which(tmp_path):
    ham10000(tmp_path)
    (tmp_path / "other.csv").write_text("id_code,diagnosis\na,0\n")
    with pytest.raises(
        UserError, match=r"several tables of known data sets \(HAM10000_metadata.csv, other.csv\); give one"
    ):
        sources.load(Data(str(tmp_path)), seed=0)


def test_a_table_that_is_not_known_is_named_with_the_way_out(tmp_path):
    image(tmp_path / "images" / "a.png", 0)
    (tmp_path / "list.csv").write_text("document,verdict\na.png,good\n")
    with pytest.raises(UserError, match=r"holds the table list.csv: try --data .*list.csv, or --labels"):
        sources.load(Data(str(tmp_path)), seed=0)


def test_the_patient_in_a_dicom_row_of_a_known_table_is_the_tables(tmp_path):
    rsna(tmp_path)
    file = next((tmp_path / "stage_2_train_images").iterdir())
    assert pydicom.dcmread(file).PatientID.startswith("MRN")
    found = sources.load(Data(str(tmp_path / "stage_2_train_labels.csv")), seed=0)
    assert all(name.startswith("0004cfab") for name in found.table["patient"])
